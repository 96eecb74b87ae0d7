/**
 * The expected content of the migrated database, written out by name from the data specification. A test compares it
 * with PostgreSQL's own catalogue, in both directions. A column that is nullable in the data specification and has a
 * default is NOT NULL here, because a third state of `enabled` would mean nothing.
 */
export interface TableSpecification {
  /** Name → type, `NOT NULL`, `DEFAULT`, as PostgreSQL spells them. */
  readonly columns: Readonly<Record<string, string>>;
  /** Primary key, UNIQUE, CHECK and FOREIGN KEY constraints: name → definition. */
  readonly constraints: Readonly<Record<string, string>>;
  /** Indexes beside those of the constraints: name → the text after `USING`. */
  readonly indexes: Readonly<Record<string, string>>;
  /** Columns that have a COMMENT; every table has one. */
  readonly commented: readonly string[];
  /** Names of triggers. */
  readonly triggers?: readonly string[];
}

const ID = { id: 'uuid NOT NULL DEFAULT gen_random_uuid()' };
const NOW = 'timestamp with time zone NOT NULL DEFAULT now()';
const TIME = 'timestamp with time zone';
const TIMES = { created_at: NOW, updated_at: NOW };
const HASH = 'character(64) NOT NULL';
const ENVIRONMENT = ['development', 'staging', 'production'];

/** Gives a CHECK that a text column has one of some values, in PostgreSQL's normal form. */
function oneOf(column: string, values: readonly string[]): string {
  return `CHECK (((${column})::text = ANY ((ARRAY[${values.map((value) => `'${value}'::character varying`).join(', ')}])::text[])))`;
}

function text(length: number): string {
  return `character varying(${length})`;
}

