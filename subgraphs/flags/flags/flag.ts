/**
 * A flag as the control plane stores it: the part that evaluation needs (core/model.ts) and the part that people need.
 */
import { isDeepStrictEqual } from 'node:util';
import { FleetFlagError } from '../../../core/errors.ts';
import {
  ACTIVATIONS,
  ENVIRONMENTS,
  KILL_ACTIVATIONS,
  RULE_TYPES,
  SAFETY_LEVELS,
  type Activation,
  type FlagDefinition,
  type JsonObject,
  type JsonValue,
  type KillActivation,
  type ReleaseCanary,
  type Requirement,
  type RuleDefinition,
} from '../../../core/model.ts';
import type { Scope } from '../../../core/partitions/partition.ts';
import { is } from '../../../core/json/shape.ts';
import { isJsonObject, isObject, isOneOf, membersOf } from '../../../core/json/json-value.ts';

/** A rule with its database id and times. */
export interface Rule extends RuleDefinition {
  readonly variant: string | null;
  readonly createdAt: Date;
  readonly updatedAt: Date;
}

/** The content that the vehicles outside the ring of a release keep. Kill switches stand outside of it. */
export interface StableContent {
  /** Whether these vehicles have the flag as a disabled one, because the release is what switches it on. */
  readonly disabled: boolean;
  readonly defaultValue: JsonValue;
  readonly rules: readonly Rule[];
  readonly requires: readonly Requirement[];
  readonly excludes: readonly string[];
  readonly valueSchema: JsonObject | null;
  readonly activation: Activation;
}

/** A release under way. The new content is the flag's own. */
export interface StagedRelease {
  /** The salt of the draw. */
  readonly id: string;
  readonly percentage: number;
  readonly canary: ReleaseCanary | null;
  readonly stable: StableContent;
}

/**
 * A flag with its rules and its state in the control plane. While a release is under way, it is not in the form that
 * vehicles have: `vehicleForm` gives that.
 */
export interface Flag extends Omit<FlagDefinition, 'release'> {
  readonly id: string;
  readonly name: string;
  readonly description: string | null;
  readonly rules: readonly Rule[];
  readonly scope: Scope;
  readonly requires: readonly Requirement[];
  readonly excludes: readonly string[];
  readonly valueSchema: JsonObject | null;
  readonly activation: Activation;
  readonly killActivation: KillActivation;
  /** The revision of the last change that has stopped the flag in its environment; 0 for none. */
  readonly noReturnBelow: number;
  /** The release under way; null for none. */
  readonly release: StagedRelease | null;
  readonly totalEvaluations: number;
  readonly activeVehicles: number;
  readonly lastEvaluationAt: Date | null;
  readonly createdById: string | null;
  readonly updatedById: string | null;
  readonly createdAt: Date;
  readonly updatedAt: Date;
  readonly archivedAt: Date | null;
  /** Whether the flag waits for its first approval: no vehicle has it, and it has no revision yet. */
  readonly draft: boolean;
  /** The signed definition that vehicles receive (a compact JWS). */
  readonly signedDefinition: string;
}

/** Gives the rules of a flag, and those that a release keeps for the vehicles outside its ring. */
export const rulesOfContents = ({ rules, release }: Flag): readonly Rule[] => [
  ...rules,
  ...(release?.stable.rules ?? []),
];

/** Gives the part of a rule that people decide on, as the audit log shows it. */
export function ruleContent(rule: RuleDefinition): JsonObject {
  const { id, type, priority, enabled, conditions, value, variant } = rule;
  return { id, type, priority, enabled, conditions, value: value ?? null, variant: variant ?? null };
}

/** Gives a requirement as it is stored; one of any variant has no list of them. */
export function requirementContent({ flag, variants = null }: Requirement): JsonObject {
  return variants === null ? { flag } : { flag, variants: [...variants] };
}

/**
 * Gives the part of a flag that people decide on. The audit log shows it, and comparing it shows whether anything
 * changed.
 */
export function flagContent(flag: Omit<Flag, 'release'>): JsonObject {
  const { key, name, description, type, defaultValue, enabled, safetyLevel, environment, archivedAt } = flag;
  const { scope, requires, excludes, valueSchema, activation, killActivation } = flag;
  return {
    key,
    name,
    description,
    type,
    defaultValue,
    enabled,
    safetyLevel,
    environment,
    archived: archivedAt !== null,
    scope: scope === null ? null : [...scope],
    requires: requires.map(requirementContent),
    excludes: [...excludes],
    valueSchema,
    activation,
    killActivation,
    rules: flag.rules.map(ruleContent),
  };
}

interface FlagContent extends Pick<
  Flag,
  | 'name'
  | 'description'
  | 'defaultValue'
  | 'enabled'
  | 'safetyLevel'
  | 'environment'
  | 'scope'
  | 'requires'
  | 'excludes'
  | 'valueSchema'
  | 'activation'
  | 'killActivation'
