-- The head of the hash chain over audit_logs: one row, whose lock orders the writers.
CREATE INDEX idx_audit_logs_chain_position ON audit_logs(chain_position);

CREATE TABLE audit_chain (
    id SMALLINT PRIMARY KEY DEFAULT 1 CHECK (id = 1),
    position BIGINT NOT NULL DEFAULT 0,
    hash CHAR(64) NOT NULL
);

COMMENT ON TABLE audit_chain IS 'Head of the hash chain of audit_logs';
COMMENT ON COLUMN audit_chain.position IS 'chain_position of the last audit row; 0 where there is none';
COMMENT ON COLUMN audit_chain.hash IS 'hash of the last audit row; 64 zeros where there is none';

-- From the rows, so that going back over this migration and forth again goes on with the same chain.
INSERT INTO audit_chain (position, hash)
SELECT COALESCE(MAX(chain_position), 0),
       COALESCE((SELECT hash FROM audit_logs ORDER BY chain_position DESC LIMIT 1), repeat('0', 64))
FROM audit_logs;
