-- What the guards of rollouts have gathered over their steps. The experiments subgraph writes and reads it.
CREATE TABLE rollout_evidence (
    rollout_id UUID PRIMARY KEY REFERENCES rollouts(id) ON DELETE CASCADE,
    state JSONB NOT NULL,
    updated_at TIMESTAMP WITH TIME ZONE NOT NULL
);

COMMENT ON TABLE rollout_evidence IS 'The evidence of each guarded rollout, step by step';
COMMENT ON COLUMN rollout_evidence.state IS 'The frozen range of the metric, and the evidence of each step';
