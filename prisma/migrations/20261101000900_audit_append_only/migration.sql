-- Nobody changes or removes an audit row, the owner of the table included. Row triggers are inherited by the
-- partitions; TRUNCATE has none that are, so each partition gets its own when it is made (next migration).
--
-- A user or flag with audit rows can therefore not be deleted: its ON DELETE SET NULL would be such a change. Users
-- are deactivated and flags archived instead.
CREATE FUNCTION refuse_audit_log_change() RETURNS TRIGGER LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'audit_logs is append-only: % is forbidden', TG_OP
        USING ERRCODE = 'insufficient_privilege',
              HINT = 'Audit rows are kept 7 years and never change. Deactivate users and archive flags instead of deleting them.';
END;
$$;

COMMENT ON FUNCTION refuse_audit_log_change() IS 'Refuses UPDATE, DELETE and TRUNCATE on audit_logs and its partitions';

CREATE TRIGGER audit_logs_append_only BEFORE UPDATE OR DELETE ON audit_logs
    FOR EACH ROW EXECUTE FUNCTION refuse_audit_log_change();
CREATE TRIGGER audit_logs_no_truncate BEFORE TRUNCATE ON audit_logs
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_audit_log_change();
