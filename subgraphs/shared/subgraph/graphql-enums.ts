/** Maps GraphQL's enum names to the domain's values, for resolvers. */

/** Enums whose names differ from the stored values: GraphQL names allow no `-`, so `ASIL_D` stands for `ASIL-D`. */
export const ENUMS = {
  Environment: { DEVELOPMENT: 'development', STAGING: 'staging', PRODUCTION: 'production' },
  SafetyLevel: { NON_CRITICAL: 'Non-Critical', SAFETY_RELEVANT: 'Safety-Relevant', ASIL_B: 'ASIL-B', ASIL_D: 'ASIL-D' },
  FlagType: { BOOLEAN: 'boolean', STRING: 'string', NUMBER: 'number', JSON: 'json' },
  RuleType: {
    PERCENTAGE_ROLLOUT: 'percentage_rollout',
    VEHICLE_WHITELIST: 'vehicle_whitelist',
    VEHICLE_TARGET: 'vehicle_target',
    USER_ATTRIBUTE: 'user_attribute',
    KILL_SWITCH: 'kill_switch',
  },
  ChangeRequestStatus: { PENDING: 'pending', APPROVED: 'approved', REJECTED: 'rejected', CANCELLED: 'cancelled' },
  RolloutStatus: {
    WAITING_FOR_APPROVAL: 'waiting_for_approval',
    RUNNING: 'running',
    PAUSED: 'paused',
    COMPLETED: 'completed',
    CANCELLED: 'cancelled',
    PULLED_BACK: 'pulled_back',
  },
  GuardDirection: { HIGHER: 'higher', LOWER: 'lower' },
  GuardVerdict: { WAITING: 'waiting', HOLDING: 'holding', CROSSED: 'crossed', SILENT: 'silent' },
  FlagOrderField: { CREATED_AT: 'created_at', UPDATED_AT: 'updated_at', KEY: 'key', NAME: 'name' },
  OrderDirection: { ASC: 'asc', DESC: 'desc' },
  OperationType: { QUERY: 'query', MUTATION: 'mutation', SUBSCRIPTION: 'subscription' },
  VehicleStatus: { ONLINE: 'online', OFFLINE: 'offline', MAINTENANCE: 'maintenance' },
  DecisionBasis: { SEQUENTIAL: 'sequential', FIXED_HORIZON: 'fixed-horizon' },
  MissingReason: {
    TOO_FEW_VEHICLES: 'too-few-vehicles',
    NO_VARIANCE: 'no-variance',
    NOT_FINITE: 'not-finite',
    CONTROL_MEAN_NEAR_ZERO: 'control-mean-near-zero',
    TOO_EARLY: 'too-early',
    NO_HISTORY: 'no-history',
    HISTORY_IS_CONSTANT: 'history-is-constant',
  },
  MetricKind: { MEAN: 'mean', PROPORTION: 'proportion', COUNT: 'count' },
  MetricInterval: { MINUTE: 'minute', HOUR: 'hour', DAY: 'day' },
  ExperimentStatus: { DRAFT: 'draft', RUNNING: 'running', COMPLETED: 'completed', CANCELLED: 'cancelled' },
} as const;
