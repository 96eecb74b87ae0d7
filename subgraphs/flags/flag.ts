/**
 * A flag as the control plane keeps it: what evaluation needs (core/model.ts) and what people need beside it.
 */
import type { FlagDefinition, JsonObject, RuleDefinition } from '../../core/model.ts';

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
