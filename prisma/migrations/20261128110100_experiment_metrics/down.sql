DROP TABLE experiment_metric_evidence;

ALTER TABLE experiments
    DROP COLUMN guardrails,
    DROP COLUMN secondary_metrics;
