/**
 * A flag as the control plane stores it: the part that evaluation needs (core/model.ts) and the part that people need.
 */
import { isDeepStrictEqual } from 'node:util';
import { FleetFlagError } from '../../../core/errors.ts';
import {
  ENVIRONMENTS,
  RULE_TYPES,
  SAFETY_LEVELS,
  type FlagDefinition,
  type JsonObject,
  type RuleDefinition,
} from '../../../core/model.ts';
import { isObject, isOneOf } from '../../../core/json/json-value.ts';

/** A rule with its database id and times. */
export interface Rule extends RuleDefinition {
  readonly variant: string | null;
  readonly createdAt: Date;
  readonly updatedAt: Date;
}

/** A flag with its rules and its state in the control plane. */
export interface Flag extends FlagDefinition {
  readonly id: string;
  readonly name: string;
  readonly description: string | null;
  readonly rules: readonly Rule[];
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

/** Gives the part of a rule that people decide on, as the audit log shows it. */
export function ruleContent(rule: RuleDefinition): JsonObject {
  const { id, type, priority, enabled, conditions, value, variant } = rule;
  return { id, type, priority, enabled, conditions, value: value ?? null, variant: variant ?? null };
}

/**
 * Gives the part of a flag that people decide on. The audit log shows it, and comparing it tells whether anything
 * changed.
 */
export function flagContent(flag: Flag): JsonObject {
  const { key, name, description, type, defaultValue, enabled, safetyLevel, environment, archivedAt } = flag;
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
    rules: flag.rules.map(ruleContent),
  };
}

interface FlagContent extends Pick<
  Flag,
  'name' | 'description' | 'defaultValue' | 'enabled' | 'safetyLevel' | 'environment'
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

const areRules = (value: unknown): value is readonly RuleDefinition[] => Array.isArray(value) && value.every(isRule);

/** What `flagContent` gave, read back from where it was kept. Throws an Error for what it does not give. */
function readContent(content: JsonObject): FlagContent {
  const { name, description, defaultValue = null, enabled, safetyLevel, environment, archived, rules } = content;
  if (
    typeof name !== 'string' ||
    (description !== null && typeof description !== 'string') ||
    typeof enabled !== 'boolean' ||
    !isOneOf(SAFETY_LEVELS, safetyLevel) ||
    !isOneOf(ENVIRONMENTS, environment) ||
    !areRules(rules)
  )
    throw new Error('change_requests.proposed holds no content of a flag');
  return { name, description, defaultValue, enabled, safetyLevel, environment, archived: archived === true, rules };
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
    rules,
  };
}