> {
  readonly archived: boolean;
  readonly rules: readonly RuleDefinition[];
}

function isRule(value: unknown): value is RuleDefinition {
  if (!isObject(value)) return false;
  const { id, type, priority, enabled, conditions } = value;
  return (
    typeof id === 'string' &&
    isOneOf(RULE_TYPES, type) &&
    typeof priority === 'number' &&
    typeof enabled === 'boolean' &&
    conditions !== undefined
  );
}

const isScope = is.nullable(is.listOf(is.string));
const isKeys = is.listOf(is.string);
const isSchema = is.nullable(is.jsonObject);
/** Says whether stored JSON is a flag's requirements. */
export const areRequirements = is.listOf(
  is.shape({ flag: is.string, variants: is.optional(is.nullable(is.listOf(is.string))) }),
);

/** Says whether a value is a list of rules. */
export const areRules = (value: unknown): value is readonly RuleDefinition[] =>
  Array.isArray(value) && value.every(isRule);

/**
 * Gives the keys of the flags that a content names as its dependencies, and the new one of its release. Throws an Error
 * for what is no content.
 */
export function dependenciesIn({ requires = [], excludes = [], release }: JsonObject): string[] {
  if (!areRequirements(requires) || !isKeys(excludes)) throw new Error('The content of a flag has no dependencies');
  const { next } = membersOf(release);
  return [...requires.map(({ flag }) => flag), ...excludes, ...(isJsonObject(next) ? dependenciesIn(next) : [])];
}

/** Reads content that `flagContent` gave back from where it was stored. Throws an Error for anything else. */
function readContent(content: JsonObject): FlagContent {
  const { name, description, defaultValue = null, enabled, safetyLevel, environment, archived, rules } = content;
  // Content that was stored before there were scopes, dependencies, value contracts and activations has none.
  const { scope = null, requires = [], excludes = [], valueSchema = null } = content;
  const { activation = 'IMMEDIATE', killActivation = 'IMMEDIATE' } = content;
  if (
    typeof name !== 'string' ||
    (description !== null && typeof description !== 'string') ||
    typeof enabled !== 'boolean' ||
    !isOneOf(SAFETY_LEVELS, safetyLevel) ||
    !isOneOf(ENVIRONMENTS, environment) ||
    !isScope(scope) ||
    !areRequirements(requires) ||
    !isKeys(excludes) ||
    !isSchema(valueSchema) ||
    !isOneOf(ACTIVATIONS, activation) ||
    !isOneOf(KILL_ACTIVATIONS, killActivation) ||
    !areRules(rules)
  )
    throw new Error('change_requests.proposed holds no content of a flag');
  const relations = { scope, requires, excludes, valueSchema, activation, killActivation };
  return {
    ...{ name, description, defaultValue, enabled, safetyLevel, environment, archived: archived === true },
    ...relations,
    rules,
  };
}

/**
 * Gives `flag` with the content that `flagContent` gave for an edited state of it. Unchanged rules stay the same
 * objects.
 *
 * @throws CONFLICT for a default value of null
 */
export function withContent(flag: Flag, content: JsonObject, at: Date): Flag {
  const present = new Map(flag.rules.map((rule) => [rule.id, rule]));
  const { name, description, defaultValue, enabled, safetyLevel, environment, archived, ...proposed } =
    readContent(content);
  const { scope, requires, excludes, valueSchema, activation, killActivation } = proposed;
  const rules = proposed.rules.map((rule): Rule => {
    const was = present.get(rule.id);
    if (was !== undefined && isDeepStrictEqual(ruleContent(was), rule)) return was;
    return { ...rule, variant: rule.variant ?? null, createdAt: was?.createdAt ?? at, updatedAt: at };
  });
  // A request from a time when null was still accepted.
  if (defaultValue === null)
    throw new FleetFlagError(
      'CONFLICT',
      `The request sets the default value of ${flag.key} to null, which is not allowed; reject it.`,
      { currentRevision: flag.revision },
    );
  return {
    ...flag,
    name,
    description,
    defaultValue,
    enabled,
    safetyLevel,
    environment,
    archivedAt: archived ? (flag.archivedAt ?? at) : null,
    scope,
    requires,
    excludes,
    valueSchema,
    activation,
    killActivation,
    rules,
  };
}

/**
 * Gives `flag` with an earlier content. The environment and the kill switches stay as they are, and it stays in use.
 *
 * @param content what `flagContent` gave of it then
 */
export function restoredFlag(flag: Flag, content: JsonObject, at: Date): Flag {
  const { environment } = flag;
  const { rules, ...earlier } = withContent(flag, { ...content, environment, archived: false }, at);
  const isSwitch = ({ type }: Rule) => type === 'kill_switch';
  const kept = [...flag.rules.filter(isSwitch), ...rules.filter((rule) => !isSwitch(rule))];
  return { ...earlier, rules: kept.sort((a, b) => b.priority - a.priority) };
}
