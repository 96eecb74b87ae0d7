/**
 * Rollout guards: what a guard may say, and the figures behind its verdict. A guard watches a metric during a scheduled
 * rollout. Its limit is either "worse than control by x %" at a confidence level, or an absolute bound. Durations are
 * in milliseconds.
 */
import { badInput } from '../errors.ts';
import { checkNumber } from '../json/json-value.ts';
import { validateMetricName } from '../wire/vehicle/metric.ts';
import { parseDuration } from '../validation/duration.ts';

/** The direction in which the metric gets worse. */
export const GUARD_DIRECTIONS = ['higher', 'lower'] as const;
/** The direction in which a metric gets worse. */
export type GuardDirection = (typeof GUARD_DIRECTIONS)[number];

/**
 * The result of a guard: `waiting` while there are too few vehicles to advance, `holding` while the limit is kept,
 * `crossed` when it is not, and `silent` when the metric has stopped arriving.
 */
export const GUARD_VERDICTS = ['waiting', 'holding', 'crossed', 'silent'] as const;
/** The result of a guard. */
export type GuardVerdict = (typeof GUARD_VERDICTS)[number];

/** A guard of a metric as a client writes it: exactly one of `maxWorsePercent` and `bound`. */
export interface MetricGuardDraft {
  readonly metric: string;
  readonly worse: GuardDirection;
  readonly maxWorsePercent?: number | null;
  readonly bound?: number | null;
  readonly confidenceLevel?: number | null;
  readonly minimumVehicles?: number | null;
  /** An ISO 8601 duration. */
  readonly silence?: string | null;
}

/** A rollout's guard as a client writes it. */
export interface RolloutGuardDraft extends MetricGuardDraft {
  /** An ISO 8601 duration. */
  readonly watchFor?: string | null;
}

/** A guard of a metric with all its settings: of a rollout or a release. */
export interface MetricGuard {
  readonly metric: string;
  readonly worse: GuardDirection;
  /**
   * The limit on how much worse than control the treatment may be, in percent of the control's mean; null where `bound`
   * is the limit.
   */
  readonly maxWorsePercent: number | null;
  /** The bound of the treatment's mean, in the metric's unit; null where `maxWorsePercent` is the limit. */
  readonly bound: number | null;
  /** 1 minus the chance of a false alarm, over the whole rollout or release. */
  readonly confidenceLevel: number;
  /** The number of vehicles that each compared arm needs before the rollout or release may advance. */
  readonly minimumVehicles: number;
  /** The milliseconds without a measurement under treatment after which the metric has stopped arriving. */
  readonly silence: number;
}

/** A rollout's guard with all its settings. */
export interface RolloutGuard extends MetricGuard {
  /** The milliseconds for which the guard goes on watching after the last step. */
  readonly watchFor: number;
}

/** The numbers of vehicles in both arms. */
export interface VehiclesByArm {
  readonly control: number;
  readonly treatment: number;
}

/** The numbers behind a verdict. Vehicles are those that the last rise of the percentage moved, and those left. */
export interface GuardFigures {
  /** The vehicles that count: their number is final. */
  readonly controlVehicles: number;
  readonly treatmentVehicles: number;
  /** The vehicles that reported another arm than their bucket's. The number is shown, and decides nothing. */
  readonly vehiclesInBothArms: number;
  readonly controlMean: number | null;
  readonly treatmentMean: number | null;
  /**
   * The difference by which the treatment is worse, in percent of the control's mean; below 0 it is better. Null where
   * unknown.
   */
  readonly worsePercent: number | null;
  /**
   * The least difference by which it is worse, over the whole rollout and at all interim analyses at once; null where
   * unknown.
   */
  readonly worsePercentAtLeast: number | null;
  /** The difference that would be noticed in 80 of 100 cases with these vehicles; null where unknown. */
  readonly detectablePercent: number | null;
  /** The vehicles whose number is outside the metric's declared range. */
  readonly outOfRange: VehiclesByArm;
  /** The vehicles that evaluated the flag and did not report in time. */
  readonly neverReported: VehiclesByArm;
  /** The p-value of the limit being kept, valid at all interim analyses at once; null before a vehicle counts. */
  readonly pValue: number | null;
  /** The limit counts as crossed when `pValue` has reached this. */
  readonly significance: number;
  /** The time, in ISO 8601, at which the last measurement of a vehicle under treatment arrived. */
  readonly lastMeasurementAt: string | null;
}

const DAY_MS = 24 * 3_600_000;
const MAX_WATCH_MS = 30 * DAY_MS;
const MAX_SILENCE_MS = 7 * DAY_MS;
const MAX_WORSE_PERCENT = 10_000;
const MAX_MINIMUM_VEHICLES = 1_000_000;

const given = (value: number | null | undefined): value is number => value !== null && value !== undefined;

function durationUpTo(text: string, most: number, path: string): number {
  const duration = parseDuration(text, path);
  if (duration > most) throw badInput(path, `Expected a duration of at most ${most / DAY_MS} days.`);
  return duration;
}

/**
 * Reads how much worse than control a metric may be, in percent of the control's mean.
 *
 * @throws BAD_USER_INPUT at `path`
 */
export function readWorsePercent(worse: GuardDirection, percent: number, path: string): number {
  if (!(percent >= 0 && percent <= MAX_WORSE_PERCENT))
    throw badInput(path, `Expected a number from 0 to ${MAX_WORSE_PERCENT}.`);
  // A mean cannot fall by more than all of it, so the limit could never be crossed.
  if (worse === 'lower' && percent >= 100)
    throw badInput(path, 'Expected a number below 100: a metric that is lower by all of its mean is at 0 already.');
  return percent;
}

