/**
 * "Enabled rules by priority, highest first. Equal priority: kill_switch, vehicle_whitelist, vehicle_target,
 * user_attribute, percentage_rollout, then rule id." (design.md)
 */
import { RULE_TYPES, type RuleDefinition } from '../../model.ts';

/**
 * Compares two rules for sorting them into the order in which they are tried. Ids are compared by UTF-16 code units, so
 * that the order is the same under every locale.
 */
export function compareRules(
  left: Pick<RuleDefinition, 'id' | 'type' | 'priority'>,
  right: Pick<RuleDefinition, 'id' | 'type' | 'priority'>,
): number {
  if (left.priority !== right.priority) return left.priority > right.priority ? -1 : 1;
  if (left.type !== right.type) return RULE_TYPES.indexOf(left.type) - RULE_TYPES.indexOf(right.type);
  if (left.id === right.id) return 0;
  return left.id < right.id ? -1 : 1;
}
