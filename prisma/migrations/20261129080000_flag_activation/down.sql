-- Vehicles keep the activation that is signed, until the flag is signed again.
ALTER TABLE flags
    DROP CONSTRAINT flags_kill_activation_check,
    DROP CONSTRAINT flags_activation_check,
    DROP COLUMN kill_activation,
    DROP COLUMN activation;
