-- One partition of audit_logs a month, in UTC whatever the session's time zone.
CREATE FUNCTION create_audit_log_partition_of(month DATE) RETURNS BOOLEAN LANGUAGE plpgsql AS $$
DECLARE
    first_day DATE := date_trunc('month', month::timestamp)::date;
    partition_name TEXT := 'audit_logs_' || to_char(first_day, 'YYYY_MM');
BEGIN
    -- Two instances that start together would both find it missing.
    PERFORM pg_advisory_xact_lock(hashtext('audit_logs partitions'));
    IF to_regclass(partition_name) IS NOT NULL THEN
        RETURN false;
    END IF;
    EXECUTE format(
        'CREATE TABLE %I PARTITION OF audit_logs FOR VALUES FROM (%L) TO (%L)',
        partition_name,
        to_char(first_day, 'YYYY-MM-DD') || ' 00:00:00+00',
        to_char(first_day + INTERVAL '1 month', 'YYYY-MM-DD') || ' 00:00:00+00'
    );
    EXECUTE format(
        'CREATE TRIGGER audit_logs_no_truncate BEFORE TRUNCATE ON %I FOR EACH STATEMENT EXECUTE FUNCTION refuse_audit_log_change()',
        partition_name
    );
    EXECUTE format('COMMENT ON TABLE %I IS %L', partition_name, 'Audit rows of ' || to_char(first_day, 'YYYY-MM'));
    RETURN true;
END;
$$;

COMMENT ON FUNCTION create_audit_log_partition_of(DATE) IS 'Creates the partition of the month that holds the day; false when it exists';

CREATE FUNCTION create_audit_log_partition() RETURNS VOID LANGUAGE plpgsql AS $$
BEGIN
    PERFORM create_audit_log_partition_of(((NOW() AT TIME ZONE 'UTC') + INTERVAL '1 month')::date);
END;
$$;

COMMENT ON FUNCTION create_audit_log_partition() IS 'Creates next month''s partition of audit_logs if it is missing; run monthly (pg_cron) or by the control plane';

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

SELECT ensure_audit_log_partitions(3);
