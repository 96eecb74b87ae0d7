-- Whether who asked for a change accepts that it disturbs a running experiment.
ALTER TABLE change_requests ADD COLUMN force BOOLEAN NOT NULL DEFAULT false;

COMMENT ON COLUMN change_requests.force IS 'Whether it may disturb a running experiment';
