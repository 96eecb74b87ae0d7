DROP INDEX idx_vehicles_env_revision;
