-- Segments: named audiences that rules name in their conditions. Tags: what operators call vehicles by, for segments.
CREATE TABLE segments (
    key VARCHAR(100) PRIMARY KEY,
    name VARCHAR(200) NOT NULL,
    conditions JSONB NOT NULL CONSTRAINT segments_conditions_check CHECK (jsonb_typeof(conditions) = 'object' AND conditions <> '{}'),
    tag_changes BIGINT NOT NULL DEFAULT 0,
    created_by UUID REFERENCES users(id) ON DELETE SET NULL,
    updated_by UUID REFERENCES users(id) ON DELETE SET NULL,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT NOW(),
    updated_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT NOW()
);
COMMENT ON TABLE segments IS 'Named audiences; rules name them as {"segment": key}, and signed definitions hold what they say';
COMMENT ON COLUMN segments.conditions IS 'models, sw_version, regions, all, vins, tags: all that are given must hold';
COMMENT ON COLUMN segments.tag_changes IS 'The changes of its tags, summed over vehicle_tags, for which its flags were last signed';

ALTER TABLE vehicles ADD COLUMN tags TEXT[] NOT NULL DEFAULT '{}';
COMMENT ON COLUMN vehicles.tags IS 'What operators call the vehicle by, in order; segments select vehicles by them';
CREATE INDEX idx_vehicles_tags ON vehicles USING gin (tags);
-- A tag describes the vehicle, so it moves updated_at.
DROP TRIGGER vehicles_updated_at ON vehicles;
CREATE TRIGGER vehicles_updated_at BEFORE UPDATE ON vehicles FOR EACH ROW
    WHEN (ROW (OLD.vin, OLD.model, OLD.sw_version, OLD.region, OLD.status, OLD.environment, OLD.agent_version, OLD.token_generation, OLD.tags)
        IS DISTINCT FROM ROW (NEW.vin, NEW.model, NEW.sw_version, NEW.region, NEW.status, NEW.environment, NEW.agent_version, NEW.token_generation, NEW.tags))
    EXECUTE FUNCTION note_vehicle_change();

-- Counted in the transaction that changes vehicles, so that no change of a tag can be missed by who signs.
CREATE TABLE vehicle_tags (
    tag VARCHAR(50) PRIMARY KEY,
    changes BIGINT NOT NULL CONSTRAINT vehicle_tags_changes_check CHECK (changes > 0)
);
COMMENT ON TABLE vehicle_tags IS 'How often each tag was given to vehicles or taken from them';
COMMENT ON COLUMN vehicle_tags.changes IS 'Raised under the row''s lock; compared with segments.tag_changes';

ALTER TABLE audit_logs
    DROP CONSTRAINT audit_logs_action_check,
    ADD CONSTRAINT audit_logs_action_check CHECK (action IN (
        'CREATE_FLAG', 'UPDATE_FLAG', 'DELETE_FLAG', 'ARCHIVE_FLAG', 'CREATE_RULE',
        'UPDATE_RULE', 'DELETE_RULE', 'KILL_SWITCH', 'ENABLE_FLAG', 'DISABLE_FLAG',
        'RELEASE_KILL_SWITCH', 'SIGN_IN', 'SIGN_IN_FAILED', 'REGISTER_VEHICLES', 'ISSUE_VEHICLE_TOKEN',
        'CREATE_USER', 'UPDATE_USER', 'CREATE_EXPERIMENT', 'UPDATE_EXPERIMENT', 'REQUEST_CHANGE',
        'APPROVE_CHANGE', 'REJECT_CHANGE', 'CANCEL_CHANGE', 'SCHEDULE_ROLLOUT', 'PAUSE_ROLLOUT',
        'RESUME_ROLLOUT', 'CANCEL_ROLLOUT', 'SIGN_OUT', 'CHANGE_PASSWORD', 'CREATE_API_KEY',
        'REVOKE_API_KEY', 'REGISTER_OPERATIONS', 'DETACH_PARTITION', 'REVOKE_VEHICLE_TOKENS', 'SET_MAINTENANCE',
        'START_EXPERIMENT', 'COMPLETE_EXPERIMENT', 'CANCEL_EXPERIMENT', 'GUARD_ROLLOUT',
        'ADVANCE_REVISION', 'DEFINE_METRIC', 'RESTORE_FLAG', 'UNARCHIVE_FLAG',
        'CREATE_WEBHOOK', 'UPDATE_WEBHOOK', 'DELETE_WEBHOOK', 'DISABLE_WEBHOOK',
        'ROTATE_WEBHOOK_SECRET', 'TEST_WEBHOOK', 'REPLAY_WEBHOOK',
        'REORDER_RULES', 'REMOVE_OPERATIONS',
        'SAVE_SEGMENT', 'DELETE_SEGMENT', 'TAG_VEHICLES', 'REFRESH_SEGMENT'
    ));
