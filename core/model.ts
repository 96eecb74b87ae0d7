/**
 * The domain model: flags, rules, contexts and evaluations, for the server and the vehicle alike.
 *
 * Nothing here depends on GraphQL, SQL or a clock. The string unions hold the stored spelling (database.md);
 * GraphQL's spelling (`ASIL_D`, `PRODUCTION`) is mapped at the edge.
 */

export const ENVIRONMENTS = ['development', 'staging', 'production'] as const;
export type Environment = (typeof ENVIRONMENTS)[number];

/** ISO 26262 levels, lowest first: the order is the order of severity. */
export const SAFETY_LEVELS = ['Non-Critical', 'Safety-Relevant', 'ASIL-B', 'ASIL-D'] as const;
export type SafetyLevel = (typeof SAFETY_LEVELS)[number];

export const FLAG_TYPES = ['boolean', 'string', 'number', 'json'] as const;
export type FlagType = (typeof FLAG_TYPES)[number];

/** The types of rules, in the order in which rules of equal priority are tried. */
export const RULE_TYPES = [
  'kill_switch',
  'vehicle_whitelist',
  'vehicle_target',
  'user_attribute',
  'percentage_rollout',
] as const;
export type RuleType = (typeof RULE_TYPES)[number];

export type JsonValue = null | boolean | number | string | JsonValue[] | { [key: string]: JsonValue };
export type JsonObject = { [key: string]: JsonValue };

/** A VIN: 17 characters, digits and capitals without I, O and Q (ISO 3779). */
export const VIN_PATTERN = /^[A-HJ-NPR-Z0-9]{17}$/;

/** A flag's key, by which programs in the vehicle name it: 1 to 100 characters. */
export const FLAG_KEY_PATTERN = /^[a-z0-9][a-z0-9._-]{0,99}$/i;

/** A variant's name, as rules give it and measurements carry it: 1 to 50 characters. */
export const VARIANT_PATTERN = /^[A-Za-z0-9_.-]{1,50}$/;

/**
 * A targeting rule as stored and as sent to vehicles.
 *
 * `conditions` is plain JSON on purpose: conditions that an older or a newer server wrote must still load. A rule
 * whose conditions cannot be read never matches.
 */
export interface RuleDefinition {
  readonly id: string;
  readonly type: RuleType;
  /** Rules of higher priority are tried first. */
  readonly priority: number;
  readonly enabled: boolean;
  readonly conditions: JsonValue;
  /**
   * The value served on a match. Null or absent, it is `true` on a boolean flag and the flag's default value on the
   * others.
   */
  readonly value?: JsonValue;
  /** The variant served on a match. Absent, it is `treatment` for percentage_rollout and `enabled` for the others. */
  readonly variant?: string | null;
}

/** A flag, with everything that evaluation needs. */
export interface FlagDefinition {
  readonly key: string;
  readonly environment: Environment;
  readonly type: FlagType;
  readonly safetyLevel: SafetyLevel;
  readonly enabled: boolean;
  /** The value that is served when no rule matches (`false`, `"eco"`, `3`, `{…}`). It is also the safe state. */
  readonly defaultValue: JsonValue;
  /** The environment's revision at this flag's last change. */
  readonly revision: number;
  readonly rules: readonly RuleDefinition[];
}

/** The vehicle and user for which a flag is evaluated. A rule that needs a missing member does not match. */
export interface EvaluationContext {
  readonly vin?: string | null;
  readonly model?: string | null;
  readonly swVersion?: string | null;
  readonly region?: string | null;
  readonly attributes?: JsonObject | null;
}

/** The reasons of an evaluation, as OpenFeature names them. */
export type EvaluationReason =
  'STATIC' | 'DEFAULT' | 'TARGETING_MATCH' | 'SPLIT' | 'CACHED' | 'DISABLED' | 'STALE' | 'ERROR';

/** The result of evaluating a flag: always a value, and the reason for it. */
export interface Evaluation {
  readonly value: JsonValue;
  readonly variant: string;
  readonly reason: EvaluationReason;
  /** The rule that decided; null where none did. */
  readonly ruleId: string | null;
  readonly revision: number;
}
