ALTER TABLE audit_logs DROP COLUMN api_key_id;
