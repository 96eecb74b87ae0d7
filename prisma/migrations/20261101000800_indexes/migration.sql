-- Indexes of the query patterns. idx_users_email, idx_flags_key and idx_api_keys_key_hash are not here: they are the
-- indexes of the UNIQUE constraints of the same names.
CREATE INDEX idx_users_role ON users(role);
CREATE INDEX idx_users_is_active ON users(is_active);

CREATE INDEX idx_flags_enabled ON flags(enabled);
CREATE INDEX idx_flags_safety_level ON flags(safety_level);
CREATE INDEX idx_flags_environment ON flags(environment);
CREATE INDEX idx_flags_created_at ON flags(created_at DESC);
CREATE INDEX idx_flags_archived_at ON flags(archived_at) WHERE archived_at IS NULL;
CREATE INDEX idx_flags_env_enabled ON flags(environment, enabled) WHERE archived_at IS NULL;
CREATE INDEX idx_flags_search ON flags USING GIN (to_tsvector('english', name || ' ' || COALESCE(description, '')));

CREATE INDEX idx_rules_flag_id ON rules(flag_id);
CREATE INDEX idx_rules_type ON rules(type);
CREATE INDEX idx_rules_priority ON rules(priority DESC);
CREATE INDEX idx_rules_enabled ON rules(enabled);
CREATE INDEX idx_rules_conditions ON rules USING GIN (conditions);

CREATE INDEX idx_audit_logs_user_id ON audit_logs(user_id);
CREATE INDEX idx_audit_logs_flag_id ON audit_logs(flag_id);
CREATE INDEX idx_audit_logs_action ON audit_logs(action);
CREATE INDEX idx_audit_logs_created_at ON audit_logs(created_at DESC);

CREATE INDEX idx_vehicles_model ON vehicles(model);
CREATE INDEX idx_vehicles_sw_version ON vehicles(sw_version);
CREATE INDEX idx_vehicles_region ON vehicles(region);
CREATE INDEX idx_vehicles_status ON vehicles(status);
CREATE INDEX idx_vehicles_last_seen_at ON vehicles(last_seen_at DESC);

CREATE INDEX idx_experiments_flag_id ON experiments(flag_id);
CREATE INDEX idx_experiments_status ON experiments(status);
CREATE INDEX idx_experiments_start_date ON experiments(start_date DESC);

CREATE INDEX idx_api_keys_is_active ON api_keys(is_active);
CREATE INDEX idx_api_keys_expires_at ON api_keys(expires_at);
