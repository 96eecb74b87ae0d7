/**
 * Rollout guards: what a guard may say, and how its chance of a false alarm is divided over a rollout. A guard watches
 * a metric during a scheduled rollout. Its limit is either "worse than control by x %" at a confidence level, or an
 * absolute bound. Durations are in milliseconds.
 */
import { badInput } from '../errors.ts';
import { checkNumber } from '../json/json-value.ts';
import { validateMetricName } from '../wire/metric.ts';
import { parseDuration } from './rollout-plan.ts';

/** The direction in which the metric gets worse. */
export const GUARD_DIRECTIONS = ['higher', 'lower'] as const;
export type GuardDirection = (typeof GUARD_DIRECTIONS)[number];

/**
 * The result of a guard: `waiting` while there are too few vehicles for a result, `holding` while the limit is kept,
 * `crossed` when it is not, and `silent` when the metric has stopped arriving.
 */
export const GUARD_VERDICTS = ['waiting', 'holding', 'crossed', 'silent'] as const;
export type GuardVerdict = (typeof GUARD_VERDICTS)[number];

/** A guard as a client writes it: exactly one of `maxWorsePercent` and `bound`. */
export interface RolloutGuardDraft {
  readonly metric: string;
  readonly worse: GuardDirection;
  readonly maxWorsePercent?: number | null;
  readonly bound?: number | null;
  readonly confidenceLevel?: number | null;
  readonly minimumVehicles?: number | null;
  /** An ISO 8601 duration. */
  readonly silence?: string | null;
  /** An ISO 8601 duration. */
  readonly watchFor?: string | null;
}

/** A guard with all its settings. */
export interface RolloutGuard {
  readonly metric: string;
  readonly worse: GuardDirection;
  /**
   * How much worse than control the treatment may be, in percent of the control's mean; null where `bound` is the
   * limit.
   */
  readonly maxWorsePercent: number | null;
  /** The bound of the treatment's mean, in the metric's unit; null where `maxWorsePercent` is the limit. */
  readonly bound: number | null;
  /** 1 minus the chance of a false alarm, over the whole rollout. */
  readonly confidenceLevel: number;
  /** The number of vehicles that each compared arm needs before there is a verdict. */
  readonly minimumVehicles: number;
  /** The milliseconds without a measurement under treatment after which the metric has stopped arriving. */
  readonly silence: number;
  /** The milliseconds for which the guard goes on watching after the last step. */
  readonly watchFor: number;
}

/** The numbers behind a verdict. */
export interface GuardFigures {
  readonly controlVehicles: number;
  readonly treatmentVehicles: number;
  /** The vehicles that were in both arms. The two other numbers leave them out. */
  readonly vehiclesInBothArms: number;
  readonly controlMean: number | null;
  readonly treatmentMean: number | null;
  /** How much worse the treatment is, in percent of the control's mean; below 0 it is better. Null where unknown. */
  readonly worsePercent: number | null;
  /** The confidence interval of `worsePercent` at 1 − `significance`. It holds at all interim analyses at once. */
  readonly worsePercentInterval: readonly [low: number, high: number] | null;
  /** The p-value of the limit being kept, valid at all interim analyses at once; null before there is a verdict. */
  readonly pValue: number | null;
  /** The limit counts as crossed when `pValue` is below this. */
  readonly significance: number;
  /** The time, in ISO 8601, at which the last measurement of a vehicle under treatment arrived. */
  readonly lastMeasurementAt: string | null;
}

const DAY = 24 * 3_600_000;
const MAX_WATCH = 30 * DAY;
const MAX_SILENCE = 7 * DAY;
const MAX_WORSE_PERCENT = 10_000;
const MAX_MINIMUM_VEHICLES = 1_000_000;

const given = (value: number | null | undefined): value is number => value !== null && value !== undefined;

