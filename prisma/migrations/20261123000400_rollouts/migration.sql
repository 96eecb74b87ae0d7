-- Rules whose percentage is raised by schedule, and the steps of each schedule.
CREATE TABLE rollouts (
    id UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    flag_id UUID NOT NULL REFERENCES flags(id) ON DELETE CASCADE,
    rule_id UUID NOT NULL REFERENCES rules(id) ON DELETE CASCADE,
    environment VARCHAR(20) NOT NULL CHECK (environment IN ('development', 'staging', 'production')),
    status VARCHAR(20) NOT NULL CHECK (status IN ('waiting_for_approval', 'running', 'paused', 'completed', 'cancelled')),
    paused_reason TEXT,
    next_step_at TIMESTAMP WITH TIME ZONE,
    scheduled_by UUID NOT NULL REFERENCES users(id),
    approved_by UUID REFERENCES users(id),
    change_request_id UUID REFERENCES change_requests(id),
    created_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT NOW(),
    updated_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT NOW(),
    CONSTRAINT rollouts_next_step CHECK (next_step_at IS NULL OR status = 'running')
);

COMMENT ON TABLE rollouts IS 'Scheduled raisings of a rule''s percentage';
COMMENT ON COLUMN rollouts.environment IS 'Where the flag lived when it was scheduled: a rollout does not move along';
COMMENT ON COLUMN rollouts.next_step_at IS 'When the next step is due; NULL unless it runs';
COMMENT ON COLUMN rollouts.scheduled_by IS 'In whose name the steps are applied';
COMMENT ON COLUMN rollouts.approved_by IS 'The second person, of an ASIL-D flag''s rollout';
COMMENT ON COLUMN rollouts.change_request_id IS 'The last request to start or resume it';

-- A rule has one schedule at a time, whatever the code does.
CREATE UNIQUE INDEX idx_rollouts_active_rule ON rollouts (rule_id) WHERE status IN ('waiting_for_approval', 'running', 'paused');
CREATE INDEX idx_rollouts_rule_id ON rollouts (rule_id, created_at DESC);
CREATE INDEX idx_rollouts_flag_id ON rollouts (flag_id);
CREATE INDEX idx_rollouts_change_request_id ON rollouts (change_request_id);
CREATE INDEX idx_rollouts_due ON rollouts (next_step_at) WHERE status = 'running';

CREATE TABLE rollout_steps (
    rollout_id UUID NOT NULL REFERENCES rollouts(id) ON DELETE CASCADE,
    position INTEGER NOT NULL,
    percentage NUMERIC(6, 3) NOT NULL,
    delay_ms BIGINT,
    due_at TIMESTAMP WITH TIME ZONE NOT NULL,
    applied_at TIMESTAMP WITH TIME ZONE,
    revision BIGINT,
    PRIMARY KEY (rollout_id, position),
    CONSTRAINT rollout_steps_percentage_check CHECK (percentage > 0 AND percentage <= 100),
    CONSTRAINT rollout_steps_revision_check CHECK (revision IS NULL OR applied_at IS NOT NULL)
);

COMMENT ON TABLE rollout_steps IS 'The steps of rollouts, in order of position (from 1)';
COMMENT ON COLUMN rollout_steps.delay_ms IS 'Milliseconds after the step before was applied; NULL for a step at a fixed time';
COMMENT ON COLUMN rollout_steps.due_at IS 'When it is due; of a step with a delay an estimate until the step before is applied';
COMMENT ON COLUMN rollout_steps.revision IS 'The revision that it made; NULL where the percentage had been reached by hand already';
