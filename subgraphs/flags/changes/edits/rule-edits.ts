/** Edits of a flag's rules in memory, for `FlagEdit.edit`. */
import { randomUUID } from 'node:crypto';
import { FleetFlagError, badInput } from '../../../../core/errors.ts';
import type { FlagType, JsonValue } from '../../../../core/model.ts';
import { isKilled } from '../../../../core/evaluation/rules/kill-switch.ts';
import { compareRules } from '../../../../core/evaluation/rules/rule-order.ts';
import { validateRuleInput } from '../../../../core/validation/validate-rule.ts';
import type { RuleInput, UpdateRuleInput } from '../../generated/resolvers.ts';
import { ruleContent, type Flag, type Rule } from '../../flags/flag.ts';
import { checkRuleValue } from './contract-checks.ts';

/**
 * The priority of a pulled kill switch. It is above those that people choose, so that the switch also comes first in
 * the list of rules.
 */
const KILL_SWITCH_PRIORITY = 1_000_000;

/** The largest priority, a 32-bit integer. */
const HIGHEST_PRIORITY = 2 ** 31 - 1;

/**
 * Builds a rule from its input.
 *
 * @throws BAD_USER_INPUT below `path`
 */
export function newRule(id: string, input: RuleInput, flagType: FlagType, path = 'input'): Rule {
  const parts = validateRuleInput(input, flagType, path);
  const at = new Date();
  return { ...parts, variant: parts.variant ?? null, id, createdAt: at, updatedAt: at };
}

/**
 * Gives a rule of the flag.
 *
 * @throws NOT_FOUND at `field`
 */
export function ruleOf(flag: Flag, id: string, field = 'id'): Rule {
  const rule = flag.rules.find((candidate) => candidate.id === id);
  if (rule === undefined) throw new FleetFlagError('NOT_FOUND', 'This rule does not exist.', { field });
  return rule;
}

/**
 * Builds `rule` as an update makes it.
 *
 * @throws BAD_USER_INPUT, LIMIT_EXCEEDED below `path`
 */
export function changedRule(rule: Rule, input: UpdateRuleInput, flagType: FlagType, path = 'input'): Rule {
  for (const field of ['priority', 'enabled', 'conditions'] as const) {
    if (input[field] === null)
      throw badInput(`${path}.${field}`, `${field} must not be null; omit it to keep the current value.`);
  }
  const given = Object.fromEntries(Object.entries(input).filter(([, value]) => value !== undefined));
  const parts = validateRuleInput(
    { ...rule, value: rule.value ?? undefined, ...given, type: rule.type },
    flagType,
    path,
  );
  return { ...rule, ...parts, variant: parts.variant ?? null, updatedAt: new Date() };
}

/**
 * Gives the flag without one of its rules.
 *
 * @throws NOT_FOUND at `field`
 */
export function withoutRule(flag: Flag, id: string, field?: string): Flag {
  const rule = ruleOf(flag, id, field);
  return { ...flag, rules: flag.rules.filter((other) => other !== rule) };
}

/**
 * Gives the flag with `rule` added, or in place of the rule with its id.
 *
 * @throws CONFLICT at the priority of the input at `path`; BAD_USER_INPUT below its value, as `checkRuleValue`
 */
export function withRule(flag: Flag, rule: Rule, path = 'input'): Flag {
  checkRuleValue(flag, rule, path);
  const others = flag.rules.filter((other) => other.id !== rule.id);
  if (others.some((other) => other.type === rule.type && other.priority === rule.priority)) {
    throw new FleetFlagError(
      'CONFLICT',
      `${flag.key} already has a ${rule.type} rule of priority ${rule.priority}; choose another priority.`,
      {
        field: `${path}.priority`,
        currentRevision: flag.revision,
      },
    );
  }
  const rules =
    others.length < flag.rules.length
      ? flag.rules.map((other) => (other.id === rule.id ? rule : other))
      : [...flag.rules, rule];
  return { ...flag, rules: [...rules].sort((a, b) => b.priority - a.priority) };
}

/**
 * Finds the rules that an order names.
 *
 * @throws as `withOrder`
 */
