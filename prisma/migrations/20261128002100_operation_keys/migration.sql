-- Which API keys may run a registered operation. An operation without a row is for every key.
CREATE TABLE persisted_operation_keys (
    operation_id VARCHAR(128) NOT NULL REFERENCES persisted_operations(id) ON DELETE CASCADE,
    api_key_id UUID NOT NULL REFERENCES api_keys(id) ON DELETE CASCADE,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT NOW(),
    PRIMARY KEY (operation_id, api_key_id)
);

COMMENT ON TABLE persisted_operation_keys IS 'Operations that are bound to API keys; one without a row is for every key';

CREATE INDEX idx_persisted_operation_keys_api_key ON persisted_operation_keys (api_key_id);
