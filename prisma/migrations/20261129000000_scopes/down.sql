-- Without scopes every vehicle would get a flag that was meant for some models, so such flags are archived; their
-- versions bring them back. Flags with dependencies are disabled, as their signed definitions say to all agents.
UPDATE flags SET archived_at = now(), enabled = false WHERE scope IS NOT NULL AND archived_at IS NULL;
UPDATE flags SET enabled = false WHERE enabled AND (requires <> '[]' OR excludes <> '{}');
-- Requests of changes that have scopes or dependencies cannot be applied without them.
UPDATE change_requests SET status = 'cancelled', reviewed_at = now()
WHERE status = 'pending' AND (jsonb_typeof(proposed->'scope') = 'array' OR jsonb_array_length(COALESCE(proposed->'requires', '[]')) > 0
    OR jsonb_array_length(COALESCE(proposed->'excludes', '[]')) > 0);
-- A flag that waited for such a request has nothing to wait for: its key is free again.
UPDATE flags SET key = left(key, 63) || '~' || id, draft = false, enabled = false
WHERE draft AND NOT EXISTS (SELECT FROM change_requests r WHERE r.flag_id = flags.id AND r.status = 'pending');

-- One tombstone for each flag that is gone, the newest; none for a flag that has only left some partitions.
DELETE FROM flag_tombstones t WHERE partition <> '' AND EXISTS (
    SELECT FROM flags f WHERE f.environment = t.environment AND f.key = t.key AND f.archived_at IS NULL);
DELETE FROM flag_tombstones t WHERE EXISTS (
    SELECT FROM flag_tombstones o WHERE o.environment = t.environment AND o.key = t.key
        AND (o.revision, o.partition) > (t.revision, t.partition));
ALTER TABLE flag_tombstones DROP CONSTRAINT flag_tombstones_pkey;
ALTER TABLE flag_tombstones DROP COLUMN partition;
ALTER TABLE flag_tombstones ADD PRIMARY KEY (environment, key);

DROP TABLE scoped_models;
ALTER TABLE flags
    DROP CONSTRAINT flags_scope_check,
    DROP CONSTRAINT flags_requires_check,
    DROP COLUMN scope,
    DROP COLUMN requires,
    DROP COLUMN excludes;
