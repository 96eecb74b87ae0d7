ALTER TABLE releases DROP COLUMN started_revision;
