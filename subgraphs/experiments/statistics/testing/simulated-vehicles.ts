/** Vehicles whose measurements come from a seeded generator: the same in every run. */
import { xoroshiro128plus } from 'pure-rand/generator/xoroshiro128plus';
import { uniformFloat64 } from 'pure-rand/distribution/uniformFloat64';
import type { ArmSums } from '../analyse.ts';
import type { ArmHistory } from '../cuped.ts';
import { effectEvidence, NO_EVIDENCE, type EffectPlan } from '../evidence/effect-evidence.ts';
import { placeInRange, type VehiclesAtPlace } from '../evidence/places.ts';
import type { Split } from '../evidence/split-evidence.ts';
import { mapArms, type Arms, type Moments, type PairedMoments } from '../moments.ts';
import type { GatheredEvidence } from '../evidence/sequential-comparison.ts';

/** Random numbers of one generator. */
export interface Draws {
  /** Uniform from 0 to 1, 1 excluded. */
  readonly uniform: () => number;
  /** Normal with mean 0 and variance 1. */
  readonly normal: () => number;
  /** Exponential with mean 1 and variance 1, skewed to the right. */
  readonly exponential: () => number;
}

/** Creates a generator for one simulation. */
export function draws(seed: number): Draws {
  const generator = xoroshiro128plus(seed);
  const uniform = () => uniformFloat64(generator);
  const exponential = () => -Math.log1p(-uniform());
  let spare: number | null = null;
  // Box and Muller, Annals of Mathematical Statistics 29 (1958): two at a time.
  const normal = () => {
    if (spare !== null) {
      const second = spare;
      spare = null;
      return second;
    }
    const [radius, angle] = [Math.sqrt(2 * exponential()), 2 * Math.PI * uniform()];
    spare = radius * Math.sin(angle);
    return radius * Math.cos(angle);
  };
  return { uniform, normal, exponential };
}

/**
 * Draws chi-square by rejection (Marsaglia, Tsang, ACM Transactions on Mathematical Software 26, 2000), so it is exact.
 */
function chiSquare({ uniform, normal }: Draws, df: number): number {
  if (df === 1) return normal() ** 2;
  const d = df / 2 - 1 / 3;
  for (;;) {
    const x = normal();
    const v = (1 + x / Math.sqrt(9 * d)) ** 3;
    if (v > 0 && Math.log(uniform()) < (x * x) / 2 + d - d * v + d * Math.log(v)) return 2 * d * v;
  }
}

/**
 * Draws the moments of `vehicles` (2 or more) with normal measurements, without drawing each: mean and M2 of a normal
 * sample are independent, and their distributions are known exactly.
 */
export function normalArm(draw: Draws, vehicles: number, mean: number, standardDeviation: number): Moments {
  return {
    count: vehicles,
    mean: mean + (standardDeviation * draw.normal()) / Math.sqrt(vehicles),
    m2: standardDeviation ** 2 * chiSquare(draw, vehicles - 1),
  };
}

/** Draws the moments of a measurement that is 1 with probability `share`, otherwise 0. */
export function binaryArm(draw: Draws, vehicles: number, share: number): Moments {
  let ones = 0;
  for (let vehicle = 0; vehicle < vehicles; vehicle++) if (draw.uniform() < share) ones++;
  return { count: vehicles, mean: ones / vehicles, m2: (ones * (vehicles - ones)) / vehicles };
}

/** Draws the moments of an exponential measurement with mean 1. */
export function skewedArm(draw: Draws, vehicles: number): Moments {
  return momentsOf(Array.from({ length: vehicles }, () => draw.exponential()));
}

/** The moments of an arm without vehicles. */
export const NONE: PairedMoments = { count: 0, mean: 0, m2: 0, covariateMean: 0, covariateM2: 0, comoment: 0 };

/** Computes a mean in two passes; the second corrects the rounding of the first. */
function meanOf(values: readonly number[]): number {
  const rough = values.reduce((sum, value) => sum + value, 0) / values.length;
  return rough + values.reduce((sum, value) => sum + (value - rough), 0) / values.length;
}

/** Computes moments in two passes, so in another way than the code under test. */
export function momentsOf(values: readonly number[]): Moments {
  const { count, mean, m2 } = pairedMomentsOf(values, values);
  return { count, mean, m2 };
}

/** Computes moments of pairs; the covariate at an index belongs to the vehicle of the value at that index. */
export function pairedMomentsOf(values: readonly number[], covariates: readonly number[]): PairedMoments {
  if (values.length === 0) return NONE;
  const [mean, covariateMean] = [meanOf(values), meanOf(covariates)];
  let [m2, covariateM2, comoment] = [0, 0, 0];
  values.forEach((value, index) => {
    const covariate = (covariates[index] as number) - covariateMean;
    m2 += (value - mean) ** 2;
    covariateM2 += covariate ** 2;
    comoment += (value - mean) * covariate;
  });
  return { count: values.length, mean, m2, covariateMean, covariateM2, comoment };
}

/** Gives the counts of an arm in which each vehicle has measured once, and nothing was out of order. */
export function countsOf(vehicles: number): Omit<ArmSums, keyof ArmHistory> {
  return { observations: vehicles, exposed: vehicles, outOfRange: 0, neverReported: 0, otherVariant: 0 };
}

/** Gives an arm of vehicles without history. */
export function armWithoutHistory(moments: Moments): ArmSums {
  return { withHistory: NONE, withoutHistory: moments, ...countsOf(moments.count) };
}

/** Gives the split of arms of which all vehicles count, with equal shares planned. */
export function evenSplit(arms: Arms<ArmHistory>): Split[] {
  const count = ({ withHistory, withoutHistory }: ArmHistory) => withHistory.count + withoutHistory.count;
  return [{ treatmentShare: 0.5, vehicles: mapArms(arms, count) }];
}

/** The evidence of an experiment whose metric has no range yet. */
export const NOTHING_GATHERED: GatheredEvidence = { evidence: NO_EVIDENCE, plan: null };

/** Gives how many numbers are at each place of the range. */
function placesOf(numbers: readonly number[], range: EffectPlan['range']): VehiclesAtPlace[] {
  const places = new Map<number, number>();
  for (const y of numbers) places.set(placeInRange(y, range), (places.get(placeInRange(y, range)) ?? 0) + 1);
  return [...places].map(([place, vehicles]) => ({ place, vehicles }));
}

/** Gives the evidence of a single look, in which all vehicles have measured. */
export function gatheredBy(
  values: Arms<readonly number[]>,
  plan: EffectPlan,
  confidenceLevel = 0.95,
): GatheredEvidence {
  const places = mapArms(values, (numbers) => placesOf(numbers, plan.range));
  return { evidence: effectEvidence(places, plan, 1 - confidenceLevel), plan };
}