function rulesInOrder({ key, rules }: Flag, ids: readonly string[], path: string): Rule[] {
  const named = ids.map((id, index): Rule => {
    const [field, known] = [`${path}.${index}`, id.toLowerCase()];
    const rule = rules.find((candidate) => candidate.id === known);
    if (rule === undefined) throw new FleetFlagError('NOT_FOUND', `${key} has no such rule.`, { field });
    if (rule.type === 'kill_switch')
      throw badInput(field, 'A kill switch has no place in the order: a pulled one comes before all rules.');
    if (ids.findIndex((other) => other.toLowerCase() === known) < index)
      throw badInput(field, 'The order names this rule twice.');
    return rule;
  });
  const missing = rules.find((rule) => rule.type !== 'kill_switch' && !named.includes(rule));
  if (missing !== undefined)
    throw badInput(path, `The order must name every rule of ${key} that is no kill switch; ${missing.id} is missing.`);
  return named;
}

/** Gives the priorities of rules for another order: the same ones where they differ, highest first. */
function descending(rules: readonly Rule[]): number[] {
  const priorities = rules.map(({ priority }) => priority).sort((a, b) => b - a);
  for (let place = priorities.length - 2; place >= 0; place--)
    priorities[place] = Math.max(priorities[place] ?? 0, (priorities[place + 1] ?? 0) + 1);
  // Raising equal ones may have passed the largest number; below it there is room for far more rules.
  let highest = HIGHEST_PRIORITY;
  return priorities.map((priority) => {
    const fitting = Math.min(priority, highest);
    highest = fitting - 1;
    return fitting;
  });
}

/**
 * Gives the flag with its rules tried in the order of `ids`. The rules exchange the priorities that they have; of equal
 * ones, which rules of different types may have, some are raised.
 *
 * @param ids the flag's rules without its kill switches, each once, the one that is tried first at the beginning
 * @throws NOT_FOUND at `<path>.<index>` for a rule that the flag does not have; BAD_USER_INPUT there for a rule that is
 *   named twice and for a kill switch, and at `path` where a rule is missing
 */
export function withOrder(flag: Flag, ids: readonly string[], path = 'ruleIds'): Flag {
  const wanted = rulesInOrder(flag, ids, path);
  const present = [...wanted].sort(compareRules);
  if (present.every((rule, place) => rule === wanted[place])) return flag;
  const priorities = descending(wanted);
  const places = new Map(wanted.map((rule, place) => [rule.id, priorities[place]]));
  const at = new Date();
  const rules = flag.rules.map((rule): Rule => {
    const priority = places.get(rule.id) ?? rule.priority;
    return priority === rule.priority ? rule : { ...rule, priority, updatedAt: at };
  });
  return { ...flag, rules: rules.sort((a, b) => b.priority - a.priority) };
}

/**
 * Gives the flag held at its default value by a kill switch. A flag that is already held keeps its first reason; the
 * audit log records the second beside it.
 */
export function withKillSwitch(flag: Flag, reason: string): Flag {
  if (isKilled(flag.rules)) return flag;
  const conditions = { force_disabled: true, reason };
  const present = flag.rules.find((rule) => rule.type === 'kill_switch');
  const rule =
    present ?? newRule(randomUUID(), { type: 'kill_switch', priority: KILL_SWITCH_PRIORITY, conditions }, flag.type);
  return withRule(flag, { ...rule, enabled: true, conditions, updatedAt: new Date() });
}

const switches = (flag: Flag): JsonValue => flag.rules.filter((rule) => rule.type === 'kill_switch').map(ruleContent);

/** Gives the audit record of pulling or releasing a kill switch. */
export const recordSwitch = (reason: string | null) => (before: Flag, after: Flag) => ({
  before: { killSwitches: switches(before) },
  after: { killSwitches: switches(after), reason },
});

/** Gives the content of one of a flag's rules, as the audit log shows it; null where the flag does not have it. */
export function ruleContentIn(flag: Flag, ruleId: string): JsonValue {
  const rule = flag.rules.find((candidate) => candidate.id === ruleId);
  return rule === undefined ? null : ruleContent(rule);
}
