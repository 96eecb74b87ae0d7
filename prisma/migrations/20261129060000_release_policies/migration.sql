-- Release policies: how a change of what a flag serves reaches an environment's vehicles. No row, and a row without
-- stages, mean at once.
CREATE TABLE release_policies (
    environment VARCHAR(20) PRIMARY KEY CONSTRAINT release_policies_environment_check CHECK (environment IN ('development', 'staging', 'production')),
    stages JSONB NOT NULL DEFAULT '[]' CONSTRAINT release_policies_stages_check CHECK (jsonb_typeof(stages) = 'array'),
    canary JSONB CONSTRAINT release_policies_canary_check CHECK (jsonb_typeof(canary) = 'object'),
    safety_levels TEXT[] NOT NULL DEFAULT '{Non-Critical,Safety-Relevant,ASIL-B,ASIL-D}' CONSTRAINT release_policies_safety_levels_check CHECK (safety_levels <@ '{Non-Critical,Safety-Relevant,ASIL-B,ASIL-D}'::text[]),
    maximum_faulty_vehicles INTEGER NOT NULL DEFAULT 3 CONSTRAINT release_policies_maximum_faulty_vehicles_check CHECK (maximum_faulty_vehicles >= 0),
    maximum_faulty_percent DOUBLE PRECISION NOT NULL DEFAULT 1 CONSTRAINT release_policies_maximum_faulty_percent_check CHECK (maximum_faulty_percent >= 0 AND maximum_faulty_percent <= 100),
    updated_by UUID REFERENCES users(id) ON DELETE SET NULL,
    updated_at TIMESTAMP WITH TIME ZONE,
    proposal_id UUID,
    proposed JSONB CONSTRAINT release_policies_proposed_check CHECK (jsonb_typeof(proposed) = 'object'),
    proposed_by UUID REFERENCES users(id) ON DELETE SET NULL,
    proposed_at TIMESTAMP WITH TIME ZONE,
    CONSTRAINT release_policies_whole_proposal CHECK ((proposal_id IS NULL) = (proposed IS NULL) AND (proposal_id IS NULL) = (proposed_at IS NULL))
);
COMMENT ON TABLE release_policies IS 'The stages in which changes reach vehicles; an environment without a row, or without stages, has none';
COMMENT ON COLUMN release_policies.stages IS 'A list of {percentage, soakMs, minimumVehicles} with raising percentages, the last 100';
COMMENT ON COLUMN release_policies.canary IS 'Who gets changes first: vins, models, regions; null: nobody in particular';
COMMENT ON COLUMN release_policies.safety_levels IS 'The levels of the flags whose changes go through the stages';
COMMENT ON COLUMN release_policies.updated_at IS 'When the policy was last set; null: never';
COMMENT ON COLUMN release_policies.proposed IS 'A looser policy that waits for the second person: the columns above, by their names in the domain';

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
        'SAVE_SEGMENT', 'DELETE_SEGMENT', 'TAG_VEHICLES', 'REFRESH_SEGMENT',
        'SET_RELEASE_POLICY', 'PROPOSE_RELEASE_POLICY', 'REJECT_RELEASE_POLICY'
    ));
