-- Time never goes back along the chain, so that a partition is one piece of it and can be detached without tearing it.
ALTER TABLE audit_chain ADD COLUMN last_at TIMESTAMP WITH TIME ZONE;
UPDATE audit_chain SET last_at = (SELECT MAX(created_at) FROM audit_logs);

COMMENT ON COLUMN audit_chain.last_at IS 'created_at of the last audit row; the next one is not before it';

-- The same as before, for a clock that is given.
DROP FUNCTION ensure_audit_log_partitions(INTEGER);
CREATE FUNCTION ensure_audit_log_partitions(months_ahead INTEGER DEFAULT 3, as_of TIMESTAMP WITH TIME ZONE DEFAULT NOW()) RETURNS INTEGER LANGUAGE plpgsql AS $$
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

-- One at a time, and its record to be written into the trail in the same transaction: from then on the chain begins
-- after lastPosition, with lastHash. The detached table stays as it is, append-only included: detaching takes the
-- inherited triggers away, so they are made anew.
DROP FUNCTION detach_expired_audit_log_partitions(INTEGER);
CREATE FUNCTION detach_expired_audit_log_partition(as_of TIMESTAMP WITH TIME ZONE DEFAULT NOW()) RETURNS JSONB LANGUAGE plpgsql AS $$
DECLARE
    partition_name TEXT;
    row_count BIGINT;
    first_position BIGINT;
    last_position BIGINT;
    last_hash TEXT;
    torn BOOLEAN;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('audit_logs partitions'));
    SELECT child.relname INTO partition_name
    FROM pg_inherits JOIN pg_class child ON child.oid = inhrelid
    WHERE inhparent = 'audit_logs'::regclass
      AND child.relname ~ '^audit_logs_\d{4}_\d{2}$'
      AND to_date(right(child.relname, 7), 'YYYY_MM') + INTERVAL '1 month' <= (as_of AT TIME ZONE 'UTC') - INTERVAL '7 years'
    ORDER BY child.relname
    LIMIT 1;
    IF partition_name IS NULL THEN
        RETURN NULL;
    END IF;

    -- Writers lock the head of the chain and then the table; the other way round both would wait for ever.
    PERFORM FROM audit_chain WHERE id = 1 FOR UPDATE;
    EXECUTE format('SELECT count(*), min(chain_position), max(chain_position), (array_agg(hash ORDER BY chain_position DESC))[1] FROM %I', partition_name)
        INTO row_count, first_position, last_position, last_hash;
    EXECUTE format('SELECT EXISTS (SELECT FROM audit_logs WHERE chain_position <= %L AND tableoid <> %L::regclass)', last_position, partition_name)
        INTO torn;
    IF torn OR row_count <> last_position - first_position + 1 THEN
        RAISE EXCEPTION '% is not the beginning of the chain and is not detached: check the trail with auditIntegrity', partition_name
            USING ERRCODE = 'data_exception';
    END IF;

    EXECUTE format('ALTER TABLE audit_logs DETACH PARTITION %I', partition_name);
    EXECUTE format(
        'CREATE TRIGGER audit_logs_append_only BEFORE UPDATE OR DELETE ON %I FOR EACH ROW EXECUTE FUNCTION refuse_audit_log_change()',
        partition_name
    );
    RETURN jsonb_build_object('partition', partition_name, 'rows', row_count, 'firstPosition', first_position, 'lastPosition', last_position, 'lastHash', last_hash);
END;
$$;

COMMENT ON FUNCTION detach_expired_audit_log_partition(TIMESTAMP WITH TIME ZONE) IS 'Detaches the oldest partition if it is wholly older than 7 years, for archiving, and gives its record; never drops one';
