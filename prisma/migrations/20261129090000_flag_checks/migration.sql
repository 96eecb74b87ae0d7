-- What a change of one model's flags reads of the others: those of the same partition, those of every vehicle, and those that
-- depend on others, or did before a release.
CREATE INDEX idx_flags_scope ON flags USING gin (scope) WHERE archived_at IS NULL;
CREATE INDEX idx_flags_unscoped ON flags (environment) WHERE archived_at IS NULL AND scope IS NULL;
CREATE INDEX idx_flags_depending ON flags (environment) WHERE archived_at IS NULL AND (requires <> '[]' OR excludes <> '{}' OR release IS NOT NULL);

-- The sum of the checks of an environment's living flags. An instance that has read a change compares it with its own, which shows
-- whether what it holds is what lives in the database. Summed up anew, a change among 5,000 flags would cost twice a change among 100.
CREATE FUNCTION flag_check(key VARCHAR, revision BIGINT, updated_at TIMESTAMP WITH TIME ZONE) RETURNS BIGINT LANGUAGE sql STABLE AS $$
    SELECT hashtextextended(key, hashint8extended(revision, (date_part('epoch', updated_at) * 1000000)::bigint)) >> 24
$$;
COMMENT ON FUNCTION flag_check(VARCHAR, BIGINT, TIMESTAMP WITH TIME ZONE) IS 'A number of 40 bits that names one state of a flag: no two histories give a flag the same key, revision and time of change';

CREATE FUNCTION living_flags_check(environment_name VARCHAR) RETURNS BIGINT LANGUAGE sql STABLE AS $$
    SELECT COALESCE(sum(flag_check(key, revision, updated_at)), 0)::bigint FROM flags WHERE environment = environment_name AND archived_at IS NULL
$$;
COMMENT ON FUNCTION living_flags_check(VARCHAR) IS 'The sum of the checks of an environment''s living flags; reads all of them';

ALTER TABLE environments ADD COLUMN flags_check BIGINT NOT NULL DEFAULT 0;
COMMENT ON COLUMN environments.flags_check IS 'The sum of flag_check over its living flags, kept by triggers';
UPDATE environments SET flags_check = living_flags_check(name);

-- A statement that writes thousands of flags, such as an import, updates each environment once.
CREATE FUNCTION note_flag_checks() RETURNS TRIGGER LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        UPDATE environments e SET flags_check = e.flags_check + moved.by
        FROM (SELECT environment, sum(flag_check(key, revision, updated_at))::bigint AS by FROM flags_after WHERE archived_at IS NULL GROUP BY environment) moved
        WHERE e.name = moved.environment;
    ELSIF TG_OP = 'DELETE' THEN
        UPDATE environments e SET flags_check = e.flags_check - moved.by
        FROM (SELECT environment, sum(flag_check(key, revision, updated_at))::bigint AS by FROM flags_before WHERE archived_at IS NULL GROUP BY environment) moved
        WHERE e.name = moved.environment;
    ELSE
        -- Counts of evaluations leave the sum as it is, and so need no lock of the environment.
        UPDATE environments e SET flags_check = e.flags_check + moved.by
        FROM (
            SELECT environment, sum(checks)::bigint AS by FROM (
                SELECT environment, flag_check(key, revision, updated_at) AS checks FROM flags_after WHERE archived_at IS NULL
                UNION ALL SELECT environment, -flag_check(key, revision, updated_at) FROM flags_before WHERE archived_at IS NULL
            ) parts GROUP BY environment HAVING sum(checks) <> 0
        ) moved
        WHERE e.name = moved.environment;
    END IF;
    RETURN NULL;
END;
$$;
COMMENT ON FUNCTION note_flag_checks() IS 'Keeps environments.flags_check';

CREATE TRIGGER flags_checked_insert AFTER INSERT ON flags REFERENCING NEW TABLE AS flags_after
    FOR EACH STATEMENT EXECUTE FUNCTION note_flag_checks();
CREATE TRIGGER flags_checked_update AFTER UPDATE ON flags REFERENCING OLD TABLE AS flags_before NEW TABLE AS flags_after
    FOR EACH STATEMENT EXECUTE FUNCTION note_flag_checks();
CREATE TRIGGER flags_checked_delete AFTER DELETE ON flags REFERENCING OLD TABLE AS flags_before
    FOR EACH STATEMENT EXECUTE FUNCTION note_flag_checks();

-- A restore fills tables in an order of its own: the sum of a row that it brings is counted, so that no flag counts twice.
CREATE FUNCTION count_flag_checks() RETURNS TRIGGER LANGUAGE plpgsql AS $$
BEGIN
    NEW.flags_check := living_flags_check(NEW.name);
    RETURN NEW;
END;
$$;
COMMENT ON FUNCTION count_flag_checks() IS 'Gives a new row of environments the sum of its flags';

CREATE TRIGGER environments_counted BEFORE INSERT ON environments FOR EACH ROW EXECUTE FUNCTION count_flag_checks();
