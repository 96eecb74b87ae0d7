-- The revision at which a release began: faults of vehicles under it or a later one count against the release.
ALTER TABLE releases ADD COLUMN started_revision BIGINT;
UPDATE releases SET started_revision = revision;
ALTER TABLE releases ALTER COLUMN started_revision SET NOT NULL;
COMMENT ON COLUMN releases.started_revision IS 'The flag''s revision at which the release began';
