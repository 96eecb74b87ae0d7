/**
 * The vehicles that each arm needs for a planned effect to be found, two-sided, by Welch's test at the planned end.
 *
 *   continuous:  n = 2 (z_{1−α/2} + z_{power})² σ²/δ² + z²_{1−α/2}/4
 *   binary:      n = (z_{1−α/2} + z_{power})² (p₁(1 − p₁) + p₂(1 − p₂)) / δ²,   p₂ = p₁ + δ
 *
 * The continuous formula is off by one here and there; from it the smallest n is found whose exact power suffices.
 *
 * Source: Guenther, "Sample Size Formulas for Normal Theory t Tests", The American Statistician 35 (1981), whose last
 * term makes up for the variance being estimated; Chow, Shao, Wang, "Sample Size Calculations in Clinical Research"
 * (2008), eq. 4.2.2: each arm's own variance, as in Welch's test, not the pooled one of the z-test.
 */
import { FleetFlagError, badInput } from '../../../../core/errors.ts';
import { normalCritical } from '../distributions.ts';
import { powerOfTest } from './power.ts';

/** The plan of an experiment. */
export interface SampleSizeInput {
  /** The control's mean; for a binary metric, the share of vehicles with a 1. */
  readonly baseline: number;
  /**
   * The effect in the metric's unit (for a binary metric, a share), or with `relative` a fraction of the baseline. Its
   * sign is the direction.
   */
  readonly minimumDetectableEffect: number;
  readonly relative?: boolean | null;
  /** The standard deviation of the vehicles' means, in the metric's unit. Without it the metric is binary. */
  readonly standardDeviation?: number | null;
  readonly power?: number | null;
  readonly confidenceLevel?: number | null;
}

const DEFAULT_POWER = 0.8;
const DEFAULT_CONFIDENCE = 0.95;
const MIN_POWER = 0.5;
/** Computing a variance needs two vehicles. */
const MIN_VEHICLES = 2;
/** The greatest value of GraphQL's Int. */
const MAX_VEHICLES = 2_147_483_647;

function finite(value: number, field: string): number {
  if (!Number.isFinite(value)) throw badInput(field, `${field} must be a finite number.`);
  return value;
}

function readLevels(input: SampleSizeInput): { power: number; confidenceLevel: number } {
  const power = finite(input.power ?? DEFAULT_POWER, 'power');
  // Below one half the formula would give fewer vehicles for a smaller effect.
  if (power < MIN_POWER || power >= 1)
    throw badInput('power', `power is ${power}; it must be at least ${MIN_POWER} and less than 1.`);
  const confidenceLevel = finite(input.confidenceLevel ?? DEFAULT_CONFIDENCE, 'confidenceLevel');
  if (confidenceLevel <= 0 || confidenceLevel >= 1)
    throw badInput('confidenceLevel', `confidenceLevel is ${confidenceLevel}; it must be between 0 and 1.`);
  return { power, confidenceLevel };
}

/** Gives the effect in the metric's unit. */
function readEffect(input: SampleSizeInput): number {
  const baseline = finite(input.baseline, 'baseline');
  const given = finite(input.minimumDetectableEffect, 'minimumDetectableEffect');
  if (given === 0)
    throw badInput('minimumDetectableEffect', 'The effect must not be 0: no number of vehicles can find it.');
  if (input.relative !== true) return given;
  if (baseline === 0) throw badInput('baseline', 'A relative effect requires a baseline other than 0.');
  return given * Math.abs(baseline);
}

/** Gives the sum of the squares of the arms' standard deviations divided by the effect. */
function noise(input: SampleSizeInput, effect: number): number {
  const { baseline } = input;
  if (typeof input.standardDeviation === 'number') {
    const standardDeviation = finite(input.standardDeviation, 'standardDeviation');
    if (standardDeviation <= 0)
      throw badInput('standardDeviation', `standardDeviation is ${standardDeviation}; it must be above 0.`);
    return 2 * (standardDeviation / effect) ** 2;
  }
  if (baseline <= 0 || baseline >= 1)
    throw badInput(
      'baseline',
      `baseline is ${baseline}; without standardDeviation it must be a share between 0 and 1.`,
    );
  const changed = baseline + effect;
  if (changed <= 0 || changed >= 1)
    throw badInput(
      'minimumDetectableEffect',
      `The effect changes the share from ${baseline} to ${changed}; it must stay between 0 and 1.`,
    );
  return (baseline * (1 - baseline)) / effect ** 2 + (changed * (1 - changed)) / effect ** 2;
}

/** Gives the smallest number of vehicles whose exact power suffices, from one that is nearly it. */
function exactSize(near: number, effect: number, power: number, alpha: number): number {
  if (near > MAX_VEHICLES) return near;
  const suffices = (vehicles: number) => powerOfTest(vehicles, effect, alpha) >= power;
  let vehicles = Math.max(MIN_VEHICLES, near);
  while (!suffices(vehicles)) vehicles++;
  while (vehicles > MIN_VEHICLES && suffices(vehicles - 1)) vehicles--;
  return vehicles;
}

/**
 * Gives the number of vehicles needed in each arm, at least 2.
 *
 * @throws BAD_USER_INPUT at the argument with the first fault; LIMIT_EXCEEDED at `minimumDetectableEffect` when the
 * answer exceeds an Int
 */
export function requiredSampleSize(input: SampleSizeInput): number {
  const { power, confidenceLevel } = readLevels(input);
  const effect = readEffect(input);
  const critical = normalCritical(1 - confidenceLevel);
  const needed = (critical + normalCritical(2 * (1 - power))) ** 2 * noise(input, effect);
  const vehicles =
    typeof input.standardDeviation === 'number'
      ? exactSize(Math.ceil(needed + critical ** 2 / 4), effect / input.standardDeviation, power, 1 - confidenceLevel)
      : Math.ceil(needed);
  if (vehicles <= MAX_VEHICLES) return Math.max(MIN_VEHICLES, vehicles);
  throw new FleetFlagError(
    'LIMIT_EXCEEDED',
    `An effect this small requires more than ${MAX_VEHICLES} vehicles in each arm; choose a larger one.`,
    {
      field: 'minimumDetectableEffect',
      limit: MAX_VEHICLES,
    },
  );
}
