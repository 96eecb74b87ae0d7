/** Edits of a flag's rules in memory, for `FlagEdit.edit`. */
import { randomUUID } from 'node:crypto';
import { FleetFlagError } from '../../../core/errors.ts';
import type { FlagType, JsonValue } from '../../../core/model.ts';
import { isKilled } from '../../../core/evaluation/rules/kill-switch.ts';
import { validateRuleInput } from '../../../core/validation/validate-rule.ts';
import type { RuleInput } from '../generated/resolvers.ts';
import { ruleContent, type Flag, type Rule } from '../flags/flag.ts';

/** Above the priorities that people choose, so that a pulled switch also comes first in the list of rules. */
const KILL_SWITCH_PRIORITY = 1_000_000;

/** Builds a rule from its input. @throws BAD_USER_INPUT below `input` */
export function newRule(id: string, input: RuleInput, flagType: FlagType): Rule {
  const parts = validateRuleInput(input, flagType, 'input');
  const at = new Date();
  return { ...parts, variant: parts.variant ?? null, id, createdAt: at, updatedAt: at };
}

/** Gives the flag with `rule` added, or in place of the rule with its id. @throws CONFLICT at `input.priority` */
export function withRule(flag: Flag, rule: Rule): Flag {
  const others = flag.rules.filter((other) => other.id !== rule.id);
  if (others.some((other) => other.type === rule.type && other.priority === rule.priority)) {
    throw new FleetFlagError(
      'CONFLICT',
      `${flag.key} already has a ${rule.type} rule of priority ${rule.priority}; choose another priority.`,
      {
        field: 'input.priority',
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
