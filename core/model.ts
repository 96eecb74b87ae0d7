/**
 * The domain model: flags, rules, contexts and evaluations, for the server and the vehicle alike.
 *
 * Nothing here depends on GraphQL, SQL or a clock. The string unions hold the stored spelling (database.md);
 * GraphQL's spelling (`ASIL_D`, `PRODUCTION`) is mapped at the edge.
 */

/** The environments, each of which has flags, revisions and vehicles of its own. */
export const ENVIRONMENTS = ['development', 'staging', 'production'] as const;
/** The environment of a flag or a vehicle. */
export type Environment = (typeof ENVIRONMENTS)[number];

/** ISO 26262 levels, lowest first: the order is the order of severity. */
export const SAFETY_LEVELS = ['Non-Critical', 'Safety-Relevant', 'ASIL-B', 'ASIL-D'] as const;
/** The ISO 26262 level of a flag. */
export type SafetyLevel = (typeof SAFETY_LEVELS)[number];

/** The types of flags. */
export const FLAG_TYPES = ['boolean', 'string', 'number', 'json'] as const;
/** The type of a flag's values. */
export type FlagType = (typeof FLAG_TYPES)[number];

/** The types of rules, in the order in which rules of equal priority are tried. */
export const RULE_TYPES = [
  'kill_switch',
  'vehicle_whitelist',
  'vehicle_target',
  'user_attribute',
  'percentage_rollout',
] as const;
/** The type of a rule, which decides what its conditions say. */
export type RuleType = (typeof RULE_TYPES)[number];

/** The moments at which a vehicle may change over to another definition of a flag, from the least strict on. */
export const ACTIVATIONS = ['IMMEDIATE', 'PARKED', 'NEXT_DRIVE'] as const;
/** The moment at which a vehicle may change over to another definition of a flag. */
export type Activation = (typeof ACTIVATIONS)[number];

/** The moments at which a pulled kill switch, or a disabling, takes effect in a vehicle. */
export const KILL_ACTIVATIONS = ['IMMEDIATE', 'PARKED'] as const;
/** The moment at which a pulled kill switch, or a disabling, takes effect in a vehicle. */
export type KillActivation = (typeof KILL_ACTIVATIONS)[number];

/** A JSON value. */
export type JsonValue = null | boolean | number | string | JsonValue[] | { [key: string]: JsonValue };
/** A JSON object. */
export type JsonObject = { [key: string]: JsonValue };

/** A VIN: 17 characters, digits and capital letters without I, O and Q (ISO 3779). */
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

/**
 * A flag that another one needs: it must serve another variant than `control`, or one of the variants that are named.
 */
export interface Requirement {
  readonly flag: string;
  readonly variants?: readonly string[] | null;
}

/**
 * The part of a flag that counts while it is neither killed nor disabled. A release moves vehicles from one content to
 * another.
 */
export interface FlagContent {
  readonly defaultValue: JsonValue;
  readonly rules: readonly RuleDefinition[];
  readonly requires?: readonly Requirement[];
  readonly excludes?: readonly string[];
  /** The value contract of this content; absent in a release: that of its flag. */
  readonly valueSchema?: JsonObject | null;
  /** The moment at which a vehicle may change over to this content; null or absent: that of its flag. */
  readonly activation?: Activation | null;
}

/** The vehicles that get a release before all others. */
export interface ReleaseCanary {
  readonly vins?: readonly string[];
  /** The VINs as vehicles get them: the first 8 bytes of SHA-256 of `release:<id>:<vin>`, base64url. */
  readonly digests?: readonly string[];
  readonly models?: readonly string[];
  readonly regions?: readonly string[];
}

/** A change on its way to the fleet. The flag's other members are the stable content, which all other vehicles keep. */
export interface Release {
  /** The salt of the draw. It stays when the change is replaced by another one, so that the same vehicles go first. */
  readonly id: string;
  /** The share of vehicles with the new content: from 0 to 100, with at most three decimals. */
  readonly percentage: number;
  readonly canary?: ReleaseCanary | null;
  /** Present where the release is what switches the flag on: all other vehicles have it as a disabled one. */
  readonly stable?: 'DISABLED';
  /** The new content. */
  readonly next: FlagContent;
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
  /** The models that get the flag; null or absent: every vehicle. Evaluation does not read it. */
  readonly scope?: readonly string[] | null;
  /** The flags without which this one serves its default. */
  readonly requires?: readonly Requirement[];
  /** The keys of the flags beside which this one serves its default. */
  readonly excludes?: readonly string[];
  /** The release that is under way; null or absent for none. */
  readonly release?: Release | null;
  /** The value contract: a JSON Schema for each value that the flag could serve; null or absent: any value. */
  readonly valueSchema?: JsonObject | null;
  /** The moment at which a vehicle may change over to this definition; null or absent: at once. Not evaluated. */
  readonly activation?: Activation | null;
  /** The moment at which a kill switch or disabling takes effect; null or absent: at once. Not evaluated. */
  readonly killActivation?: KillActivation | null;
  /**
   * The lowest revision to which a vehicle may go back by itself; null or absent: any. Kill switches, disablings, halts
   * and guards raise it. Not evaluated.
   */
  readonly noReturnBelow?: number | null;
}

/** The vehicle and user for which a flag is evaluated. A rule that needs a missing member does not match. */
export interface EvaluationContext {
  readonly vin?: string | null;
  readonly model?: string | null;
  readonly swVersion?: string | null;
  readonly region?: string | null;
  readonly attributes?: JsonObject | null;
}

/** The reasons of an evaluation, as OpenFeature names them, and one of ours for a flag that depends on another. */
export type EvaluationReason =
  | 'STATIC'
  | 'DEFAULT'
  | 'TARGETING_MATCH'
  | 'SPLIT'
  | 'CACHED'
  | 'DISABLED'
  | 'STALE'
  | 'ERROR'
  | 'PREREQUISITE_FAILED';

/** The result of evaluating a flag: always a value, and the reason for it. */
export interface Evaluation {
  readonly value: JsonValue;
  readonly variant: string;
  readonly reason: EvaluationReason;
  /** The rule that decided; null where none did. */
  readonly ruleId: string | null;
  readonly revision: number;
  /** The key of the flag that failed it; only with the reason PREREQUISITE_FAILED. */
  readonly failedPrerequisite?: string;
}
