-- The audit trail. The primary key holds created_at because a partitioned table's key must hold the partition key.
-- chain_position, previous_hash and hash are there from the first row on: rows are never changed, so that a chain
-- could not be added to them later.
CREATE TABLE audit_logs (
    id UUID NOT NULL DEFAULT gen_random_uuid(),
    user_id UUID REFERENCES users(id) ON DELETE SET NULL,
    flag_id UUID REFERENCES flags(id) ON DELETE SET NULL,
    action VARCHAR(50) NOT NULL CHECK (action IN (
        'CREATE_FLAG', 'UPDATE_FLAG', 'DELETE_FLAG', 'ARCHIVE_FLAG', 'CREATE_RULE', 'UPDATE_RULE', 'DELETE_RULE',
        'KILL_SWITCH', 'ENABLE_FLAG', 'DISABLE_FLAG',
        'RELEASE_KILL_SWITCH', 'SIGN_IN', 'SIGN_IN_FAILED', 'REGISTER_VEHICLES', 'ISSUE_VEHICLE_TOKEN',
        'CREATE_USER', 'UPDATE_USER', 'CREATE_EXPERIMENT', 'UPDATE_EXPERIMENT'
    )),
    before_value JSONB,
    after_value JSONB,
    ip_address INET,
    user_agent TEXT,
    request_id UUID,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT NOW(),
    chain_position BIGINT NOT NULL,
    previous_hash CHAR(64) NOT NULL,
    hash CHAR(64) NOT NULL,
    PRIMARY KEY (id, created_at)
) PARTITION BY RANGE (created_at);

COMMENT ON TABLE audit_logs IS 'Every flag change, kept 7 years (ISO 26262); one partition a month, append-only';
COMMENT ON COLUMN audit_logs.action IS 'What was done, for example UPDATE_FLAG';
COMMENT ON COLUMN audit_logs.before_value IS 'State before the change; never holds a secret';
COMMENT ON COLUMN audit_logs.after_value IS 'State after the change; never holds a secret';
COMMENT ON COLUMN audit_logs.request_id IS 'Id of the request, for tracing';
COMMENT ON COLUMN audit_logs.created_at IS 'When it was done; the partition key';
COMMENT ON COLUMN audit_logs.chain_position IS 'Place in the hash chain, from 1, without gaps';
COMMENT ON COLUMN audit_logs.previous_hash IS 'hash of the row before; 64 zeros for the first';
COMMENT ON COLUMN audit_logs.hash IS 'SHA-256 (hexadecimal) over this row''s content and previous_hash';
