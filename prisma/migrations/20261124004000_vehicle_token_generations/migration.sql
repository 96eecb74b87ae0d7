-- Revoking a vehicle's tokens raises its generation: tokens of an older one end. Gateways page through those that were
-- ever raised, in the order of their times, hence the milliseconds: what a gateway can say back exactly.
ALTER TABLE vehicles
    ADD COLUMN token_generation INTEGER NOT NULL DEFAULT 0 CHECK (token_generation >= 0),
    ADD COLUMN tokens_revoked_at TIMESTAMP(3) WITH TIME ZONE,
    ADD CONSTRAINT vehicles_tokens_revoked CHECK ((token_generation > 0) = (tokens_revoked_at IS NOT NULL));

CREATE INDEX idx_vehicles_tokens_revoked ON vehicles(tokens_revoked_at, vin) WHERE tokens_revoked_at IS NOT NULL;

COMMENT ON COLUMN vehicles.token_generation IS 'Tokens of the vehicle that carry a lower generation have been revoked';
COMMENT ON COLUMN vehicles.tokens_revoked_at IS 'When the generation was last raised';
