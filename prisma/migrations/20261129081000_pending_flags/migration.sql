-- The flags whose changes a vehicle has stored and that are not active yet, as its agent last reported.
ALTER TABLE vehicles ADD COLUMN pending_flags TEXT[] NOT NULL DEFAULT '{}';

COMMENT ON COLUMN vehicles.pending_flags IS 'Flags whose changes wait in the vehicle for the end of a drive, each as key:revision, in alphabetical order';
