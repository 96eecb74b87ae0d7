-- Changes of a flag that moved vehicles between the arms of its running experiment. The flags subgraph writes them in
-- the transaction of the change.
CREATE TABLE experiment_disturbances (
    id UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    experiment_id UUID NOT NULL REFERENCES experiments(id) ON DELETE CASCADE,
    action VARCHAR(50) NOT NULL,
    user_id UUID REFERENCES users(id) ON DELETE SET NULL,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT NOW()
);

CREATE INDEX idx_experiment_disturbances_experiment_id ON experiment_disturbances(experiment_id, created_at);

COMMENT ON TABLE experiment_disturbances IS 'Changes of a flag that moved vehicles between the arms of its running experiment; never changed';
COMMENT ON COLUMN experiment_disturbances.action IS 'The audit action of the change';
COMMENT ON COLUMN experiment_disturbances.user_id IS 'Who made it; NULL for an API key';
