-- The draw of vehicles that a change of the flag left behind, so that the arms' sizes are tested against the share of
-- their time.
ALTER TABLE experiment_disturbances
    ADD COLUMN salt TEXT,
    ADD COLUMN threshold INTEGER;

COMMENT ON COLUMN experiment_disturbances.salt IS 'The salt of the percentage_rollout rule from then on; null where the flag has no one such rule, or the change is older than this column';
COMMENT ON COLUMN experiment_disturbances.threshold IS 'The buckets below it have the treatment from then on; null where salt is';
