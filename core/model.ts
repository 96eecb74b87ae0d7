/**
 * The words of the domain: what a flag, a rule and a context are, for the server and for the vehicle alike.
 *
 * Nothing here knows of GraphQL, SQL or a clock. The string unions hold the stored spelling (database.md);
 * GraphQL's spelling (`ASIL_D`, `PRODUCTION`) is mapped at the edge.
 */

export const ENVIRONMENTS = ['development', 'staging', 'production'] as const;
export type Environment = (typeof ENVIRONMENTS)[number];

/** ISO 26262 levels, lowest first: the order is the order of severity. */
export const SAFETY_LEVELS = ['Non-Critical', 'Safety-Relevant', 'ASIL-B', 'ASIL-D'] as const;
export type SafetyLevel = (typeof SAFETY_LEVELS)[number];

export const FLAG_TYPES = ['boolean', 'string', 'number', 'json'] as const;
export type FlagType = (typeof FLAG_TYPES)[number];

/** In the order in which rules of equal priority are tried. */
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

/** A flag's key: what programs in the vehicle name it by; at most 100 characters. */
export const FLAG_KEY_PATTERN = /^[a-z0-9][a-z0-9._-]{0,99}$/i;

/** A variant's name, as a rule gives it and measurements carry it. */
export const VARIANT_PATTERN = /^[A-Za-z0-9_.-]{1,50}$/;

/**
 * A targeting rule as stored and as sent to vehicles.
 *
 * `conditions` is deliberately plain JSON: what was written years ago, or by a newer server, must still load;
 * a rule whose conditions cannot be read never matches.
 */
export interface RuleDefinition {
  readonly id: string;
  readonly type: RuleType;
  /** Higher is tried first. */
  readonly priority: number;
  readonly enabled: boolean;
  readonly conditions: JsonValue;
  /**
   * The bare value served on a match; null or absent means `true` on a boolean flag, the flag's default value on the
   * others.
   */
  readonly value?: JsonValue;
  /** The variant served on a match; absent: `treatment` for percentage_rollout, `enabled` for the others. */
  readonly variant?: string | null;
}

/** All that evaluation needs to know of a flag. */
export interface FlagDefinition {
  readonly key: string;
  readonly environment: Environment;
  readonly type: FlagType;
  readonly safetyLevel: SafetyLevel;
  readonly enabled: boolean;
  /** The bare value (`false`, `"eco"`, `3`, `{…}`): also the safe state. */
  readonly defaultValue: JsonValue;
  /** The environment's revision at this flag's last change. */
  readonly revision: number;
  readonly rules: readonly RuleDefinition[];
}

/** Whom a flag is evaluated for. Everything is optional; a rule that needs what is missing does not match. */
export interface EvaluationContext {
  readonly vin?: string | null;
  readonly model?: string | null;
  readonly swVersion?: string | null;
  readonly region?: string | null;
  readonly attributes?: JsonObject | null;
}

/** OpenFeature's reasons. */
export type EvaluationReason =
  'STATIC' | 'DEFAULT' | 'TARGETING_MATCH' | 'SPLIT' | 'CACHED' | 'DISABLED' | 'STALE' | 'ERROR';

/** What evaluating a flag gives: always a value, and why. */
export interface Evaluation {
  readonly value: JsonValue;
  readonly variant: string;
  readonly reason: EvaluationReason;
  /** The rule that decided, or null. */
  readonly ruleId: string | null;
  readonly revision: number;
}
