/** The column `release` of flags: a release under way with the stable content, as JSON. */
import { ACTIVATIONS, RULE_TYPES, type JsonObject } from '../../../core/model.ts';
import { is, type GuardedBy } from '../../../core/json/shape.ts';
import { areRequirements, requirementContent, ruleContent, type StagedRelease } from './flag.ts';

const isStoredRule = is.shape({
  id: is.string,
  type: is.oneOf(RULE_TYPES),
  priority: is.number,
  enabled: is.boolean,
  conditions: is.json,
  value: is.json,
  variant: is.nullable(is.string),
  createdAt: is.string,
  updatedAt: is.string,
});

/** Says whether JSON is a canary, as policies and releases have it. */
export const isCanary = is.shape({
  vins: is.optional(is.listOf(is.string)),
  models: is.optional(is.listOf(is.string)),
  regions: is.optional(is.listOf(is.string)),
});

/** Says whether stored JSON is a release under way. */
export const isStagedRelease = is.shape({
  id: is.string,
  percentage: is.number,
  canary: is.nullable(isCanary),
  stable: is.shape({
    disabled: is.boolean,
    defaultValue: is.json,
    rules: is.listOf(isStoredRule),
    requires: areRequirements,
    excludes: is.listOf(is.string),
    valueSchema: is.nullable(is.jsonObject),
    activation: is.optional(is.oneOf(ACTIVATIONS)),
  }),
});

/** Gives the canary of a release as JSON. */
export const canaryContent = ({ vins, models, regions }: NonNullable<StagedRelease['canary']>): JsonObject => ({
  ...(vins !== undefined && { vins: [...vins] }),
  ...(models !== undefined && { models: [...models] }),
  ...(regions !== undefined && { regions: [...regions] }),
});

/** Gives a release under way as it is stored. */
export function stagedContent({ id, percentage, canary, stable }: StagedRelease): JsonObject {
  const { disabled, defaultValue, rules, requires, excludes, valueSchema, activation } = stable;
  return {
    ...{ id, percentage, canary: canary && canaryContent(canary) },
    stable: {
      ...{ disabled, defaultValue, requires: requires.map(requirementContent), excludes: [...excludes] },
      ...{ valueSchema, activation },
      rules: rules.map((rule) => ({
        ...ruleContent(rule),
        ...{ createdAt: rule.createdAt.toISOString(), updatedAt: rule.updatedAt.toISOString() },
      })),
    },
  };
}

/** Gives a release under way from its stored form. */
export function toStagedRelease({ stable, ...release }: GuardedBy<typeof isStagedRelease>): StagedRelease {
  const rules = stable.rules.map(({ createdAt, updatedAt, ...rule }) => ({
    ...rule,
    ...{ createdAt: new Date(createdAt), updatedAt: new Date(updatedAt) },
  }));
  return { ...release, stable: { ...stable, activation: stable.activation ?? 'IMMEDIATE', rules } };
}
