-- The name of what a rule serves, for metrics and experiments.
ALTER TABLE rules ADD COLUMN variant VARCHAR(50);

COMMENT ON COLUMN rules.variant IS 'The variant served on a match; null: treatment for percentage_rollout, enabled for the others';
