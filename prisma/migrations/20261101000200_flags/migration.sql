-- Feature flags: what they are, their defaults and their statistics.
CREATE TABLE flags (
    id UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    key VARCHAR(100) NOT NULL,
    name VARCHAR(200) NOT NULL,
    description TEXT,
    type VARCHAR(20) NOT NULL CHECK (type IN ('boolean', 'string', 'number', 'json')),
    default_value JSONB NOT NULL,
    enabled BOOLEAN NOT NULL DEFAULT false,
    safety_level VARCHAR(20) NOT NULL CHECK (safety_level IN ('Non-Critical', 'Safety-Relevant', 'ASIL-B', 'ASIL-D')),
    environment VARCHAR(20) NOT NULL CHECK (environment IN ('development', 'staging', 'production')),
    total_evaluations BIGINT NOT NULL DEFAULT 0,
    active_vehicles INTEGER NOT NULL DEFAULT 0,
    last_evaluation_at TIMESTAMP WITH TIME ZONE,
    created_by UUID REFERENCES users(id) ON DELETE SET NULL,
    updated_by UUID REFERENCES users(id) ON DELETE SET NULL,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT NOW(),
    updated_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT NOW(),
    archived_at TIMESTAMP WITH TIME ZONE,
    CONSTRAINT idx_flags_key UNIQUE (key)
);

COMMENT ON TABLE flags IS 'Feature-flag metadata';
COMMENT ON COLUMN flags.key IS 'What programs name the flag by, for example adas_lane_keep_v2; immutable';
COMMENT ON COLUMN flags.default_value IS 'The safe state, for example {"value": false}';
COMMENT ON COLUMN flags.safety_level IS 'ISO 26262 level: Non-Critical, Safety-Relevant, ASIL-B, ASIL-D';
COMMENT ON COLUMN flags.environment IS 'development, staging or production';
COMMENT ON COLUMN flags.total_evaluations IS 'Statistics: evaluations in all, refreshed from the metrics store';
COMMENT ON COLUMN flags.active_vehicles IS 'Statistics: vehicles that evaluated the flag lately';
COMMENT ON COLUMN flags.last_evaluation_at IS 'Statistics: when the flag was last evaluated';
COMMENT ON COLUMN flags.archived_at IS 'When the flag was archived: flags are archived, never deleted';
