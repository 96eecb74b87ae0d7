-- What a rollout is watched by, and what was found.
ALTER TABLE rollouts
    DROP CONSTRAINT rollouts_status_check,
    ADD CONSTRAINT rollouts_status_check CHECK (status IN ('waiting_for_approval', 'running', 'paused', 'completed', 'cancelled', 'pulled_back'));

COMMENT ON COLUMN rollouts.next_step_at IS 'When the next step is due, or, after the last step of a guarded one, when its guard has watched for long enough; NULL unless it runs';

CREATE TABLE rollout_guards (
    rollout_id UUID PRIMARY KEY REFERENCES rollouts(id) ON DELETE CASCADE,
    metric VARCHAR(100) NOT NULL,
    worse VARCHAR(10) NOT NULL CHECK (worse IN ('higher', 'lower')),
    max_worse_percent DOUBLE PRECISION,
    bound DOUBLE PRECISION,
    confidence_level NUMERIC(5,4) NOT NULL,
    minimum_vehicles INTEGER NOT NULL,
    silence_ms BIGINT NOT NULL,
    watch_for_ms BIGINT NOT NULL,
    initial_percentage NUMERIC(6,3) NOT NULL,
    watch INTEGER NOT NULL DEFAULT 0,
    watched_since TIMESTAMP WITH TIME ZONE,
    CONSTRAINT rollout_guards_limit CHECK ((max_worse_percent IS NULL) <> (bound IS NULL))
);

COMMENT ON TABLE rollout_guards IS 'Metrics by which rollouts are watched, and their limits';
COMMENT ON COLUMN rollout_guards.worse IS 'The direction of harm';
COMMENT ON COLUMN rollout_guards.initial_percentage IS 'What the rule is pulled back to';
COMMENT ON COLUMN rollout_guards.watch IS 'Counts starts, steps and resumptions: a verdict of another watch is about another percentage';
COMMENT ON COLUMN rollout_guards.watched_since IS 'Measurements from here on count; NULL until the rollout starts';

-- The experiments subgraph writes it, the flags subgraph acts on it.
CREATE TABLE rollout_verdicts (
    rollout_id UUID PRIMARY KEY REFERENCES rollouts(id) ON DELETE CASCADE,
    watch INTEGER NOT NULL,
    verdict VARCHAR(10) NOT NULL CHECK (verdict IN ('waiting', 'holding', 'crossed', 'silent')),
    figures JSONB NOT NULL,
    computed_at TIMESTAMP WITH TIME ZONE NOT NULL
);

COMMENT ON TABLE rollout_verdicts IS 'What was found last of each guarded rollout';
COMMENT ON COLUMN rollout_verdicts.watch IS 'The watch (rollout_guards) that it is about';
