/** The rules that the agent's tests share. */
import type { RuleDefinition } from '../../core/model.ts';

/** A rollout to every vehicle. */
export const ON: RuleDefinition = {
  id: 'on',
  type: 'percentage_rollout',
  priority: 1,
  enabled: true,
  conditions: { rollout_percentage: 100 },
};

/** A kill switch that is pulled. */
export const KILL: RuleDefinition = {
  id: 'kill',
  type: 'kill_switch',
  priority: 1,
  enabled: true,
  conditions: { force_disabled: true },
};

/** A rule for programs whose attribute `subscription` is `premium`. */
export const PREMIUM: RuleDefinition = {
  id: 'premium',
  type: 'user_attribute',
  priority: 1,
  enabled: true,
  conditions: { attribute: 'subscription', operator: 'in', values: ['premium'] },
};

/** A rule for vehicles in Europe. */
export const EU: RuleDefinition = {
  id: 'eu',
  type: 'vehicle_target',
  priority: 1,
  enabled: true,
  conditions: { regions: ['EU'] },
};
