-- What an experiment's life leaves behind beside its status.
ALTER TABLE experiments
    ADD COLUMN treatment_share NUMERIC(6,5) CHECK (treatment_share > 0 AND treatment_share < 1),
    ADD COLUMN results JSONB,
    ADD COLUMN cancel_reason TEXT,
    ADD CONSTRAINT experiments_results CHECK (results IS NULL OR status = 'completed');

-- One running experiment a flag, whatever the code does.
CREATE UNIQUE INDEX idx_experiments_running_flag ON experiments(flag_id) WHERE status = 'running';

COMMENT ON COLUMN experiments.treatment_share IS 'Share of the vehicles that the flag''s rollout gave to the treatment at the start; NULL before it';
COMMENT ON COLUMN experiments.results IS 'The whole analysis as it was at completion';
COMMENT ON COLUMN experiments.cancel_reason IS 'Why it was cancelled';
