/**
 * Judges a rollout's guard by what it has gathered. Pure. docs/reference/statistics.md, "The guard of a rollout", says
 * which test this is and why it may be repeated at any moment.
 */
import type { GuardFigures, GuardVerdict, MetricGuard } from '../../../core/rollouts/rollout-guard.ts';
import type { ArmOfSettled } from '../settled/settled-vehicles.ts';
import { logThreshold, pValueOf } from '../statistics/evidence/accumulated-evidence.ts';
import { detectablePercent } from '../statistics/evidence/detectable.ts';
import { mapArms, type Arms } from '../statistics/moments.ts';
import { alphaOf, logNeeded, type GuardState } from './guard-evidence.ts';

/** A guard and the state of its watch. */
export interface GuardWatch extends MetricGuard {
  /**
   * The number of the watch. A watch begins with the start, each step and each resumption of the rollout, or with a
   * stage of the release.
   */
  readonly watch: number;
  readonly watchedSince: Date;
  /** Whether any vehicle gets the treatment. */
  readonly serves: boolean;
}

/** The result of a look. */
export interface Look {
  readonly state: GuardState;
  /** The settled vehicles of the open epoch. */
  readonly arms: Arms<ArmOfSettled>;
  /** The arrival time of the last row of the treatment since the epoch began; null without one. */
  readonly heardAt: Date | null;
}

/** A verdict with the figures on which it is based. */
export interface GuardJudgement {
  readonly verdict: GuardVerdict;
  readonly figures: GuardFigures;
}

const finiteOrNull = (value: number) => (Number.isFinite(value) ? value : null);

function figuresOf(guard: GuardWatch, { state, arms: { control, treatment }, heardAt }: Look): GuardFigures {
  const direction = guard.worse === 'higher' ? 1 : -1;
  const counts = (of: (arm: ArmOfSettled) => number) => mapArms({ control, treatment }, of);
  const estimates = mapArms({ control, treatment }, ({ counted, mean, variance }) => ({
    vehicles: counted,
    mean,
    variance,
  }));
  const detectable = guard.bound === null ? detectablePercent(estimates, logNeeded(guard)) : null;
  return {
    controlVehicles: control.counted,
    treatmentVehicles: treatment.counted,
    vehiclesInBothArms: control.otherVariant + treatment.otherVariant,
    controlMean: finiteOrNull(control.mean),
    treatmentMean: finiteOrNull(treatment.mean),
    worsePercent: finiteOrNull((direction * 100 * (treatment.mean - control.mean)) / Math.abs(control.mean)),
    worsePercentAtLeast: state.worsePercentAtLeast,
    detectablePercent: detectable === null ? null : (guard.maxWorsePercent ?? 0) + detectable,
    outOfRange: counts(({ outOfRange }) => outOfRange),
    neverReported: counts(({ neverReported }) => neverReported),
    pValue: state.most === 0 && control.counted + treatment.counted === 0 ? null : pValueOf(state.most),
    significance: alphaOf(guard),
    lastMeasurementAt: heardAt?.toISOString() ?? null,
  };
}

/**
 * Judges the guard. A limit is crossed at any number of vehicles; only to advance does a rollout need enough of them.
 *
 * @param now by the same clock as `watchedSince`
 */
export function judge(guard: GuardWatch, look: Look, now: Date): GuardJudgement {
  const { state, arms, heardAt } = look;
  const figures = figuresOf(guard, look);
  if (state.most >= logThreshold(alphaOf(guard))) return { verdict: 'crossed', figures };
  const heard = Math.max(guard.watchedSince.getTime(), heardAt?.getTime() ?? 0);
  if (guard.serves && now.getTime() - heard >= guard.silence) return { verdict: 'silent', figures };
  const compared = guard.bound === null ? [arms.control, arms.treatment] : [arms.treatment];
  const enough = compared.every(({ counted }) => counted >= guard.minimumVehicles);
  return { verdict: enough ? 'holding' : 'waiting', figures };
}
