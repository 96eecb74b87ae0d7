ALTER TABLE vehicles DROP COLUMN evaluated_flags;
