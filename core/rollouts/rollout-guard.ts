/**
 * "A scheduled rollout may name a guard metric and a limit (worse than control by x % at a confidence, or an absolute
 * bound)" (issue 6): what a guard may say, and how its chance of a false alarm is shared out over a rollout.
 * Times are in milliseconds.
 */
import { badInput } from '../errors.ts';
import { checkNumber } from '../json/json-value.ts';
import { validateMetricName } from '../wire/metric.ts';
import { parseDuration } from './rollout-plan.ts';

/** In which direction of the metric harm lies. */
export type GuardDirection = 'higher' | 'lower';

/**
 * What a guard has found: `waiting` while there are too few vehicles to say anything, `silent` when the metric has
 * stopped arriving.
 */
export type GuardVerdict = 'waiting' | 'holding' | 'crossed' | 'silent';

/** A guard as a client writes it: exactly one of `maxWorsePercent` and `bound`. */
export interface RolloutGuardDraft {
  readonly metric: string;
  readonly worse: GuardDirection;
  readonly maxWorsePercent?: number | null;
  readonly bound?: number | null;
  readonly confidenceLevel?: number | null;
  readonly minimumVehicles?: number | null;
  /** Like `watchFor` an ISO 8601 duration. */
  readonly silence?: string | null;
  readonly watchFor?: string | null;
}

export interface RolloutGuard {
  readonly metric: string;
  readonly worse: GuardDirection;
  /**
   * How much worse than control the treatment may be, in percent of control's mean; null where `bound` is the limit.
   */
  readonly maxWorsePercent: number | null;
  /** What the treatment's mean must not pass, in the metric's unit; null where `maxWorsePercent` is the limit. */
  readonly bound: number | null;
  /** 1 minus the chance of a false alarm, over the whole rollout. */
  readonly confidenceLevel: number;
  /** In each arm that is compared, before there is a verdict. */
  readonly minimumVehicles: number;
  /** After so long without a measurement under treatment the metric has stopped arriving. */
  readonly silence: number;
  /** For how long it goes on watching after the last step. */
  readonly watchFor: number;
}

/** The numbers behind a verdict. */
export interface GuardFigures {
  readonly controlVehicles: number;
  readonly treatmentVehicles: number;
  /** Seen in both arms, and in neither number. */
  readonly vehiclesInBothArms: number;
  readonly controlMean: number | null;
  readonly treatmentMean: number | null;
  /** Percent of control's mean; above 0 is harm. Null where it cannot be had. */
  readonly worsePercent: number | null;
  /** Of `worsePercent`, right at every look at once, at 1 − `significance`. */
  readonly worsePercentInterval: readonly [low: number, high: number] | null;
  /** Of the limit being kept, right at every look at once; null before there is a verdict. */
  readonly pValue: number | null;
  /** The limit counts as crossed when `pValue` is below this. */
  readonly significance: number;
  /** When the last measurement of a vehicle under treatment arrived, in ISO 8601. */
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
 * The guard that a client asks for, with what it leaves out: 95 % confidence, 50 vehicles, 30 minutes of silence, a day
 * of watching after the last step.
 *
 * @param path where it stands in the request; faults are reported below it (`guard.metric`)
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
 * The chance of a false alarm that a watch may have. A rollout has a watch from its start, one from each step, and one
 * from each time that it is resumed; the first `steps` + 1 have an equal share of 1 − confidence each, and as much
 * again is left for all others together, since nobody knows how many they become: 1/(j(j + 1)) of it for the j-th.
 * All shares add up to 1 − confidence at most.
 *
 * @param watch from 1
 * @param steps of the rollout, applied or not
 */
export function falseAlarmShare(confidenceLevel: number, steps: number, watch: number): number {
  const planned = steps + 1;
  const share = (1 - confidenceLevel) / (planned + 1);
  const unplanned = watch - planned;
  return unplanned > 0 ? share / (unplanned * (unplanned + 1)) : share;
}

const shown = (value: number) => String(Number(value.toPrecision(4)));

/** One sentence for people on how a guard stands, such as a kill switch's reason; at most 1,000 characters. */
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

/** Why a rollout pauses whose metric has stopped arriving. */
export function describeSilence({ metric, silence }: RolloutGuard): string {
  const seconds = silence / 1000;
  return `no measurement of ${metric} under treatment for ${seconds % 60 === 0 ? `${seconds / 60} minutes` : `${seconds} seconds`}`;
}
