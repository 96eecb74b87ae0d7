-- Experiments that ran when experiment_evidence came were given the salt of any enabled percentage_rollout rule of their
-- flag. Where there are several, the one that decides is the one with the highest priority, as in evaluation. What was
-- gathered in the arms of another salt compares nothing and begins anew. An experiment that started later has the draw of
-- its start, and a change that came later does not alter the draw of the start.
UPDATE experiment_evidence x
SET state = x.state || jsonb_build_object(
        'salt', decisive.salt,
        'calibration', NULL,
        'evidence', jsonb_build_object('logHigher', 0, 'logLower', 0, 'ratio', jsonb_build_array(NULL, NULL), 'difference', jsonb_build_array(NULL, NULL))
    )
FROM experiments e
JOIN flags f ON f.id = e.flag_id
JOIN _prisma_migrations m ON m.migration_name = '20261128100000_experiment_evidence' AND m.rolled_back_at IS NULL
CROSS JOIN LATERAL (
    SELECT COALESCE(r.conditions ->> 'salt', f.key) AS salt FROM rules r
    WHERE r.flag_id = f.id AND r.type = 'percentage_rollout' AND r.enabled
    ORDER BY r.priority DESC, r.id LIMIT 1
) decisive
WHERE x.experiment_id = e.id
  AND e.status = 'running'
  AND e.start_date < m.started_at
  AND NOT EXISTS (SELECT FROM experiment_disturbances d WHERE d.experiment_id = e.id AND d.created_at >= m.started_at)
  AND x.state ->> 'salt' <> decisive.salt;
