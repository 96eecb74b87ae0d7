/** Obstacles to rollouts. Source: docs/decisions/flags/scheduled-rollouts.md. */
import { isKilled } from '../../../core/evaluation/rules/kill-switch.ts';
import type { JsonObject } from '../../../core/model.ts';
import { needsSecondPerson } from '../../../core/access/safety-policy.ts';
import { canonicalJson } from '../../../core/json/canonical-json.ts';
import { isJsonObject } from '../../../core/json/json-value.ts';
import type { Flag, Rule } from '../flags/flag.ts';
import { percentageOf, type Rollout } from './rollout.ts';

/** The reason why a rollout must stop. */
export interface Obstacle {
  /** `paused`: a person may resume it. `cancelled`: its rule or flag is gone. */
  readonly status: 'paused' | 'cancelled';
  readonly reason: string;
}

const paused = (reason: string): Obstacle => ({ status: 'paused', reason });
const cancelled = (reason: string): Obstacle => ({ status: 'cancelled', reason });

/**
 * Gives the conditions on which a rollout depends, beside the percentage that it raises: its rule's vehicles and their
 * value.
 */
function standing({ conditions, value, variant }: Rule): JsonObject {
  const { rollout_percentage: _, ...audience } = isJsonObject(conditions) ? conditions : {};
  return { ...audience, value: value ?? null, variant };
}

/** Gives the names of the members in which two states of a rule differ for its rollout. */
function changedUnder(was: Rule, rule: Rule): string[] {
  const [before, after] = [standing(was), standing(rule)];
  return [...new Set([...Object.keys(before), ...Object.keys(after)])]
    .filter((name) => canonicalJson(before[name] ?? null) !== canonicalJson(after[name] ?? null))
    .sort();
}

/**
 * Gives the reason why a rollout cannot continue with its flag in this state; null when it can.
 *
 * @param before the flag before a change, to find what the change reverts. That stops a rollout only once: a person who
 * resumes it has seen it
 */
export function obstacleTo(rollout: Rollout, flag: Flag, before: Flag = flag): Obstacle | null {
  if (flag.archivedAt !== null) return cancelled('flag archived');
  if (flag.environment !== rollout.environment) return cancelled(`flag moved to ${flag.environment}`);
  const ruleIn = (state: Flag) => state.rules.find((rule) => rule.id === rollout.ruleId);
  const [was, rule] = [ruleIn(before), ruleIn(flag)];
  if (rule === undefined) return cancelled('rule deleted');
  if (isKilled(flag.rules)) return paused('kill switch');
  if (before.enabled && !flag.enabled) return paused('flag disabled');
  if (was?.enabled === true && !rule.enabled) return paused('rule disabled');
  const percentage = percentageOf(rule.conditions);
  if (was !== undefined && percentage < percentageOf(was.conditions))
    return paused(`lowered to ${percentage} % by hand`);
  const changed = was === undefined ? [] : changedUnder(was, rule);
  if (changed.length > 0) return paused(`its rule's ${changed.join(', ')} changed by hand`);
  if (rollout.approvedById === null && needsSecondPerson(flag, flag, 'UPDATE_RULE'))
    return paused('flag raised to ASIL-D: a second person must approve');
  return null;
}
