-- Rules that name a segment would reach more vehicles without it, so they are disabled; one that says nothing else goes.
-- Vehicles keep what was signed until the flag's next change.
DELETE FROM rules WHERE type = 'vehicle_target' AND conditions ? 'segment' AND conditions - 'segment' = '{}';
UPDATE rules SET enabled = false, conditions = conditions - 'segment' WHERE conditions ? 'segment';
-- Requests of changes that name a segment cannot be applied without it.
UPDATE change_requests SET status = 'cancelled', reviewed_at = now()
WHERE status = 'pending' AND (action = 'SAVE_SEGMENT' OR jsonb_path_exists(proposed, '$.rules[*].conditions.segment'));

DROP TABLE segments;
DROP TABLE vehicle_tags;
DROP TRIGGER vehicles_updated_at ON vehicles;
CREATE TRIGGER vehicles_updated_at BEFORE UPDATE ON vehicles FOR EACH ROW
    WHEN (ROW (OLD.vin, OLD.model, OLD.sw_version, OLD.region, OLD.status, OLD.environment, OLD.agent_version, OLD.token_generation)
        IS DISTINCT FROM ROW (NEW.vin, NEW.model, NEW.sw_version, NEW.region, NEW.status, NEW.environment, NEW.agent_version, NEW.token_generation))
    EXECUTE FUNCTION note_vehicle_change();
DROP INDEX idx_vehicles_tags;
ALTER TABLE vehicles DROP COLUMN tags;

-- The audit log is append-only: rows of the actions that this takes away stay, and only new ones are refused.
DO $$
BEGIN
    ALTER TABLE audit_logs DROP CONSTRAINT audit_logs_action_check;
    ALTER TABLE audit_logs ADD CONSTRAINT audit_logs_action_check CHECK (action IN (
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
            'REORDER_RULES', 'REMOVE_OPERATIONS'
        )) NOT VALID;
    IF NOT EXISTS (SELECT FROM audit_logs WHERE action IN ('SAVE_SEGMENT', 'DELETE_SEGMENT', 'TAG_VEHICLES', 'REFRESH_SEGMENT')) THEN
        ALTER TABLE audit_logs VALIDATE CONSTRAINT audit_logs_action_check;
    END IF;
END
$$;
