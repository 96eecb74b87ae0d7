-- Activation: when a vehicle may change over to another definition of a flag, and when a kill switch takes effect.
ALTER TABLE flags
    ADD COLUMN activation VARCHAR(20) NOT NULL DEFAULT 'IMMEDIATE',
    ADD COLUMN kill_activation VARCHAR(20) NOT NULL DEFAULT 'IMMEDIATE',
    ADD CONSTRAINT flags_activation_check CHECK (activation IN ('IMMEDIATE', 'PARKED', 'NEXT_DRIVE')),
    ADD CONSTRAINT flags_kill_activation_check CHECK (kill_activation IN ('IMMEDIATE', 'PARKED'));

COMMENT ON COLUMN flags.activation IS 'When a vehicle may change over to another definition: IMMEDIATE, PARKED or NEXT_DRIVE';
COMMENT ON COLUMN flags.kill_activation IS 'When a kill switch or disabling takes effect in a vehicle: IMMEDIATE or PARKED';
