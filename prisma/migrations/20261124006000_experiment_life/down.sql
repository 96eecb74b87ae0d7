DROP INDEX idx_experiments_running_flag;
ALTER TABLE experiments
    DROP CONSTRAINT experiments_results,
    DROP COLUMN cancel_reason,
    DROP COLUMN results,
    DROP COLUMN treatment_share;
