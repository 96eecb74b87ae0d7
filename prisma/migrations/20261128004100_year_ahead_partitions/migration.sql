-- As before, and says so: the owner's example raises this notice.
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
    RAISE NOTICE 'Created partition: %', partition_name;
    RETURN true;
END;
$$;

-- The whole year of as_of and the whole next one, and months_ahead at least.
CREATE OR REPLACE FUNCTION ensure_audit_log_partitions(months_ahead INTEGER DEFAULT 3, as_of TIMESTAMP WITH TIME ZONE DEFAULT NOW()) RETURNS INTEGER LANGUAGE plpgsql AS $$
DECLARE
    this_month DATE := date_trunc('month', as_of AT TIME ZONE 'UTC')::date;
    month DATE := date_trunc('year', as_of AT TIME ZONE 'UTC')::date;
    last_month DATE := GREATEST((month + INTERVAL '23 months')::date, (this_month + make_interval(months => months_ahead))::date);
    created INTEGER := 0;
BEGIN
    WHILE month <= last_month LOOP
        IF create_audit_log_partition_of(month) THEN
            created := created + 1;
        END IF;
        month := (month + INTERVAL '1 month')::date;
    END LOOP;
    RETURN created;
END;
$$;

COMMENT ON FUNCTION ensure_audit_log_partitions(INTEGER, TIMESTAMP WITH TIME ZONE) IS 'Creates the missing partitions of the year of as_of, of the next year, and of months_ahead at least; gives how many';

-- For a row that is to be written now: the database's clock may be past what was made ahead.
CREATE FUNCTION ready_audit_log_partition(at TIMESTAMP WITH TIME ZONE) RETURNS BOOLEAN LANGUAGE plpgsql AS $$
DECLARE
    month DATE := (at AT TIME ZONE 'UTC')::date;
    partition_name TEXT := 'audit_logs_' || to_char(month, 'YYYY_MM');
BEGIN
    IF NOT EXISTS (SELECT FROM pg_inherits WHERE inhparent = 'audit_logs'::regclass AND inhrelid = to_regclass(partition_name)) THEN
        PERFORM create_audit_log_partition_of(month);
    END IF;
    RETURN EXISTS (SELECT FROM pg_inherits WHERE inhparent = 'audit_logs'::regclass AND inhrelid = to_regclass(partition_name));
END;
$$;

COMMENT ON FUNCTION ready_audit_log_partition(TIMESTAMP WITH TIME ZONE) IS 'Whether the partition for a row of that time is there; a missing one is created. False where another table has its name';

SELECT ensure_audit_log_partitions(3);

-- The owner's monthly job, where pg_cron is present and lets this database and role use it. Where it does not, the
-- control plane makes the partitions by itself, as it does in any case.
DO $$
BEGIN
    IF to_regprocedure('cron.schedule(text,text,text)') IS NULL AND EXISTS (SELECT FROM pg_available_extensions WHERE name = 'pg_cron') THEN
        CREATE EXTENSION IF NOT EXISTS pg_cron;
    END IF;
    IF to_regprocedure('cron.schedule(text,text,text)') IS NOT NULL THEN
        EXECUTE 'SELECT cron.schedule(''create-audit-partition'', ''0 0 1 * *'', ''SELECT create_audit_log_partition()'')';
    END IF;
EXCEPTION WHEN OTHERS THEN
    RAISE WARNING 'pg_cron is present and cannot be used here (%): the control plane alone creates the partitions', SQLERRM;
END;
$$;
