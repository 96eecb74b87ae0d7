DROP TABLE rollout_verdicts;
DROP TABLE rollout_guards;
-- Of those that watched on after their last step nothing is left to do.
UPDATE rollouts SET status = 'completed', next_step_at = NULL
    WHERE status IN ('running', 'paused') AND NOT EXISTS (SELECT FROM rollout_steps WHERE rollout_id = rollouts.id AND applied_at IS NULL);
UPDATE rollouts SET status = 'cancelled' WHERE status = 'pulled_back';
ALTER TABLE rollouts
    DROP CONSTRAINT rollouts_status_check,
    ADD CONSTRAINT rollouts_status_check CHECK (status IN ('waiting_for_approval', 'running', 'paused', 'completed', 'cancelled'));
COMMENT ON COLUMN rollouts.next_step_at IS 'When the next step is due; NULL unless it runs';
