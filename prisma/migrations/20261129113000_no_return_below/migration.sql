-- The lowest revision to which a vehicle may go back by itself: that of the last change that has stopped the flag.
ALTER TABLE flags ADD COLUMN no_return_below BIGINT NOT NULL DEFAULT 0;
-- The last stop of a flag: a version in which it was killed, disabled or archived, or what followed a halted release.
UPDATE flags SET no_return_below = LEAST(revision, GREATEST(
    (SELECT COALESCE(max(v.revision), 0) FROM flag_versions v WHERE v.flag_id = flags.id AND v.environment = flags.environment
        AND (v.content -> 'enabled' = 'false' OR v.content -> 'archived' = 'true'
            OR v.content @? '$.rules[*] ? (@.type == "kill_switch" && @.enabled == true && @.conditions.force_disabled == true)')),
    (SELECT COALESCE(max(r.revision) + 1, 0) FROM releases r WHERE r.flag_id = flags.id AND r.environment = flags.environment
        AND r.status = 'halted')
));
ALTER TABLE flags ADD CONSTRAINT flags_no_return_below_check CHECK (no_return_below >= 0 AND no_return_below <= revision);
COMMENT ON COLUMN flags.no_return_below IS 'The revision of the last kill, disabling, halt or guard: no vehicle goes back below it by itself';

-- Each environment counts revisions of its own, and a restored row has its own bound with its lower revision.
CREATE FUNCTION refuse_lower_return() RETURNS TRIGGER LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'flags.no_return_below of % must not fall from % to %', OLD.key, OLD.no_return_below, NEW.no_return_below
        USING ERRCODE = 'check_violation', CONSTRAINT = 'flags_no_return_below_rises';
END;
$$;
COMMENT ON FUNCTION refuse_lower_return() IS 'Refuses a lower flags.no_return_below';
CREATE TRIGGER flags_no_return_below_rises BEFORE UPDATE OF no_return_below ON flags
    FOR EACH ROW WHEN (NEW.no_return_below < OLD.no_return_below AND NEW.environment = OLD.environment AND NEW.revision >= OLD.revision)
    EXECUTE FUNCTION refuse_lower_return();
