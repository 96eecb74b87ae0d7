import type { RuleDefinition } from '../../model.ts';

/**
 * The variant that a rule serves: the one that it names, or `treatment` (percentage_rollout) or `enabled` (the others).
 */
export function variantOf(rule: Pick<RuleDefinition, 'type' | 'variant'>): string {
  if (typeof rule.variant === 'string' && rule.variant !== '') return rule.variant;
  return rule.type === 'percentage_rollout' ? 'treatment' : 'enabled';
}

/** The variants that are arms of an experiment. */
const ARMS = ['treatment', 'control'];

/**
 * Whether an enabled rule puts vehicles that somebody has picked into an arm: what they measure would count as if the
 * draw had put them there.
 */
export function picksArm(rule: Pick<RuleDefinition, 'type' | 'variant' | 'enabled'>): boolean {
  return (
    rule.enabled && rule.type !== 'percentage_rollout' && rule.type !== 'kill_switch' && ARMS.includes(variantOf(rule))
  );
}
