ALTER TABLE releases ADD COLUMN stable_content JSONB
    CONSTRAINT releases_stable_content_check CHECK (jsonb_typeof(stable_content) = 'object');
COMMENT ON COLUMN releases.stable_content IS 'The content outside the ring, in the form of content; NULL where it was not kept';

-- Of releases under way the flag has it; of those that have ended nothing has.
UPDATE releases r SET stable_content =
    (f.release->'stable') - 'disabled'
    || jsonb_build_object('rules', (
        SELECT COALESCE(jsonb_agg(rule - 'createdAt' - 'updatedAt' ORDER BY place), '[]')
        FROM jsonb_array_elements(f.release#>'{stable,rules}') WITH ORDINALITY AS stored (rule, place)))
    || CASE WHEN (f.release#>>'{stable,disabled}')::boolean THEN '{"enabled": false}'::jsonb ELSE '{}' END
FROM flags f
WHERE f.id = r.flag_id AND r.ended_at IS NULL AND f.release IS NOT NULL;
