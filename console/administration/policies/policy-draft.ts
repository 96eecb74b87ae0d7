/** A release policy as it is typed into its form, and as the API takes it. */
import type { FieldFault, FieldFaults } from '../../api/fault-fields.ts';
import type { Environment, PolicyFragment, ReleasePolicyInput, SafetyLevel } from '../../generated/operations.ts';
import { SAFETY_LEVELS } from '../../flags/flag-filter.ts';
import { typedNumber } from '../../rollouts/plan.ts';
import { vinsIn } from '../../flags/rules/rule-draft.ts';
import { durationSeconds, SOAK_UNITS, type SoakUnit } from './duration-seconds.ts';
import { policyGuardDraft, policyGuardFaults, policyGuardInput, type TypedPolicyGuard } from './policy-guard.ts';

/** The units as a form offers them. */
export const SOAK_UNIT_NAMES: readonly SoakUnit[] = ['days', 'hours', 'minutes', 'seconds'];

/** A stage as it is typed. */
export interface TypedStage {
  /** Distinguishes the stages of a form. */
  readonly id: number;
  readonly percentage: string;
  readonly soak: string;
  readonly unit: SoakUnit;
  readonly vehicles: string;
}

/** A policy as it is typed. */
export interface TypedPolicy {
  readonly stages: readonly TypedStage[];
  readonly vins: string;
  readonly models: readonly string[];
  readonly regions: readonly string[];
  readonly levels: readonly SafetyLevel[];
  readonly faultyVehicles: string;
  readonly faultyPercent: string;
  readonly guards: readonly TypedPolicyGuard[];
}

/** The part of a policy that people decide on; a proposal has it, too. */
export type PolicyContent = Pick<
  PolicyFragment,
  'stages' | 'canary' | 'safetyLevels' | 'maximumFaultyVehicles' | 'maximumFaultyPercent' | 'guards'
>;

/** Gives a duration in the longest unit of which it is a whole number. */
function soakOf(duration: string): Pick<TypedStage, 'soak' | 'unit'> {
  const seconds = durationSeconds(duration);
  const unit = SOAK_UNIT_NAMES.find((one) => seconds > 0 && seconds % SOAK_UNITS[one] === 0) ?? 'hours';
  return { soak: String(seconds / SOAK_UNITS[unit]), unit };
}

/** A stage that somebody adds. */
export const newPolicyStage = (id: number): TypedStage => ({
  id,
  percentage: '',
  soak: '1',
  unit: 'days',
  vehicles: '0',
});

/** Gives a policy as it stands in its form. */
export const policyDraftOf = (policy: PolicyContent): TypedPolicy => ({
  stages: policy.stages.map(({ percentage, soak, minimumVehicles }, id) => ({
    id,
    percentage: String(percentage),
    ...soakOf(soak),
    vehicles: String(minimumVehicles),
  })),
  vins: (policy.canary?.vins ?? []).join('\n'),
  models: policy.canary?.models ?? [],
  regions: policy.canary?.regions ?? [],
  levels: policy.safetyLevels,
  faultyVehicles: String(policy.maximumFaultyVehicles),
  faultyPercent: String(policy.maximumFaultyPercent),
  guards: policy.guards.map(policyGuardDraft),
});

const isCount = (text: string) => Number.isInteger(typedNumber(text)) && typedNumber(text) >= 0;

/** Finds what cannot even be sent, because it is no number. The control plane says what a policy may be. */
export function policyFaultsOf({ stages, faultyVehicles, faultyPercent, guards }: TypedPolicy): FieldFaults {
  const wrong: Record<string, FieldFault> = {};
  for (const [index, { percentage, soak, vehicles }] of stages.entries()) {
    if (Number.isNaN(typedNumber(percentage))) wrong[`stages.${index}.percentage`] = 'percentage';
    if (!isCount(soak)) wrong[`stages.${index}.soak`] = 'count';
    if (!isCount(vehicles)) wrong[`stages.${index}.minimumVehicles`] = 'count';
  }
  if (!isCount(faultyVehicles)) wrong['maximumFaultyVehicles'] = 'count';
  if (Number.isNaN(typedNumber(faultyPercent))) wrong['maximumFaultyPercent'] = 'number';
  for (const [index, guard] of guards.entries()) Object.assign(wrong, policyGuardFaults(guard, `guards.${index}`));
  return wrong;
}

/** Gives a form as the API takes it. It has no faults by `policyFaultsOf`. */
export function policyInput(environment: Environment, draft: TypedPolicy): ReleasePolicyInput {
  const vins = vinsIn(draft.vins);
  const hasCanary = vins.length + draft.models.length + draft.regions.length > 0;
  return {
    environment,
    stages: draft.stages.map(({ percentage, soak, unit, vehicles }) => ({
      percentage: typedNumber(percentage),
      soak: `PT${typedNumber(soak) * SOAK_UNITS[unit]}S`,
      minimumVehicles: typedNumber(vehicles),
    })),
    ...(hasCanary && { canary: { vins, models: draft.models, regions: draft.regions } }),
    safetyLevels: SAFETY_LEVELS.filter((level) => draft.levels.includes(level)),
    maximumFaultyVehicles: typedNumber(draft.faultyVehicles),
    maximumFaultyPercent: typedNumber(draft.faultyPercent),
    guards: draft.guards.map(policyGuardInput),
  };
}
