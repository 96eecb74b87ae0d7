/**
 * The effect in parts of an experiment, and over its time. Both are for exploration and decide nothing: each interval
 * holds at every look, but among many segments a few intervals exclude 0 by chance.
 */
import {
  effectEvidence,
  gathered,
  logOfDirection,
  NO_EVIDENCE,
  type EffectEvidence,
  type EffectPlan,
} from './evidence/effect-evidence.ts';
import { detectablePercent } from './evidence/detectable.ts';
import type { VehiclesAtPlace } from './evidence/places.ts';
import { isMissingNumber, mapArms, mergePaired, withConstantCovariate, type Arms, type Moments } from './moments.ts';
import { compareSequentially } from './evidence/sequential-comparison.ts';
import type { ComparedNumbers } from './welch/welch-comparison.ts';

/** Vehicles of one arm. */
export interface ArmOfPart {
  readonly moments: Moments;
  readonly places: readonly VehiclesAtPlace[];
}

/** The effect in some of the vehicles. */
export interface PartialEffect extends Omit<ComparedNumbers, 'pValue'> {
  readonly vehicles: Arms<number>;
  /** The mean of the numbers, each limited to the metric's range; null without vehicles or where it is not finite. */
  readonly means: Arms<number | null>;
  /** The smallest effect that is seen in about 80 % of cases with these vehicles, in percent of control's mean. */
  readonly detectablePercent: number | null;
}

const finiteOrNull = (value: number) => (Number.isFinite(value) ? value : null);

/** Gives the smallest effect that is seen in about 80 % of cases with the vehicles, in percent of control's mean. */
export function detectableOf(arms: Arms<Moments>, confidenceLevel: number): number | null {
  const estimates = mapArms(arms, ({ count, mean, m2 }) => ({ vehicles: count, mean, variance: m2 / count }));
  return detectablePercent(estimates, logOfDirection(1 - confidenceLevel));
}

/** Gives an effect: its intervals are those of `evidence`, its means and difference those of `arms`. */
export function effectOf(
  arms: Arms<ArmOfPart>,
  evidence: EffectEvidence,
  plan: EffectPlan,
  confidenceLevel: number,
): PartialEffect {
  const moments = mapArms(arms, (arm) => arm.moments);
  const vehicles = mapArms(moments, ({ count }) => count);
  const means = mapArms(moments, ({ count, mean }) => (count === 0 ? null : finiteOrNull(mean)));
  const { differenceInterval, confidenceInterval } = compareSequentially({ evidence, plan }, vehicles, confidenceLevel);
  const difference = means.treatment === null || means.control === null ? null : means.treatment - means.control;
  return {
    vehicles,
    means,
    difference,
    differenceInterval: isMissingNumber(differenceInterval) ? null : differenceInterval,
    improvementPercent:
      difference === null || means.control === null ? null : finiteOrNull((100 * difference) / Math.abs(means.control)),
    confidenceInterval: isMissingNumber(confidenceInterval) ? null : confidenceInterval,
    detectablePercent: detectableOf(moments, confidenceLevel),
  };
}

/** Gives the effect in a part of the vehicles, by one look. */
export function effectInPart(arms: Arms<ArmOfPart>, plan: EffectPlan, confidenceLevel: number): PartialEffect {
  const places = mapArms(arms, (arm) => arm.places);
  return effectOf(arms, effectEvidence(places, plan, 1 - confidenceLevel), plan, confidenceLevel);
}

/** The vehicles whose numbers became final on one day. */
export interface DayOfVehicles {
  /** The days since the start, from 0. */
  readonly day: number;
  readonly arms: Arms<ArmOfPart>;
}

/** The effect as it was at the end of a day. */
export interface EffectAtDay extends PartialEffect {
  readonly day: number;
}

const NOBODY: ArmOfPart = { moments: { count: 0, mean: 0, m2: 0 }, places: [] };

function joined(a: ArmOfPart, b: ArmOfPart): ArmOfPart {
  const places = new Map<number, number>();
  for (const { place, vehicles } of [...a.places, ...b.places]) places.set(place, (places.get(place) ?? 0) + vehicles);
  // The constant covariate only makes paired moments of them, which `mergePaired` merges.
  const { count, mean, m2 } = mergePaired(withConstantCovariate(a.moments, 0), withConstantCovariate(b.moments, 0));
  return {
    moments: { count, mean, m2 },
    places: [...places].map(([place, vehicles]) => ({ place, vehicles })),
  };
}

/** Gives the days of which the effect is shown: all, or evenly spaced ones with the last. */
function shownDays(last: number, most: number): ReadonlySet<number> {
  const points = Math.min(most, last + 1);
  return new Set(Array.from({ length: points }, (_, index) => Math.round(((index + 1) * (last + 1)) / points) - 1));
}

/**
 * Gives the effect at the end of at most `most` days, of the vehicles whose numbers were final then: later vehicles
 * change no earlier point. An effect that one point excludes stays excluded in later ones. A point takes 15 to 45 ms
 * with a thousand places, so each is computed on demand, and the caller can serve other requests between two points.
 *
 * @param days in any order; days without vehicles may be left out
 * @param most the most points
 * @param seen the evidence of all looks together. The last point includes it, and so never contradicts the result
 */
export function* effectOverTime(
  days: readonly DayOfVehicles[],
  plan: EffectPlan,
  confidenceLevel: number,
  most: number,
  seen = NO_EVIDENCE,
): Generator<EffectAtDay, void> {
  const last = Math.max(-1, ...days.map(({ day }) => day));
  const shown = shownDays(last, most);
  let [arms, evidence]: [Arms<ArmOfPart>, EffectEvidence] = [{ control: NOBODY, treatment: NOBODY }, NO_EVIDENCE];
  for (let day = 0; day <= last; day++) {
    const settled = days.find((one) => one.day === day);
    if (settled !== undefined)
      arms = {
        control: joined(arms.control, settled.arms.control),
        treatment: joined(arms.treatment, settled.arms.treatment),
      };
    if (!shown.has(day)) continue;
    const places = mapArms(arms, (arm) => arm.places);
    evidence = gathered(evidence, effectEvidence(places, plan, 1 - confidenceLevel));
    if (day === last) evidence = gathered(evidence, seen);
    yield { day, ...effectOf(arms, evidence, plan, confidenceLevel) };
  }
}
