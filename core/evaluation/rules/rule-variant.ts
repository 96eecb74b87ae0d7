import type { RuleDefinition } from '../../model.ts';

/**
 * Gives the variant that a rule serves: the one that it names, or else `treatment` for percentage_rollout and `enabled`
 * for the others.
 */
export function variantOf(rule: Pick<RuleDefinition, 'type' | 'variant'>): string {
  if (typeof rule.variant === 'string' && rule.variant !== '') return rule.variant;
  return rule.type === 'percentage_rollout' ? 'treatment' : 'enabled';
}

/** The variants that count as arms of an experiment. */
const ARMS = ['treatment', 'control'];

/**
 * Says whether an enabled rule puts hand-picked vehicles into an arm of an experiment. Their measurements would count
 * as if the random assignment had put them there.
 */
export function picksArm(rule: Pick<RuleDefinition, 'type' | 'variant' | 'enabled'>): boolean {
  return (
    rule.enabled && rule.type !== 'percentage_rollout' && rule.type !== 'kill_switch' && ARMS.includes(variantOf(rule))
  );
}
