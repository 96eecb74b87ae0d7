import type { RuleDefinition } from '../model.ts';

/** The variant that a rule serves: the one that it names, or `treatment` (percentage_rollout) or `enabled` (the others). */
export function variantOf(rule: Pick<RuleDefinition, 'type' | 'variant'>): string {
  if (typeof rule.variant === 'string' && rule.variant !== '') return rule.variant;
  return rule.type === 'percentage_rollout' ? 'treatment' : 'enabled';
}
