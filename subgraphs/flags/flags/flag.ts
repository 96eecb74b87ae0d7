/**
 * A flag as the control plane stores it: the part that evaluation needs (core/model.ts) and the part that people need.
 */
import { isDeepStrictEqual } from 'node:util';
import { FleetFlagError } from '../../../core/errors.ts';
import type {
  Environment,
  FlagDefinition,
  JsonObject,
  JsonValue,
  RuleDefinition,
  SafetyLevel,
} from '../../../core/model.ts';

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

/**
 * Gives `flag` with the content that `flagContent` gave for an edited state of it. Unchanged rules stay the same
 * objects.
 *
 * @throws CONFLICT for a default value of null
 */
export function withContent(flag: Flag, content: JsonObject, at: Date): Flag {
  const present = new Map(flag.rules.map((rule) => [rule.id, rule]));
  const rules = (content['rules'] as unknown as RuleDefinition[]).map((rule): Rule => {
    const was = present.get(rule.id);
    if (was !== undefined && isDeepStrictEqual(ruleContent(was), rule)) return was;
    return { ...rule, variant: rule.variant ?? null, createdAt: was?.createdAt ?? at, updatedAt: at };
  });
  // A request from a time when null was still accepted.
  if (content['defaultValue'] === null)
    throw new FleetFlagError(
      'CONFLICT',
      `The request gives ${flag.key} null as its default value, which no flag may have; reject it.`,
      { currentRevision: flag.revision },
    );
  return {
    ...flag,
    name: content['name'] as string,
    description: content['description'] as string | null,
    defaultValue: content['defaultValue'] as JsonValue,
    enabled: content['enabled'] as boolean,
    safetyLevel: content['safetyLevel'] as SafetyLevel,
    environment: content['environment'] as Environment,
    archivedAt: content['archived'] === true ? (flag.archivedAt ?? at) : null,
    rules,
  };
}
