-- How far a change has got in the fleet: each vehicle's environment and the revision that it has persisted.
ALTER TABLE vehicles
    ADD COLUMN environment VARCHAR(20) CHECK (environment IN ('development', 'staging', 'production')),
    ADD COLUMN applied_revision BIGINT;

COMMENT ON COLUMN vehicles.environment IS 'The environment whose flags the vehicle gets';
COMMENT ON COLUMN vehicles.applied_revision IS 'The environment''s revision that the vehicle has persisted';