/** The tables by name. */
export const TABLES: Readonly<Record<string, TableSpecification>> = {
  users: {
    columns: {
      ...ID,
      email: `${text(255)} NOT NULL`,
      name: `${text(100)} NOT NULL`,
      password_hash: `${text(255)} NOT NULL`,
      role: `${text(20)} NOT NULL`,
      department: text(100),
      is_active: 'boolean NOT NULL DEFAULT true',
      last_login_at: TIME,
      ...TIMES,
    },
    constraints: {
      users_pkey: 'PRIMARY KEY (id)',
      idx_users_email: 'UNIQUE (email)',
      users_role_check: oneOf('role', ['ADMIN', 'WRITE', 'READ', 'SAFETY']),
    },
    indexes: { idx_users_role: 'btree (role)', idx_users_is_active: 'btree (is_active)' },
    commented: ['password_hash', 'role'],
  },
  flags: {
    columns: {
      ...ID,
      key: `${text(100)} NOT NULL`,
      name: `${text(200)} NOT NULL`,
      description: 'text',
      type: `${text(20)} NOT NULL`,
      default_value: 'jsonb NOT NULL',
      enabled: 'boolean NOT NULL DEFAULT false',
      safety_level: `${text(20)} NOT NULL`,
      environment: `${text(20)} NOT NULL`,
      total_evaluations: 'bigint NOT NULL DEFAULT 0',
      active_vehicles: 'integer NOT NULL DEFAULT 0',
      last_evaluation_at: TIME,
      created_by: 'uuid',
      updated_by: 'uuid',
      ...TIMES,
      archived_at: TIME,
      // Not in the data specification.
      revision: 'bigint NOT NULL DEFAULT 0',
      signed_definition: 'text',
      draft: 'boolean NOT NULL DEFAULT false',
    },
    constraints: {
      flags_pkey: 'PRIMARY KEY (id)',
      idx_flags_key: 'UNIQUE (key)',
      flags_type_check: oneOf('type', ['boolean', 'string', 'number', 'json']),
      flags_safety_level_check: oneOf('safety_level', ['Non-Critical', 'Safety-Relevant', 'ASIL-B', 'ASIL-D']),
      flags_environment_check: oneOf('environment', ENVIRONMENT),
      flags_draft_check: 'CHECK (((NOT draft) OR (archived_at IS NOT NULL)))',
      flags_default_value_given: `CHECK ((COALESCE(jsonb_typeof((default_value -> 'value'::text)), 'null'::text) <> 'null'::text))`,
      flags_created_by_fkey: 'FOREIGN KEY (created_by) REFERENCES users(id) ON DELETE SET NULL',
      flags_updated_by_fkey: 'FOREIGN KEY (updated_by) REFERENCES users(id) ON DELETE SET NULL',
    },
    indexes: {
      idx_flags_enabled: 'btree (enabled)',
      idx_flags_safety_level: 'btree (safety_level)',
      idx_flags_environment: 'btree (environment)',
      idx_flags_created_at: 'btree (created_at DESC)',
      idx_flags_archived_at: 'btree (archived_at) WHERE (archived_at IS NULL)',
      idx_flags_env_enabled: 'btree (environment, enabled) WHERE (archived_at IS NULL)',
      idx_flags_search: `gin (to_tsvector('english'::regconfig, (((name)::text || ' '::text) || COALESCE(description, ''::text))))`,
      // Not in the data specification.
      idx_flags_env_revision: 'btree (environment, revision)',
      idx_flags_key_folded: 'btree (lower((key)::text))',
      idx_flags_search_parts: String.raw`gin (regexp_replace(regexp_replace(lower((((((' '::text || (key)::text) || ' '::text) || (name)::text) || ' '::text) || COALESCE(description, ''::text))), '[!-/:-@[-${'`'}{-~\s]+'::text, ' '::text, 'g'::text), '[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7a3]'::text, '\&\&'::text, 'g'::text) gin_trgm_ops)`,
    },
    commented: [
      'key',
      'default_value',
      'safety_level',
      'environment',
      'total_evaluations',
      'active_vehicles',
      'last_evaluation_at',
      'archived_at',
      'revision',
      'signed_definition',
      'draft',
    ],
  },
  rules: {
    columns: {
      ...ID,
      flag_id: 'uuid NOT NULL',
      type: `${text(50)} NOT NULL`,
      priority: 'integer NOT NULL DEFAULT 100',
      enabled: 'boolean NOT NULL DEFAULT true',
      conditions: 'jsonb NOT NULL',
      value: 'jsonb',
      ...TIMES,
      // Not in the data specification.
      variant: text(50),
    },
    constraints: {
      rules_pkey: 'PRIMARY KEY (id)',
      rules_flag_id_fkey: 'FOREIGN KEY (flag_id) REFERENCES flags(id) ON DELETE CASCADE',
      rules_type_check: oneOf('type', [
        'percentage_rollout',
        'vehicle_whitelist',
        'vehicle_target',
        'user_attribute',
        'kill_switch',
      ]),
      // Not in the data specification.
      rules_value_given: `CHECK (((value IS NULL) OR (COALESCE(jsonb_typeof((value -> 'value'::text)), 'null'::text) <> 'null'::text)))`,
      unique_flag_type_priority: 'UNIQUE (flag_id, type, priority)',
    },
    indexes: {
      idx_rules_flag_id: 'btree (flag_id)',
      idx_rules_type: 'btree (type)',
      idx_rules_priority: 'btree (priority DESC)',
      idx_rules_enabled: 'btree (enabled)',
      idx_rules_conditions: 'gin (conditions)',
    },
    commented: ['priority', 'conditions', 'value', 'variant'],
  },
  audit_logs: {
    columns: {
      ...ID,
      user_id: 'uuid',
      flag_id: 'uuid',
      action: `${text(50)} NOT NULL`,
      before_value: 'jsonb',
      after_value: 'jsonb',
      ip_address: 'inet',
      user_agent: 'text',
      request_id: 'uuid',
      created_at: NOW,
      // Not in the data specification.
      chain_position: 'bigint NOT NULL',
      previous_hash: HASH,
      hash: HASH,
      api_key_id: 'uuid',
    },
    constraints: {
      audit_logs_pkey: 'PRIMARY KEY (id, created_at)',
      audit_logs_user_id_fkey: 'FOREIGN KEY (user_id) REFERENCES users(id) ON DELETE SET NULL',
      audit_logs_flag_id_fkey: 'FOREIGN KEY (flag_id) REFERENCES flags(id) ON DELETE SET NULL',
      audit_logs_api_key_id_fkey: 'FOREIGN KEY (api_key_id) REFERENCES api_keys(id) ON DELETE SET NULL',
      audit_logs_action_check: oneOf('action', [
        'CREATE_FLAG',
        'UPDATE_FLAG',
        'DELETE_FLAG',
        'ARCHIVE_FLAG',
        'CREATE_RULE',
        'UPDATE_RULE',
        'DELETE_RULE',
        'KILL_SWITCH',
        'ENABLE_FLAG',
        'DISABLE_FLAG',
        // Not in the data specification.
        'RELEASE_KILL_SWITCH',
        'SIGN_IN',
        'SIGN_IN_FAILED',
        'REGISTER_VEHICLES',
        'ISSUE_VEHICLE_TOKEN',
        'CREATE_USER',
        'UPDATE_USER',
        'CREATE_EXPERIMENT',
        'UPDATE_EXPERIMENT',
        'REQUEST_CHANGE',
        'APPROVE_CHANGE',
        'REJECT_CHANGE',
        'CANCEL_CHANGE',
        'SCHEDULE_ROLLOUT',
        'PAUSE_ROLLOUT',
        'RESUME_ROLLOUT',
        'CANCEL_ROLLOUT',
        'SIGN_OUT',
        'CHANGE_PASSWORD',
        'CREATE_API_KEY',
        'REVOKE_API_KEY',
        'REGISTER_OPERATIONS',
        'DETACH_PARTITION',
        'REVOKE_VEHICLE_TOKENS',
        'SET_MAINTENANCE',
        'START_EXPERIMENT',
        'COMPLETE_EXPERIMENT',
        'CANCEL_EXPERIMENT',
        'GUARD_ROLLOUT',
        'ADVANCE_REVISION',
      ]),
    },
    indexes: {
      idx_audit_logs_user_id: 'btree (user_id)',
      idx_audit_logs_flag_id: 'btree (flag_id)',
      idx_audit_logs_action: 'btree (action)',
      idx_audit_logs_created_at: 'btree (created_at DESC)',
      // Not in the data specification.
      idx_audit_logs_chain_position: 'btree (chain_position)',
    },
    commented: [
      'action',
      'before_value',
      'after_value',
      'request_id',
      'created_at',
      'chain_position',
      'previous_hash',
      'hash',
      'api_key_id',
    ],
    triggers: ['audit_logs_append_only', 'audit_logs_no_truncate'],
  },
  vehicles: {
    columns: {
      vin: `${text(17)} NOT NULL`,
      model: `${text(100)} NOT NULL`,
      sw_version: `${text(50)} NOT NULL`,
      region: `${text(10)} NOT NULL`,
      status: `${text(20)} NOT NULL`,
      last_seen_at: TIME,
      agent_version: text(20),
      agent_memory_mb: 'integer',
      agent_cpu_percent: 'numeric(5,2)',
      cache_size_mb: 'numeric(8,2)',
      registered_at: NOW,
      updated_at: NOW,
      // Not in the data specification.
      environment: text(20),
      applied_revision: 'bigint',
      token_generation: 'integer NOT NULL DEFAULT 0',
      tokens_revoked_at: 'timestamp(3) with time zone',
      disconnected_at: TIME,
      status_position: 'bigint',
      clock_offset_seconds: 'double precision',
      agent_refusals: "text[] NOT NULL DEFAULT '{}'::text[]",
    },
    constraints: {
      vehicles_pkey: 'PRIMARY KEY (vin)',
      vehicles_vin_check: `CHECK (((vin)::text ~ '^[A-HJ-NPR-Z0-9]{17}$'::text))`,
      vehicles_status_check: oneOf('status', ['online', 'offline', 'maintenance']),
      vehicles_environment_check: oneOf('environment', ENVIRONMENT),
      vehicles_token_generation_check: 'CHECK ((token_generation >= 0))',
      vehicles_tokens_revoked: 'CHECK (((token_generation > 0) = (tokens_revoked_at IS NOT NULL)))',
    },
    indexes: {
      idx_vehicles_model: 'btree (model)',
      idx_vehicles_sw_version: 'btree (sw_version)',
      idx_vehicles_region: 'btree (region)',
      idx_vehicles_status: 'btree (status)',
      idx_vehicles_last_seen_at: 'btree (last_seen_at DESC)',
      // Not in the data specification.
      idx_vehicles_tokens_revoked: 'btree (tokens_revoked_at, vin) WHERE (tokens_revoked_at IS NOT NULL)',
      idx_vehicles_env_revision: 'btree (environment, applied_revision)',
      idx_vehicles_disconnected_at: 'btree (disconnected_at) WHERE (disconnected_at IS NOT NULL)',
      idx_vehicles_status_position: 'btree (status_position) WHERE (status_position IS NOT NULL)',
    },
    commented: [
      'vin',
      'agent_version',
      'agent_memory_mb',
      'agent_cpu_percent',
      'cache_size_mb',
      'environment',
      'applied_revision',
      'token_generation',
      'tokens_revoked_at',
      'disconnected_at',
      'status_position',
      'clock_offset_seconds',
      'agent_refusals',
    ],
    triggers: ['vehicles_updated_at'],
  },
  experiments: {
    columns: {
      ...ID,
      flag_id: 'uuid NOT NULL',
      name: `${text(200)} NOT NULL`,
      description: 'text',
      status: `${text(20)} NOT NULL`,
      start_date: `${TIME} NOT NULL`,
      end_date: TIME,
      sample_size: 'integer NOT NULL',
      confidence_level: 'numeric(3,2) NOT NULL DEFAULT 0.95',
      primary_metric: `${text(100)} NOT NULL`,
      winner_variant: text(50),
      p_value: 'numeric(10,8)',
      improvement_percent: 'numeric(8,4)',
      ...TIMES,
      // Not in the data specification.
      treatment_share: 'numeric(6,5)',
      results: 'jsonb',
      cancel_reason: 'text',
    },
    constraints: {
      experiments_pkey: 'PRIMARY KEY (id)',
      experiments_flag_id_fkey: 'FOREIGN KEY (flag_id) REFERENCES flags(id) ON DELETE CASCADE',
      experiments_status_check: oneOf('status', ['draft', 'running', 'completed', 'cancelled']),
      experiments_confidence_level_check:
        'CHECK (((confidence_level >= (0)::numeric) AND (confidence_level <= (1)::numeric)))',
      experiments_treatment_share_check:
        'CHECK (((treatment_share > (0)::numeric) AND (treatment_share < (1)::numeric)))',
      experiments_results: "CHECK (((results IS NULL) OR ((status)::text = 'completed'::text)))",
    },
    indexes: {
      idx_experiments_flag_id: 'btree (flag_id)',
      idx_experiments_status: 'btree (status)',
      idx_experiments_start_date: 'btree (start_date DESC)',
      // Not in the data specification.
      idx_experiments_running_flag: "btree (flag_id) WHERE ((status)::text = 'running'::text)",
    },
    commented: [
      'confidence_level',
      'winner_variant',
      'p_value',
      'improvement_percent',
      'treatment_share',
      'results',
      'cancel_reason',
    ],
  },
  api_keys: {
    columns: {
      ...ID,
      name: `${text(100)} NOT NULL`,
      key_hash: `${text(255)} NOT NULL`,
      key_prefix: `${text(20)} NOT NULL`,
      role: `${text(20)} NOT NULL`,
      rate_limit_per_min: 'integer NOT NULL DEFAULT 10000',
      is_active: 'boolean NOT NULL DEFAULT true',
      last_used_at: TIME,
      expires_at: TIME,
      created_by: 'uuid',
      ...TIMES,
    },
    constraints: {
      api_keys_pkey: 'PRIMARY KEY (id)',
      idx_api_keys_key_hash: 'UNIQUE (key_hash)',
      api_keys_role_check: oneOf('role', ['READ', 'WRITE', 'ADMIN']),
      api_keys_created_by_fkey: 'FOREIGN KEY (created_by) REFERENCES users(id) ON DELETE SET NULL',
    },
    indexes: { idx_api_keys_is_active: 'btree (is_active)', idx_api_keys_expires_at: 'btree (expires_at)' },
    commented: ['name', 'key_hash', 'key_prefix'],
  },

  // The tables from here on are not in the data specification.
  environments: {
    columns: { name: `${text(20)} NOT NULL`, revision: 'bigint NOT NULL DEFAULT 0', updated_at: NOW },
    constraints: { environments_pkey: 'PRIMARY KEY (name)', environments_name_check: oneOf('name', ENVIRONMENT) },
    indexes: {},
    commented: ['revision'],
  },
  flag_tombstones: {
    columns: {
      environment: `${text(20)} NOT NULL`,
      key: `${text(100)} NOT NULL`,
      revision: 'bigint NOT NULL',
      signed_definition: 'text NOT NULL',
      created_at: NOW,
    },
    constraints: {
      flag_tombstones_pkey: 'PRIMARY KEY (environment, key)',
      flag_tombstones_environment_check: oneOf('environment', ENVIRONMENT),
    },
    indexes: { idx_flag_tombstones_env_revision: 'btree (environment, revision)' },
    commented: ['revision', 'signed_definition'],
  },
  change_requests: {
    columns: {
      ...ID,
      flag_id: 'uuid NOT NULL',
      action: `${text(50)} NOT NULL`,
      flag_revision: 'bigint NOT NULL',
      before_value: 'jsonb',
      after_value: 'jsonb',
      proposed: 'jsonb NOT NULL',
      status: `${text(20)} NOT NULL DEFAULT 'pending'::character varying`,
      requested_by: 'uuid NOT NULL',
      reviewed_by: 'uuid',
      comment: 'text',
      reviewed_at: TIME,
      ...TIMES,
      force: 'boolean NOT NULL DEFAULT false',
    },
    constraints: {
      change_requests_pkey: 'PRIMARY KEY (id)',
      change_requests_flag_id_fkey: 'FOREIGN KEY (flag_id) REFERENCES flags(id) ON DELETE CASCADE',
      change_requests_requested_by_fkey: 'FOREIGN KEY (requested_by) REFERENCES users(id)',
      change_requests_reviewed_by_fkey: 'FOREIGN KEY (reviewed_by) REFERENCES users(id)',
      change_requests_status_check: oneOf('status', ['pending', 'approved', 'rejected', 'cancelled']),
      change_requests_two_people:
        "CHECK ((((status)::text <> ALL ((ARRAY['approved'::character varying, 'rejected'::character varying])::text[])) OR ((reviewed_by IS NOT NULL) AND (reviewed_by <> requested_by))))",
    },
    indexes: {
      idx_change_requests_flag_id: 'btree (flag_id)',
      idx_change_requests_status: 'btree (status, created_at DESC)',
    },
    commented: ['flag_revision', 'proposed', 'force'],
  },
  rollouts: {
    columns: {
      ...ID,
      flag_id: 'uuid NOT NULL',
      rule_id: 'uuid NOT NULL',
      environment: `${text(20)} NOT NULL`,
      status: `${text(20)} NOT NULL`,
      paused_reason: 'text',
      next_step_at: TIME,
      scheduled_by: 'uuid NOT NULL',
      approved_by: 'uuid',
      change_request_id: 'uuid',
      ...TIMES,
    },
    constraints: {
      rollouts_pkey: 'PRIMARY KEY (id)',
      rollouts_flag_id_fkey: 'FOREIGN KEY (flag_id) REFERENCES flags(id) ON DELETE CASCADE',
      rollouts_rule_id_fkey: 'FOREIGN KEY (rule_id) REFERENCES rules(id) ON DELETE CASCADE',
      rollouts_scheduled_by_fkey: 'FOREIGN KEY (scheduled_by) REFERENCES users(id)',
      rollouts_approved_by_fkey: 'FOREIGN KEY (approved_by) REFERENCES users(id)',
      rollouts_change_request_id_fkey: 'FOREIGN KEY (change_request_id) REFERENCES change_requests(id)',
      rollouts_environment_check: oneOf('environment', ENVIRONMENT),
      rollouts_status_check: oneOf('status', [
        'waiting_for_approval',
        'running',
        'paused',
        'completed',
        'cancelled',
        'pulled_back',
      ]),
      rollouts_next_step: "CHECK (((next_step_at IS NULL) OR ((status)::text = 'running'::text)))",
    },
    indexes: {
      idx_rollouts_active_rule:
        "btree (rule_id) WHERE ((status)::text = ANY ((ARRAY['waiting_for_approval'::character varying, 'running'::character varying, 'paused'::character varying])::text[]))",
      idx_rollouts_rule_id: 'btree (rule_id, created_at DESC)',
      idx_rollouts_flag_id: 'btree (flag_id)',
      idx_rollouts_change_request_id: 'btree (change_request_id)',
      idx_rollouts_due: "btree (next_step_at) WHERE ((status)::text = 'running'::text)",
    },
    commented: ['environment', 'next_step_at', 'scheduled_by', 'approved_by', 'change_request_id'],
  },
  rollout_steps: {
    columns: {
      rollout_id: 'uuid NOT NULL',
      position: 'integer NOT NULL',
      percentage: 'numeric(6,3) NOT NULL',
      delay_ms: 'bigint',
      due_at: `${TIME} NOT NULL`,
      applied_at: TIME,
      revision: 'bigint',
    },
    constraints: {
      rollout_steps_pkey: 'PRIMARY KEY (rollout_id, "position")',
      rollout_steps_rollout_id_fkey: 'FOREIGN KEY (rollout_id) REFERENCES rollouts(id) ON DELETE CASCADE',
      rollout_steps_percentage_check: 'CHECK (((percentage > (0)::numeric) AND (percentage <= (100)::numeric)))',
      rollout_steps_revision_check: 'CHECK (((revision IS NULL) OR (applied_at IS NOT NULL)))',
    },
    indexes: {},
    commented: ['delay_ms', 'due_at', 'revision'],
  },
  rollout_guards: {
    columns: {
      rollout_id: 'uuid NOT NULL',
      metric: `${text(100)} NOT NULL`,
      worse: `${text(10)} NOT NULL`,
      max_worse_percent: 'double precision',
      bound: 'double precision',
      confidence_level: 'numeric(5,4) NOT NULL',
      minimum_vehicles: 'integer NOT NULL',
      silence_ms: 'bigint NOT NULL',
      watch_for_ms: 'bigint NOT NULL',
      initial_percentage: 'numeric(6,3) NOT NULL',
      watch: 'integer NOT NULL DEFAULT 0',
      watched_since: TIME,
    },
    constraints: {
      rollout_guards_pkey: 'PRIMARY KEY (rollout_id)',
      rollout_guards_rollout_id_fkey: 'FOREIGN KEY (rollout_id) REFERENCES rollouts(id) ON DELETE CASCADE',
      rollout_guards_worse_check: oneOf('worse', ['higher', 'lower']),
      rollout_guards_limit: 'CHECK (((max_worse_percent IS NULL) <> (bound IS NULL)))',
    },
    indexes: {},
    commented: ['worse', 'initial_percentage', 'watch', 'watched_since'],
  },
  rollout_verdicts: {
    columns: {
      rollout_id: 'uuid NOT NULL',
      watch: 'integer NOT NULL',
      verdict: `${text(10)} NOT NULL`,
      figures: 'jsonb NOT NULL',
      computed_at: `${TIME} NOT NULL`,
    },
    constraints: {
      rollout_verdicts_pkey: 'PRIMARY KEY (rollout_id)',
      rollout_verdicts_rollout_id_fkey: 'FOREIGN KEY (rollout_id) REFERENCES rollouts(id) ON DELETE CASCADE',
      rollout_verdicts_verdict_check: oneOf('verdict', ['waiting', 'holding', 'crossed', 'silent']),
    },
    indexes: {},
    commented: ['watch'],
  },
  experiment_disturbances: {
    columns: {
      ...ID,
      experiment_id: 'uuid NOT NULL',
      action: `${text(50)} NOT NULL`,
      user_id: 'uuid',
      created_at: NOW,
    },
    constraints: {
      experiment_disturbances_pkey: 'PRIMARY KEY (id)',
      experiment_disturbances_experiment_id_fkey:
        'FOREIGN KEY (experiment_id) REFERENCES experiments(id) ON DELETE CASCADE',
      experiment_disturbances_user_id_fkey: 'FOREIGN KEY (user_id) REFERENCES users(id) ON DELETE SET NULL',
    },
    indexes: { idx_experiment_disturbances_experiment_id: 'btree (experiment_id, created_at)' },
    commented: ['action', 'user_id'],
  },
  persisted_operations: {
    columns: {
      id: `${text(128)} NOT NULL`,
      sha256: HASH,
      name: `${text(100)} NOT NULL`,
      type: `${text(20)} NOT NULL`,
      body: 'text NOT NULL',
      created_by: 'uuid',
      ...TIMES,
    },
    constraints: {
      persisted_operations_pkey: 'PRIMARY KEY (id)',
      persisted_operations_type_check: oneOf('type', ['query', 'mutation', 'subscription']),
      persisted_operations_created_by_fkey: 'FOREIGN KEY (created_by) REFERENCES users(id) ON DELETE SET NULL',
    },
    indexes: { idx_persisted_operations_sha256: 'btree (sha256)' },
    commented: ['id', 'sha256', 'body'],
  },
  persisted_operation_keys: {
    columns: { operation_id: `${text(128)} NOT NULL`, api_key_id: 'uuid NOT NULL', created_at: NOW },
    constraints: {
      persisted_operation_keys_pkey: 'PRIMARY KEY (operation_id, api_key_id)',
      persisted_operation_keys_operation_id_fkey:
        'FOREIGN KEY (operation_id) REFERENCES persisted_operations(id) ON DELETE CASCADE',
      persisted_operation_keys_api_key_id_fkey: 'FOREIGN KEY (api_key_id) REFERENCES api_keys(id) ON DELETE CASCADE',
    },
    indexes: { idx_persisted_operation_keys_api_key: 'btree (api_key_id)' },
    commented: [],
  },
  gateway_leases: {
    columns: { gateway_id: 'uuid NOT NULL', sequence: 'bigint NOT NULL', renewed_at: NOW },
    constraints: {
      gateway_leases_pkey: 'PRIMARY KEY (gateway_id)',
      gateway_leases_sequence_check: 'CHECK ((sequence > 0))',
    },
    indexes: { idx_gateway_leases_renewed_at: 'btree (renewed_at)' },
    commented: ['gateway_id', 'sequence'],
  },
  vehicle_connections: {
    columns: { gateway_id: 'uuid NOT NULL', vin: `${text(17)} NOT NULL` },
    constraints: {
      vehicle_connections_pkey: 'PRIMARY KEY (gateway_id, vin)',
      vehicle_connections_gateway_id_fkey:
        'FOREIGN KEY (gateway_id) REFERENCES gateway_leases(gateway_id) ON DELETE CASCADE',
    },
    indexes: { idx_vehicle_connections_vin: 'btree (vin)' },
    commented: [],
  },
  vehicle_status_head: {
    columns: { id: 'smallint NOT NULL DEFAULT 1', position: 'bigint NOT NULL DEFAULT 0' },
    constraints: { vehicle_status_head_pkey: 'PRIMARY KEY (id)', vehicle_status_head_id_check: 'CHECK ((id = 1))' },
    indexes: {},
    commented: ['position'],
  },
  audit_chain: {
    columns: { id: 'smallint NOT NULL DEFAULT 1', position: 'bigint NOT NULL DEFAULT 0', hash: HASH, last_at: TIME },
    constraints: { audit_chain_pkey: 'PRIMARY KEY (id)', audit_chain_id_check: 'CHECK ((id = 1))' },
    indexes: {},
    commented: ['position', 'hash', 'last_at'],
  },
};

/** Functions: signature → result. All but the first are not in the data specification. */
export const FUNCTIONS: Readonly<Record<string, string>> = {
  'create_audit_log_partition()': 'void',
  'create_audit_log_partition_of(date)': 'boolean',
  'ready_audit_log_partition(timestamp with time zone)': 'boolean',
  'ensure_audit_log_partitions(integer, timestamp with time zone)': 'integer',
  'detach_expired_audit_log_partition(timestamp with time zone)': 'jsonb',
  'refuse_audit_log_change()': 'trigger',
  'note_vehicle_change()': 'trigger',
};

/** The installed extensions. */
export const EXTENSIONS: readonly string[] = ['pg_trgm', 'plpgsql'];

/** The data specification's comments, word for word: table or table.column → COMMENT. */
export const OWNER_COMMENTS: Readonly<Record<string, string>> = {
  users: '관리자 사용자 계정',
  'users.role': 'ADMIN: 모든 권한, WRITE: Flag 생성/수정, READ: 조회만, SAFETY: ASIL-D 승인',
  flags: 'Feature Flag 메타데이터',
  'flags.key': '고유 식별자 (immutable)',
  'flags.safety_level': 'ISO 26262 안전 등급',
  rules: 'Feature Flag 타겟팅 규칙',
  'rules.priority': '높을수록 먼저 평가 (First Match Wins)',
  'rules.conditions': 'JSON 형식의 규칙 조건',
  audit_logs: '모든 Flag 변경 이력 (ISO 26262: 7년 보존)',
  'audit_logs.before_value': '변경 전 값 (JSON)',
  'audit_logs.after_value': '변경 후 값 (JSON)',
  vehicles: '차량 정보 및 상태',
  'vehicles.vin': 'Vehicle Identification Number (17자리)',
  experiments: 'A/B 실험 메타데이터',
  'experiments.confidence_level': '신뢰 수준 (기본: 95%)',
  api_keys: 'Tier 1 협력사 API Key',
  'api_keys.key_hash': 'SHA-256 해시 (원본 키는 저장하지 않음)',
};
