DROP FUNCTION ready_audit_log_partition(TIMESTAMP WITH TIME ZONE);

DO $$
BEGIN
    IF to_regclass('cron.job') IS NOT NULL THEN
        EXECUTE 'SELECT cron.unschedule(jobid) FROM cron.job WHERE jobname = ''create-audit-partition''';
    END IF;
EXCEPTION WHEN OTHERS THEN
    RAISE WARNING 'The job create-audit-partition was not removed from pg_cron (%)', SQLERRM;
END;
$$;

-- Partitions beyond what was ready before go where they are empty; none with a row in it does.
DO $$
DECLARE
    partition_name TEXT;
    this_month DATE := date_trunc('month', NOW() AT TIME ZONE 'UTC')::date;
    used BOOLEAN;
BEGIN
    FOR partition_name IN
        SELECT child.relname FROM pg_inherits JOIN pg_class child ON child.oid = inhrelid
        WHERE inhparent = 'audit_logs'::regclass AND child.relname ~ '^audit_logs_\d{4}_\d{2}$'
          AND to_date(right(child.relname, 7), 'YYYY_MM') NOT BETWEEN this_month AND this_month + INTERVAL '3 months'
    LOOP
        EXECUTE format('SELECT EXISTS (SELECT FROM %I)', partition_name) INTO used;
        IF NOT used THEN
            EXECUTE format('DROP TABLE %I', partition_name);
        END IF;
    END LOOP;
END;
$$;

CREATE OR REPLACE FUNCTION ensure_audit_log_partitions(months_ahead INTEGER DEFAULT 3, as_of TIMESTAMP WITH TIME ZONE DEFAULT NOW()) RETURNS INTEGER LANGUAGE plpgsql AS $$
DECLARE
    this_month TIMESTAMP := date_trunc('month', as_of AT TIME ZONE 'UTC');
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

COMMENT ON FUNCTION ensure_audit_log_partitions(INTEGER, TIMESTAMP WITH TIME ZONE) IS 'Creates the missing partitions from the month of as_of to months_ahead; gives how many';

CREATE OR REPLACE FUNCTION create_audit_log_partition_of(month DATE) RETURNS BOOLEAN LANGUAGE plpgsql AS $$
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
