-- How far a revision has got in an environment is counted from the index alone.
CREATE INDEX idx_vehicles_env_revision ON vehicles(environment, applied_revision);
