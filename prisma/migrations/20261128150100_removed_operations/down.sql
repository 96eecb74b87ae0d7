-- Removed operations must not come back to life; their ids are free again.
DELETE FROM persisted_operations WHERE removed_at IS NOT NULL;
ALTER TABLE persisted_operations DROP COLUMN removed_at;
