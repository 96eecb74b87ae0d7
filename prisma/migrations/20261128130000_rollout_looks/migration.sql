-- What the guards of rollouts have seen over time, for people. The experiments subgraph writes and reads it.
CREATE TABLE rollout_looks (
    rollout_id UUID NOT NULL REFERENCES rollouts(id) ON DELETE CASCADE,
    at TIMESTAMP WITH TIME ZONE NOT NULL,
    watch INTEGER NOT NULL,
    verdict VARCHAR(10) NOT NULL CHECK (verdict IN ('waiting', 'holding', 'crossed', 'silent')),
    control_vehicles INTEGER NOT NULL,
    treatment_vehicles INTEGER NOT NULL,
    control_mean DOUBLE PRECISION,
    treatment_mean DOUBLE PRECISION,
    worse_percent DOUBLE PRECISION,
    worse_percent_at_least DOUBLE PRECISION,
    PRIMARY KEY (rollout_id, at)
);

COMMENT ON TABLE rollout_looks IS 'The looks of each guard that are kept, at most 1,000 of a rollout';
COMMENT ON COLUMN rollout_looks.watch IS 'As in rollout_guards, at the time of the look';
