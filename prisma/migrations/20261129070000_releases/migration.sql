-- Releases: a change reaches an environment's vehicles in stages. The flag's other columns are the new content.
ALTER TABLE flags
    ADD COLUMN release JSONB,
    ADD CONSTRAINT flags_release_check CHECK (jsonb_typeof(release) = 'object');
COMMENT ON COLUMN flags.release IS 'The release under way: {id, percentage, canary, stable}, where stable is the content that vehicles outside its ring keep; null: none';

CREATE TABLE releases (
    id UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    ring UUID NOT NULL,
    flag_id UUID NOT NULL REFERENCES flags(id) ON DELETE CASCADE,
    environment VARCHAR(20) NOT NULL CONSTRAINT releases_environment_check CHECK (environment IN ('development', 'staging', 'production')),
    status VARCHAR(20) NOT NULL CONSTRAINT releases_status_check CHECK (status IN ('running', 'holding', 'completed', 'halted', 'superseded')),
    stage INTEGER NOT NULL CONSTRAINT releases_stage_check CHECK (stage >= 0),
    percentage NUMERIC(6, 3) NOT NULL CONSTRAINT releases_percentage_check CHECK (percentage BETWEEN 0 AND 100),
    stages JSONB NOT NULL CONSTRAINT releases_stages_check CHECK (jsonb_typeof(stages) = 'array'),
    canary JSONB CONSTRAINT releases_canary_check CHECK (jsonb_typeof(canary) = 'object'),
    maximum_faulty_vehicles INTEGER NOT NULL,
    maximum_faulty_percent NUMERIC(6, 3) NOT NULL,
    content JSONB NOT NULL CONSTRAINT releases_content_check CHECK (jsonb_typeof(content) = 'object'),
    revision BIGINT NOT NULL,
    reason TEXT,
    started_by UUID REFERENCES users(id) ON DELETE SET NULL,
    started_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT NOW(),
    stage_started_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT NOW(),
    due_at TIMESTAMP WITH TIME ZONE,
    ended_at TIMESTAMP WITH TIME ZONE,
    CONSTRAINT releases_whole_end CHECK (ended_at IS NULL OR status NOT IN ('running', 'holding')),
    CONSTRAINT releases_when_due CHECK (ended_at IS NOT NULL OR due_at IS NOT NULL)
);
CREATE UNIQUE INDEX idx_releases_under_way ON releases (flag_id) WHERE ended_at IS NULL;
CREATE INDEX idx_releases_flag_id ON releases (flag_id, started_at DESC);
CREATE INDEX idx_releases_due ON releases (due_at) WHERE ended_at IS NULL;
CREATE INDEX idx_releases_started_at ON releases (started_at DESC);

COMMENT ON TABLE releases IS 'Changes on their way to a fleet, one under way for each flag at most, and those that have ended';
COMMENT ON COLUMN releases.ring IS 'The salt of the draw and the release''s id in definitions; a release that supersedes another one keeps it';
COMMENT ON COLUMN releases.stage IS 'The place in stages, from 0';
COMMENT ON COLUMN releases.percentage IS 'The share of vehicles that has the new content, beside the canary';
COMMENT ON COLUMN releases.stages IS 'The stages of the policy when the release began: [{percentage, soakMs, minimumVehicles}]';
COMMENT ON COLUMN releases.content IS 'The new content, which stays for examination when it is halted';
COMMENT ON COLUMN releases.revision IS 'The flag''s revision at which the present stage began';
COMMENT ON COLUMN releases.reason IS 'Why it holds, or why it has ended';
COMMENT ON COLUMN releases.due_at IS 'When the soak of the present stage ends, or when what it waits for is asked for again';
