-- What each flag consisted of after each of its changes, so that an earlier content can be restored.
CREATE TABLE flag_versions (
    flag_id UUID NOT NULL REFERENCES flags(id) ON DELETE CASCADE,
    environment VARCHAR(20) NOT NULL CHECK (environment IN ('development', 'staging', 'production')),
    revision BIGINT NOT NULL,
    content JSONB NOT NULL,
    created_by UUID REFERENCES users(id) ON DELETE SET NULL,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    PRIMARY KEY (flag_id, environment, revision)
);

COMMENT ON TABLE flag_versions IS 'The content of each flag after each of its changes';
COMMENT ON COLUMN flag_versions.revision IS 'The revision of the environment that the change made';
COMMENT ON COLUMN flag_versions.content IS 'What people decide of a flag, as the audit log shows it';

-- What flags consisted of before this migration is not known but in the audit log; their present content is.
INSERT INTO flag_versions (flag_id, environment, revision, content, created_by, created_at)
SELECT f.id, f.environment, f.revision, jsonb_build_object(
    'key', f.key, 'name', f.name, 'description', f.description, 'type', f.type, 'defaultValue', f.default_value->'value',
    'enabled', f.enabled, 'safetyLevel', f.safety_level, 'environment', f.environment, 'archived', f.archived_at IS NOT NULL,
    'rules', (SELECT COALESCE(jsonb_agg(jsonb_build_object('id', r.id, 'type', r.type, 'priority', r.priority,
        'enabled', r.enabled, 'conditions', r.conditions, 'value', r.value->'value', 'variant', r.variant)
        ORDER BY r.priority DESC, r.type, r.id), '[]') FROM rules r WHERE r.flag_id = f.id)
), f.updated_by, date_trunc('milliseconds', f.updated_at)
FROM flags f WHERE NOT f.draft AND f.key NOT LIKE '%~%';
