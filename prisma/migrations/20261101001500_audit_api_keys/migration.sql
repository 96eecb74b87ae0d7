-- What a partner did with an API key.
ALTER TABLE audit_logs ADD COLUMN api_key_id UUID REFERENCES api_keys(id) ON DELETE SET NULL;

COMMENT ON COLUMN audit_logs.api_key_id IS 'The API key that did it, where it was no user';