function limitOf(
  { worse, maxWorsePercent, bound }: MetricGuardDraft,
  path: string,
): Pick<MetricGuard, 'maxWorsePercent' | 'bound'> {
  if (given(maxWorsePercent) === given(bound))
    throw badInput(path, 'A guard must have either maxWorsePercent or bound, not both.');
  if (given(maxWorsePercent)) {
    return { maxWorsePercent: readWorsePercent(worse, maxWorsePercent, `${path}.maxWorsePercent`), bound: null };
  }
  if (typeof bound !== 'number') throw badInput(`${path}.bound`, 'Expected a finite number.');
  checkNumber(bound, `${path}.bound`);
  return { maxWorsePercent: null, bound };
}

/**
 * Reads the guard that a client asks for. Where it leaves them out, the guard gets 95 % confidence, 50 vehicles and 30
 * minutes of silence.
 *
 * @param path the dotted path of the guard in the request; faults are reported below it (`guard.metric`)
 * @throws BAD_USER_INPUT at the dotted path of the first fault
 */
export function readMetricGuard(draft: MetricGuardDraft, path: string): MetricGuard {
  const metric = validateMetricName(draft.metric, `${path}.metric`);
  const limit = limitOf(draft, path);
  const confidenceLevel = draft.confidenceLevel ?? 0.95;
  if (
    !(confidenceLevel >= 0.5 && confidenceLevel <= 0.9999) ||
    Math.round(confidenceLevel * 10_000) / 10_000 !== confidenceLevel
  ) {
    throw badInput(`${path}.confidenceLevel`, 'Expected a number from 0.5 to 0.9999 with at most four decimals.');
  }
  const minimumVehicles = draft.minimumVehicles ?? 50;
  if (!Number.isInteger(minimumVehicles) || minimumVehicles < 2 || minimumVehicles > MAX_MINIMUM_VEHICLES) {
    throw badInput(`${path}.minimumVehicles`, `Expected a whole number from 2 to ${MAX_MINIMUM_VEHICLES}.`);
  }
  return {
    metric,
    worse: draft.worse,
    ...limit,
    confidenceLevel,
    minimumVehicles,
    silence: durationUpTo(draft.silence ?? 'PT30M', MAX_SILENCE_MS, `${path}.silence`),
  };
}

/**
 * Reads a rollout's guard, as `readMetricGuard` does. Where the client leaves it out, the guard watches for a day after
 * the last step.
 *
 * @throws BAD_USER_INPUT at the dotted path of the first fault
 */
export function readRolloutGuard(draft: RolloutGuardDraft, path: string): RolloutGuard {
  return {
    ...readMetricGuard(draft, path),
    watchFor: durationUpTo(draft.watchFor ?? 'P1D', MAX_WATCH_MS, `${path}.watchFor`),
  };
}

const shown = (value: number) => String(Number(value.toPrecision(4)));

/** Describes vehicles of the treatment whose numbers could not be used; empty without any. */
function describeLost({ outOfRange, neverReported }: GuardFigures): string {
  const lost = (what: string, { control, treatment }: VehiclesByArm) =>
    treatment > 0 ? ` ${treatment} more ${what} (${control} of control).` : '';
  return lost('measured out of range', outOfRange) + lost('did not report', neverReported);
}

/**
 * Describes why a guard's limit is crossed, for example in a kill switch's reason; at most 1,000 characters. The means
 * are those since the last rise of the percentage. Where they keep the limit, the evidence is from earlier steps or
 * from vehicles without a number, and the text says so.
 */
export function describeGuard({ metric, worse, maxWorsePercent, bound }: RolloutGuard, figures: GuardFigures): string {
  const { treatmentMean, treatmentVehicles, controlMean, controlVehicles, worsePercent, pValue } = figures;
  const arm = (name: string, mean: number | null, vehicles: number) =>
    `${mean === null ? 'nothing' : shown(mean)} under ${name} (${vehicles} vehicles)`;
  const treatment = arm('treatment', treatmentMean, treatmentVehicles);
  const lost = describeLost(figures);
  const evidence = ` All steps and vehicles together cross the limit${pValue === null ? '' : ` (p = ${shown(pValue)})`}.`;
  if (bound !== null) {
    const beyond = treatmentMean !== null && (worse === 'higher' ? treatmentMean > bound : treatmentMean < bound);
    if (beyond) return `${metric} is ${treatment}, ${worse} than its bound of ${bound}.${lost}`;
    return `${metric} is ${treatment} since the last step, where ${bound} is the bound.${lost}${evidence}`;
  }
  const means = `${metric} is ${treatment} and ${arm('control', controlMean, controlVehicles)}`;
  const limit = `where ${maxWorsePercent} % is the limit.${lost}`;
  if (worsePercent !== null && worsePercent > (maxWorsePercent ?? 0))
    return `${means}: worse by ${shown(worsePercent)} %, ${limit}`;
  // In percent of a mean of 0, the difference is unknown.
  const direction = worse === 'higher' ? 1 : -1;
  if (worsePercent === null && direction * ((treatmentMean ?? NaN) - (controlMean ?? NaN)) > 0)
    return `${means}: worse, ${limit}`;
  return `${means} since the last step, ${limit}${evidence}`;
}

/** Describes why a rollout is paused when its metric has stopped arriving. */
export function describeSilence({ metric, silence }: RolloutGuard): string {
  const seconds = silence / 1000;
  return `no measurement of ${metric} under treatment for ${seconds % 60 === 0 ? `${seconds / 60} minutes` : `${seconds} seconds`}`;
}
