DROP TABLE audit_chain;
DROP INDEX idx_audit_logs_chain_position;
