/** What stands in the way of a rollout. Source: docs/decisions/scheduled-rollouts.md. */
import { isKilled } from '../../../core/evaluation/evaluate.ts';
import type { JsonObject } from '../../../core/model.ts';
import { needsSecondPerson } from '../../../core/access/safety-policy.ts';
import { canonicalJson } from '../../../core/json/canonical-json.ts';
import { isJsonObject } from '../../../core/json/json-value.ts';
import type { Flag, Rule } from '../flags/flag.ts';
import { percentageOf, type Rollout } from './rollout.ts';

export interface Obstacle {
  /** Paused: a person may resume it. Cancelled: what it was for is gone. */
  readonly status: 'paused' | 'cancelled';
  readonly reason: string;
}

const paused = (reason: string): Obstacle => ({ status: 'paused', reason });
const cancelled = (reason: string): Obstacle => ({ status: 'cancelled', reason });

/** What a rollout stands on, beside the percentage that it raises: whom its rule reaches, and what they get. */
function standing({ conditions, value, variant }: Rule): JsonObject {
  const { rollout_percentage: _, ...audience } = isJsonObject(conditions) ? conditions : {};
  return { ...audience, value: value ?? null, variant };
}

/** The members in which two states of a rule differ for its rollout. */
function changedUnder(was: Rule, rule: Rule): string[] {
  const [before, after] = [standing(was), standing(rule)];
  return [...new Set([...Object.keys(before), ...Object.keys(after)])]
    .filter((name) => canonicalJson(before[name] ?? null) !== canonicalJson(after[name] ?? null))
    .sort();
}

/**
 * Why a rollout cannot go on with its flag as it is; null where it can.
 *
 * @param before the flag before a change, to find what the change takes back: that stops a rollout once, and who
 *   resumes it has seen it
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
    return paused('flag raised to ASIL-D: a second person has to agree');
  return null;
}
