DROP FUNCTION detach_expired_audit_log_partition(TIMESTAMP WITH TIME ZONE);
-- The detached table stays as it is, append-only included: detaching takes the inherited triggers away, so they are
-- made anew.
CREATE FUNCTION detach_expired_audit_log_partitions(years INTEGER DEFAULT 7) RETURNS SETOF TEXT LANGUAGE plpgsql AS $$
DECLARE
    partition_name TEXT;
BEGIN
    IF years < 7 THEN
        RAISE EXCEPTION 'audit rows are kept 7 years at least, not %', years USING ERRCODE = 'invalid_parameter_value';
    END IF;
    PERFORM pg_advisory_xact_lock(hashtext('audit_logs partitions'));
    FOR partition_name IN
        SELECT child.relname
        FROM pg_inherits JOIN pg_class child ON child.oid = inhrelid
        WHERE inhparent = 'audit_logs'::regclass
          AND child.relname ~ '^audit_logs_\d{4}_\d{2}$'
          AND to_date(right(child.relname, 7), 'YYYY_MM') + INTERVAL '1 month'
              <= (NOW() AT TIME ZONE 'UTC') - make_interval(years => years)
        ORDER BY child.relname
    LOOP
        EXECUTE format('ALTER TABLE audit_logs DETACH PARTITION %I', partition_name);
        EXECUTE format(
            'CREATE TRIGGER audit_logs_append_only BEFORE UPDATE OR DELETE ON %I FOR EACH ROW EXECUTE FUNCTION refuse_audit_log_change()',
            partition_name
        );
        RETURN NEXT partition_name;
    END LOOP;
END;
$$;

COMMENT ON FUNCTION detach_expired_audit_log_partitions(INTEGER) IS 'Detaches partitions wholly older than 7 years, for archiving; never drops one';

DROP FUNCTION ensure_audit_log_partitions(INTEGER, TIMESTAMP WITH TIME ZONE);
CREATE FUNCTION ensure_audit_log_partitions(months_ahead INTEGER DEFAULT 3) RETURNS INTEGER LANGUAGE plpgsql AS $$
DECLARE
    this_month TIMESTAMP := date_trunc('month', NOW() AT TIME ZONE 'UTC');
    created INTEGER := 0;
BEGIN
    FOR ahead IN 0..months_ahead LOOP
        IF create_audit_log_partition_of((this_month + make_interval(months => ahead))::date) THEN
            created := created + 1;
        END IF;
    END LOOP;
    RETURN created;
END;
$$;

COMMENT ON FUNCTION ensure_audit_log_partitions(INTEGER) IS 'Creates the missing partitions from this month to months_ahead; gives how many';

ALTER TABLE audit_chain DROP COLUMN last_at;
