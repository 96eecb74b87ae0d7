-- Targeting rules: whom a flag's other values are for.
CREATE TABLE rules (
    id UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    flag_id UUID NOT NULL REFERENCES flags(id) ON DELETE CASCADE,
    type VARCHAR(50) NOT NULL CHECK (type IN ('percentage_rollout', 'vehicle_whitelist', 'vehicle_target', 'user_attribute', 'kill_switch')),
    priority INTEGER NOT NULL DEFAULT 100,
    enabled BOOLEAN NOT NULL DEFAULT true,
    conditions JSONB NOT NULL,
    value JSONB,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT NOW(),
    updated_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT NOW(),
    CONSTRAINT unique_flag_type_priority UNIQUE (flag_id, type, priority)
);

COMMENT ON TABLE rules IS 'Targeting rules of flags';
COMMENT ON COLUMN rules.priority IS 'Higher is evaluated first; the first match wins';
COMMENT ON COLUMN rules.conditions IS 'By type, for example {"rollout_percentage": 75, "sticky": true}';
COMMENT ON COLUMN rules.value IS 'The variant''s value, optional';
