/**
 * What a change does to a flag's kill switches, whichever way it is written: a switch that begins to hold the flag is
 * pulled, one that no longer does is released. Pure. Source: design.md, "Safety and accountability".
 */
import { badInput } from '../../../core/errors.ts';
import { isJsonObject } from '../../../core/json/json-value.ts';
import { isKilling } from '../../../core/evaluation/rules/kill-switch.ts';
import type { Flag, Rule } from '../flags/flag.ts';

/** The switches of `edited` that hold it and did not hold `before`. */
export function pulledSwitches(before: Flag, edited: Flag): Rule[] {
  const holding = new Set(before.rules.filter(isKilling).map(({ id }) => id));
  return edited.rules.filter((rule) => isKilling(rule) && !holding.has(rule.id));
}

/** Whether a switch that holds `before` holds `edited` no longer. */
export function releasesSwitch(before: Flag, edited: Flag): boolean {
  return pulledSwitches(edited, before).length > 0;
}

/** `before` with the switches that the change to `edited` pulls, and with nothing else of the change. */
export function withPulled(before: Flag, pulled: readonly Rule[]): Flag {
  const ids = new Set(pulled.map(({ id }) => id));
  const priorities = new Set(pulled.map(({ priority }) => priority));
  // A switch in the place of one that is pulled gives way: the pulled one holds the flag as well.
  const kept = before.rules.filter(
    ({ id, type, priority }) => !ids.has(id) && !(type === 'kill_switch' && priorities.has(priority)),
  );
  return { ...before, rules: [...kept, ...pulled].sort((a, b) => b.priority - a.priority) };
}

/** Why switches are pulled, as their conditions say. Throws BAD_USER_INPUT at `field` for one that does not say it. */
export function reasonOf(pulled: readonly Rule[], field: string): string {
  const reasons = pulled.map(({ conditions }) => (isJsonObject(conditions) ? conditions['reason'] : undefined));
  if (!reasons.every((reason) => typeof reason === 'string'))
    throw badInput(field, 'A kill switch says why it is pulled: give conditions.reason, 1 to 1,000 characters.');
  return reasons.join('; ');
}
