-- The trail is append-only: rows of the actions that this takes away stay, and only new ones are refused.
DO $$
BEGIN
    ALTER TABLE audit_logs DROP CONSTRAINT audit_logs_action_check;
    ALTER TABLE audit_logs ADD CONSTRAINT audit_logs_action_check CHECK (action IN (
            'CREATE_FLAG', 'UPDATE_FLAG', 'DELETE_FLAG', 'ARCHIVE_FLAG', 'CREATE_RULE',
            'UPDATE_RULE', 'DELETE_RULE', 'KILL_SWITCH', 'ENABLE_FLAG', 'DISABLE_FLAG',
            'RELEASE_KILL_SWITCH', 'SIGN_IN', 'SIGN_IN_FAILED', 'REGISTER_VEHICLES', 'ISSUE_VEHICLE_TOKEN',
            'CREATE_USER', 'UPDATE_USER', 'CREATE_EXPERIMENT', 'UPDATE_EXPERIMENT', 'REQUEST_CHANGE',
            'APPROVE_CHANGE', 'REJECT_CHANGE', 'CANCEL_CHANGE', 'SCHEDULE_ROLLOUT', 'PAUSE_ROLLOUT',
            'RESUME_ROLLOUT', 'CANCEL_ROLLOUT'
        )) NOT VALID;
    IF NOT EXISTS (SELECT FROM audit_logs WHERE action IN (
            'SIGN_OUT', 'CHANGE_PASSWORD', 'CREATE_API_KEY', 'REVOKE_API_KEY', 'REGISTER_OPERATIONS',
            'DETACH_PARTITION', 'REVOKE_VEHICLE_TOKENS', 'SET_MAINTENANCE', 'START_EXPERIMENT', 'COMPLETE_EXPERIMENT',
            'CANCEL_EXPERIMENT', 'GUARD_ROLLOUT'
        )) THEN
        ALTER TABLE audit_logs VALIDATE CONSTRAINT audit_logs_action_check;
    END IF;
END
$$;
