-- The metrics of an experiment beside its primary one, each with its direction, and what has been gathered of each.
-- The experiments subgraph writes and reads both.
ALTER TABLE experiments
    ADD COLUMN secondary_metrics JSONB NOT NULL DEFAULT '[]',
    ADD COLUMN guardrails JSONB NOT NULL DEFAULT '[]';

COMMENT ON COLUMN experiments.secondary_metrics IS 'A list of metric and better (higher or lower), as planned';
COMMENT ON COLUMN experiments.guardrails IS 'A list of metric, worse (higher or lower) and maxWorsePercent, as planned';

CREATE TABLE experiment_metric_evidence (
    experiment_id UUID NOT NULL REFERENCES experiments(id) ON DELETE CASCADE,
    metric VARCHAR(100) NOT NULL,
    state JSONB NOT NULL,
    updated_at TIMESTAMP WITH TIME ZONE NOT NULL,
    PRIMARY KEY (experiment_id, metric)
);

COMMENT ON TABLE experiment_metric_evidence IS 'The evidence of each experiment on its secondary metrics and guardrails';
COMMENT ON COLUMN experiment_metric_evidence.state IS 'The declaration at the start, the frozen range, and the evidence of all looks together';
