/**
 * The effect of a change on a flag's kill switches, whichever mutation makes it: a switch that begins to hold the flag
 * is pulled, one that stops holding it is released. Pure. Source: design.md, "Safety and accountability".
 */
import { badInput } from '../../../../core/errors.ts';
import { isJsonObject } from '../../../../core/json/json-value.ts';
import { isKilling } from '../../../../core/evaluation/rules/kill-switch.ts';
import type { Flag, Rule } from '../../flags/flag.ts';

/** Gives the switches that hold `edited` and did not hold `before`. */
export function pulledSwitches(before: Flag, edited: Flag): Rule[] {
  const holding = new Set(before.rules.filter(isKilling).map(({ id }) => id));
  return edited.rules.filter((rule) => isKilling(rule) && !holding.has(rule.id));
}

/** Checks whether a switch that holds `before` no longer holds `edited`. */
export function releasesSwitch(before: Flag, edited: Flag): boolean {
  return pulledSwitches(edited, before).length > 0;
}

/** Gives `before` with the switches that a change pulls, and without the rest of that change. */
export function withPulled(before: Flag, pulled: readonly Rule[]): Flag {
  const ids = new Set(pulled.map(({ id }) => id));
  const priorities = new Set(pulled.map(({ priority }) => priority));
  // An existing switch with the priority of a pulled one is left out: the pulled one holds the flag just as well.
  const kept = before.rules.filter(
    ({ id, type, priority }) => !ids.has(id) && !(type === 'kill_switch' && priorities.has(priority)),
  );
  return { ...before, rules: [...kept, ...pulled].sort((a, b) => b.priority - a.priority) };
}

/** Gives the reason in the pulled switches' conditions. Throws BAD_USER_INPUT at `field` when a switch has none. */
export function reasonOf(pulled: readonly Rule[], field: string): string {
  const reasons = pulled.map(({ conditions }) => (isJsonObject(conditions) ? conditions['reason'] : undefined));
  if (!reasons.every((reason) => typeof reason === 'string'))
    throw badInput(field, 'A kill switch requires a reason: set conditions.reason to 1 to 1,000 characters.');
  return reasons.join('; ');
}
