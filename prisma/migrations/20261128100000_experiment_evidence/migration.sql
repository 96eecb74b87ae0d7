-- What running experiments have gathered: the draw and the metric's declaration at the start, the frozen range, and what
-- the evidence of all looks has excluded. The experiments subgraph writes and reads it.
CREATE TABLE experiment_evidence (
    experiment_id UUID PRIMARY KEY REFERENCES experiments(id) ON DELETE CASCADE,
    state JSONB NOT NULL,
    updated_at TIMESTAMP WITH TIME ZONE NOT NULL
);

COMMENT ON TABLE experiment_evidence IS 'The evidence of each experiment';
COMMENT ON COLUMN experiment_evidence.state IS 'The draw at the start, the frozen range of the metric, and what all looks together exclude';

-- Experiments that run now go on by the draw of their rule, and by the metric's present declaration.
INSERT INTO experiment_evidence (experiment_id, state, updated_at)
SELECT e.id,
       jsonb_build_object(
           'salt', COALESCE((SELECT r.conditions ->> 'salt' FROM rules r WHERE r.flag_id = f.id AND r.type = 'percentage_rollout' AND r.enabled LIMIT 1), f.key),
           'threshold', round(e.treatment_share * 100000),
           'definition', (SELECT jsonb_build_object('key', d.key, 'kind', d.kind, 'unit', d.unit, 'minimum', d.minimum, 'maximum', d.maximum, 'better', d.better, 'cap', d.cap, 'window', d.window_ms) FROM metric_definitions d WHERE d.key = e.primary_metric),
           'calibration', NULL,
           'evidence', jsonb_build_object('logHigher', 0, 'logLower', 0, 'ratio', jsonb_build_array(NULL, NULL), 'difference', jsonb_build_array(NULL, NULL))
       ),
       CURRENT_TIMESTAMP
FROM experiments e JOIN flags f ON f.id = e.flag_id
WHERE e.status = 'running' AND e.treatment_share IS NOT NULL;
