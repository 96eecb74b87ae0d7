/**
 * A flag as the control plane keeps it: what evaluation needs (core/model.ts) and what people need beside it.
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

export interface Rule extends RuleDefinition {
  readonly variant: string | null;
  readonly createdAt: Date;
  readonly updatedAt: Date;
}

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
  /** Whether it waits for its first approval: no vehicle knows it, and it has no revision yet. */
  readonly draft: boolean;
  /** The signed definition that vehicles are sent (compact JWS). */
  readonly signedDefinition: string;
}

/** The part of a rule that people decide on: what the audit trail shows. */
export function ruleContent(rule: RuleDefinition): JsonObject {
  const { id, type, priority, enabled, conditions, value, variant } = rule;
  return { id, type, priority, enabled, conditions, value: value ?? null, variant: variant ?? null };
}

/** The part of a flag that people decide on: what the audit trail shows, and what tells a change from none. */
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
 * `flag` with the content that `flagContent` gave of an edited state of it. Rules that are as they were stay the same
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
  // A request from before null was refused.
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