function durationUpTo(text: string, most: number, path: string): number {
  const duration = parseDuration(text, path);
  if (duration > most) throw badInput(path, `Expected a duration of at most ${most / DAY} days.`);
  return duration;
}

function limitOf(
  { maxWorsePercent, bound }: RolloutGuardDraft,
  path: string,
): Pick<RolloutGuard, 'maxWorsePercent' | 'bound'> {
  if (given(maxWorsePercent) === given(bound))
    throw badInput(path, 'A guard must have either maxWorsePercent or bound, not both.');
  if (given(maxWorsePercent)) {
    if (!(maxWorsePercent >= 0 && maxWorsePercent <= MAX_WORSE_PERCENT))
      throw badInput(`${path}.maxWorsePercent`, `Expected a number from 0 to ${MAX_WORSE_PERCENT}.`);
    return { maxWorsePercent, bound: null };
  }
  if (typeof bound !== 'number') throw badInput(`${path}.bound`, 'Expected a finite number.');
  checkNumber(bound, `${path}.bound`);
  return { maxWorsePercent: null, bound };
}

/**
 * Reads the guard that a client asks for. Where it leaves them out, the guard gets 95 % confidence, 50 vehicles, 30
 * minutes of silence, and a day of watching after the last step.
 *
 * @param path the dotted path of the guard in the request; faults are reported below it (`guard.metric`)
 * @throws BAD_USER_INPUT at the dotted path of the first fault
 */
export function readRolloutGuard(draft: RolloutGuardDraft, path: string): RolloutGuard {
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
    silence: durationUpTo(draft.silence ?? 'PT30M', MAX_SILENCE, `${path}.silence`),
    watchFor: durationUpTo(draft.watchFor ?? 'P1D', MAX_WATCH, `${path}.watchFor`),
  };
}

/**
 * Gives the chance of a false alarm that one watch may have. A rollout has a watch from its start, one from each step,
 * and one from each time that it is resumed. The first `steps` + 1 watches have an equal share of 1 − confidence each.
 * One more such share is left for all further watches together: the j-th of them has 1/(j(j + 1)) of it, because their
 * number is not known. All shares together add up to at most 1 − confidence.
 *
 * @param steps the number of the rollout's steps, applied or not
 * @param watch the number of the watch, from 1
 */
export function falseAlarmShare(confidenceLevel: number, steps: number, watch: number): number {
  const planned = steps + 1;
  const share = (1 - confidenceLevel) / (planned + 1);
  const unplanned = watch - planned;
  return unplanned > 0 ? share / (unplanned * (unplanned + 1)) : share;
}

const shown = (value: number) => String(Number(value.toPrecision(4)));

/** Describes in one sentence how a guard stands, for example in a kill switch's reason; at most 1,000 characters. */
export function describeGuard(
  { metric, worse, maxWorsePercent, bound }: RolloutGuard,
  { treatmentMean, treatmentVehicles, controlMean, controlVehicles, worsePercent }: GuardFigures,
): string {
  const arm = (name: string, mean: number | null, vehicles: number) =>
    `${mean === null ? 'nothing' : shown(mean)} under ${name} (${vehicles} vehicles)`;
  const treatment = arm('treatment', treatmentMean, treatmentVehicles);
  if (bound !== null) return `${metric} is ${treatment}, ${worse} than its bound of ${bound}.`;
  const difference = worsePercent === null ? 'worse' : `worse by ${shown(worsePercent)} %`;
  return `${metric} is ${treatment} and ${arm('control', controlMean, controlVehicles)}: ${difference}, where ${maxWorsePercent} % is the limit.`;
}

/** Describes why a rollout is paused when its metric has stopped arriving. */
export function describeSilence({ metric, silence }: RolloutGuard): string {
  const seconds = silence / 1000;
  return `no measurement of ${metric} under treatment for ${seconds % 60 === 0 ? `${seconds / 60} minutes` : `${seconds} seconds`}`;
}
