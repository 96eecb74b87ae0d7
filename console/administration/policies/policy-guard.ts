/** A guard of a release policy as it is typed into its form, and as the API takes it. */
import type { FieldFault } from '../../api/fault-fields.ts';
import type { PolicyGuardFragment, ReleaseGuardInput } from '../../generated/operations.ts';
import { typedNumber } from '../../rollouts/plan.ts';
import { durationSeconds } from './duration-seconds.ts';

/** A guard as it is typed. */
export interface TypedPolicyGuard {
  /** Distinguishes the guards of a form. */
  readonly id: number;
  readonly metric: string;
  readonly worse: 'HIGHER' | 'LOWER';
  readonly limitKind: 'percent' | 'bound';
  readonly limit: string;
  readonly action: 'HALT' | 'HOLD';
  /** In percent. */
  readonly confidence: string;
  readonly minimumVehicles: string;
  readonly silenceMinutes: string;
}

/** A guard that somebody adds. */
export const newPolicyGuard = (id: number): TypedPolicyGuard => ({
  ...{ id, metric: '', worse: 'HIGHER', limitKind: 'percent', limit: '5', action: 'HALT' },
  ...{ confidence: '95', minimumVehicles: '50', silenceMinutes: '30' },
});

/** Gives a guard as it stands in its form. */
export const policyGuardDraft = (guard: PolicyGuardFragment, id: number): TypedPolicyGuard => ({
  ...{ id, metric: guard.metric, worse: guard.worse, action: guard.action },
  limitKind: guard.bound == null ? 'percent' : 'bound',
  limit: String(guard.bound ?? guard.maxWorsePercent ?? 0),
  // 100 × 0.9999 is not 99.99.
  confidence: String(Math.round(guard.confidenceLevel * 10_000) / 100),
  minimumVehicles: String(guard.minimumVehicles),
  silenceMinutes: String(durationSeconds(guard.silence) / 60),
});

/** Finds what cannot even be sent of a guard at a path, because it is no number. */
export function policyGuardFaults(guard: TypedPolicyGuard, path: string): Record<string, FieldFault> {
  const { limitKind, limit, confidence, minimumVehicles, silenceMinutes } = guard;
  const isNone = (text: string) => !Number.isFinite(typedNumber(text));
  return {
    ...(isNone(limit) && { [`${path}.${limitKind === 'percent' ? 'maxWorsePercent' : 'bound'}`]: 'number' as const }),
    ...(isNone(confidence) && { [`${path}.confidenceLevel`]: 'number' as const }),
    ...(!Number.isInteger(typedNumber(minimumVehicles)) && { [`${path}.minimumVehicles`]: 'count' as const }),
    ...(!(typedNumber(silenceMinutes) >= 0) && { [`${path}.silence`]: 'number' as const }),
  };
}

/** Gives a guard as the API takes it. It has no faults by `policyGuardFaults`. */
export function policyGuardInput(draft: TypedPolicyGuard): ReleaseGuardInput {
  const limit = typedNumber(draft.limit);
  return {
    ...{ metric: draft.metric.trim(), worse: draft.worse, action: draft.action },
    ...(draft.limitKind === 'percent' ? { maxWorsePercent: limit } : { bound: limit }),
    confidenceLevel: Math.round(typedNumber(draft.confidence) * 100) / 10_000,
    minimumVehicles: typedNumber(draft.minimumVehicles),
    silence: `PT${Math.round(typedNumber(draft.silenceMinutes) * 60)}S`,
  };
}
