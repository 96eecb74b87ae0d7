DROP INDEX idx_vehicles_tokens_revoked;
ALTER TABLE vehicles
    DROP CONSTRAINT vehicles_tokens_revoked,
    DROP COLUMN tokens_revoked_at,
    DROP COLUMN token_generation;
