/** The form of a rollout as data: what was typed, what is wrong with it, and the API's input. */
import type { RolloutGuardInput, RolloutStepInput } from '../generated/operations.ts';

export const WAIT_UNITS = ['minutes', 'hours', 'days'] as const;
export type WaitUnit = (typeof WAIT_UNITS)[number];

/** A step as it is typed. */
export interface StepDraft {
  /** Distinguishes the steps of a form. */
  readonly id: number;
  readonly percentage: string;
  readonly when: 'after' | 'at';
  readonly wait: string;
  readonly unit: WaitUnit;
  /** The time as `<input type="datetime-local">` gives it, in the viewer's zone. */
  readonly date: string;
}

/** A guard as it is typed. */
export interface GuardDraft {
  readonly metric: string;
  readonly worse: 'HIGHER' | 'LOWER';
  readonly limitKind: 'percent' | 'bound';
  readonly limit: string;
  readonly confidence: string;
  readonly minimumVehicles: string;
  readonly silenceMinutes: string;
  readonly watchForHours: string;
}

export const NEW_GUARD: GuardDraft = {
  metric: '',
  worse: 'HIGHER',
  limitKind: 'percent',
  limit: '5',
  confidence: '95',
  minimumVehicles: '50',
  silenceMinutes: '30',
  watchForHours: '24',
};

/** Gives an empty step, an hour after the one before it. The id distinguishes the rows of the form. */
export const newStep = (id: number): StepDraft => ({
  id,
  percentage: '',
  when: 'after',
  wait: '1',
  unit: 'hours',
  date: '',
});

/** Reads a number as people type it; NaN where it is none. */
export const typedNumber = (text: string) => (text.trim() === '' ? Number.NaN : Number(text.trim().replace(',', '.')));
const isWhole = (text: string) => Number.isInteger(typedNumber(text)) && typedNumber(text) >= 1;

/** The faults of a form: the names of texts (`words.rollouts.wrong`) at the paths of the API's input. */
export type WrongRollout = Readonly<
  Record<string, 'percentage' | 'wait' | 'date' | 'metric' | 'limit' | 'limitPercent' | 'confidence' | 'vehicles'>
>;

/** Gives the percentage that a step has to exceed. */
export function leastOf(steps: readonly StepDraft[], index: number, present: number): number {
  const before = steps[index - 1];
  const percentage = before === undefined ? present : typedNumber(before.percentage);
  return Number.isNaN(percentage) ? present : percentage;
}

/**
 * Finds what is wrong before it is sent; the control plane checks all of it again.
 *
 * @param present the rule's percentage now
 * @param now milliseconds since 1970
 */
export function wrongSteps(steps: readonly StepDraft[], present: number, now: number): WrongRollout {
  const wrong: Record<string, 'percentage' | 'wait' | 'date'> = {};
  let time = now;
  for (const [index, { percentage, when, wait, date }] of steps.entries()) {
    const share = typedNumber(percentage);
    if (!(share > leastOf(steps, index, present) && share <= 100)) wrong[`steps.${index}.percentage`] = 'percentage';
    if (when === 'after' && !isWhole(wait)) wrong[`steps.${index}.after`] = 'wait';
    const at = new Date(date).getTime();
    if (when === 'at' && !(at > time)) wrong[`steps.${index}.at`] = 'date';
    if (when === 'at' && at > time) time = at;
  }
  return wrong;
}

/** Finds what is wrong with a guard before it is sent. */
export function wrongGuard({
  metric,
  limitKind,
  limit,
  confidence,
  minimumVehicles,
  ...times
}: GuardDraft): WrongRollout {
  const value = typedNumber(limit);
  const level = typedNumber(confidence);
  const vehicles = typedNumber(minimumVehicles);
  return {
    ...(metric.trim() === '' && { 'guard.metric': 'metric' as const }),
    ...(limitKind === 'percent' && !(value >= 0) && { 'guard.maxWorsePercent': 'limitPercent' as const }),
    ...(limitKind === 'bound' && !Number.isFinite(value) && { 'guard.bound': 'limit' as const }),
    ...(!(level >= 50 && level <= 99.99) && { 'guard.confidenceLevel': 'confidence' as const }),
    ...(!(Number.isInteger(vehicles) && vehicles >= 2) && { 'guard.minimumVehicles': 'vehicles' as const }),
    ...(!isWhole(times.silenceMinutes) && { 'guard.silence': 'wait' as const }),
    ...(!isWhole(times.watchForHours) && { 'guard.watchFor': 'wait' as const }),
  };
}

const DURATIONS: Readonly<Record<WaitUnit, (count: number) => string>> = {
  minutes: (count) => `PT${count}M`,
  hours: (count) => `PT${count}H`,
  days: (count) => `P${count}D`,
};
const SECONDS: Readonly<Record<WaitUnit, number>> = { minutes: 60, hours: 3_600, days: 86_400 };

/** Gives the seconds that a step waits after the one before it. */
export const waitSeconds = ({ wait, unit }: StepDraft) => typedNumber(wait) * SECONDS[unit];

/** Gives the steps as the API takes them. They are right by `wrongSteps`. */
export const stepInputs = (steps: readonly StepDraft[]): RolloutStepInput[] =>
  steps.map(({ percentage, when, wait, unit, date }) => ({
    percentage: typedNumber(percentage),
    ...(when === 'after' ? { after: DURATIONS[unit](typedNumber(wait)) } : { at: new Date(date).toISOString() }),
  }));

/** Gives the guard as the API takes it. It is right by `wrongGuard`. */
export function guardInput(draft: GuardDraft): RolloutGuardInput {
  const limit = typedNumber(draft.limit);
  return {
    metric: draft.metric.trim(),
    worse: draft.worse,
    ...(draft.limitKind === 'percent' ? { maxWorsePercent: limit } : { bound: limit }),
    // 99.9 / 100 is not 0.999.
    confidenceLevel: Math.round(typedNumber(draft.confidence) * 100) / 10_000,
    minimumVehicles: typedNumber(draft.minimumVehicles),
    silence: DURATIONS.minutes(typedNumber(draft.silenceMinutes)),
    watchFor: DURATIONS.hours(typedNumber(draft.watchForHours)),
  };
}
