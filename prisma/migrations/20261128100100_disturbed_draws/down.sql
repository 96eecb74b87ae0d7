ALTER TABLE experiment_disturbances
    DROP COLUMN salt,
    DROP COLUMN threshold;
