-- What vehicles are sent: the revision of a flag's last change and its signed form; a tombstone where it has left.
ALTER TABLE flags
    ADD COLUMN revision BIGINT NOT NULL DEFAULT 0,
    ADD COLUMN signed_definition TEXT;

COMMENT ON COLUMN flags.revision IS 'The environment''s revision at the flag''s last change';
COMMENT ON COLUMN flags.signed_definition IS 'Compact JWS (EdDSA) of the definition at that revision';

CREATE INDEX idx_flags_env_revision ON flags(environment, revision);

CREATE TABLE flag_tombstones (
    environment VARCHAR(20) NOT NULL CHECK (environment IN ('development', 'staging', 'production')),
    key VARCHAR(100) NOT NULL,
    revision BIGINT NOT NULL,
    signed_definition TEXT NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT NOW(),
    PRIMARY KEY (environment, key)
);

COMMENT ON TABLE flag_tombstones IS 'Flags that have left an environment (archived or moved), for vehicles that come back';
COMMENT ON COLUMN flag_tombstones.revision IS 'The environment''s revision at which the flag left';
COMMENT ON COLUMN flag_tombstones.signed_definition IS 'Compact JWS (EdDSA) of the removal at that revision';

CREATE INDEX idx_flag_tombstones_env_revision ON flag_tombstones(environment, revision);
