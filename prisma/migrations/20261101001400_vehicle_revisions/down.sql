ALTER TABLE vehicles
    DROP COLUMN applied_revision,
    DROP COLUMN environment;
