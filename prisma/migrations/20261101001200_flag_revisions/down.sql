DROP TABLE flag_tombstones;
DROP INDEX idx_flags_env_revision;
ALTER TABLE flags
    DROP COLUMN signed_definition,
    DROP COLUMN revision;
