/**
 * Rollout plans: which steps a scheduled rollout may have, and when they are due. A rollout only raises a percentage.
 * Times are Unix milliseconds.
 */
import { FleetFlagError, badInput } from '../errors.ts';
import { parseDuration } from '../validation/duration.ts';

const MAX_ROLLOUT_STEPS = 50;

/** The milliseconds that a step may lie ahead: 366 days, so that the same date of the next year always fits. */
export const ROLLOUT_HORIZON_MS = 366 * 24 * 60 * 60 * 1000;

/** A step as a client writes it: exactly one of `at` and `after`. */
export interface RolloutStepDraft {
  readonly percentage: number;
  /** A fixed time, in Unix milliseconds. */
  readonly at?: number | null;
  /** An ISO 8601 duration that counts from the step before, or from the start for the first step. */
  readonly after?: string | null;
}

/** A step of a rollout that may be scheduled. */
export interface PlannedStep {
  readonly percentage: number;
  /** The milliseconds from the step before; null for a step at a fixed time. */
  readonly delay: number | null;
  /** The Unix milliseconds at which the step is due, if every step before it is applied when due. */
  readonly dueAt: number;
}

/**
 * Checks a percentage that has to be above another one, at most 100, with at most three decimals.
 *
 * @param rule what is broken where it is not above, such as `A rollout may only raise the percentage`
 * @throws BAD_USER_INPUT at `path`
 */
export function checkRaised(percentage: number, above: number, path: string, rule: string): void {
  if (!(percentage > above)) throw badInput(path, `${rule}: expected more than ${above}.`);
  if (percentage > 100) throw badInput(path, 'Expected at most 100.');
  if (Math.round(percentage * 1000) / 1000 !== percentage)
    throw badInput(path, 'A percentage may have at most three decimals.');
}

function planStep(draft: RolloutStepDraft, before: number, path: string): PlannedStep & { readonly field: string } {
  const { percentage, at, after } = draft;
  if (typeof at === 'number' && typeof after !== 'string')
    return { percentage, delay: null, dueAt: at, field: `${path}.at` };
  if (typeof at === 'number' || typeof after !== 'string')
    throw badInput(path, 'A step must have either at or after, not both.');
  const delay = parseDuration(after, `${path}.after`);
  return { percentage, delay, dueAt: before + delay, field: `${path}.after` };
}

/**
 * Checks the steps of a rollout and plans when they are due.
 *
 * @param present the rule's present percentage; every step must be above it and above the step before
 * @param now the start of the rollout in Unix milliseconds; every step must be later than it and than the step before,
 *   and at most 366 days ahead
 * @param path the dotted path of the steps in the request; faults are reported below it (`steps.2.after`)
 * @throws BAD_USER_INPUT at the dotted path of the first fault, LIMIT_EXCEEDED (50 steps)
 */
export function planRollout(
  drafts: readonly RolloutStepDraft[],
  present: number,
  now: number,
  path: string,
): PlannedStep[] {
  if (drafts.length === 0) throw badInput(path, 'A rollout must have at least one step.');
  if (drafts.length > MAX_ROLLOUT_STEPS) {
    throw new FleetFlagError('LIMIT_EXCEEDED', `A rollout may have at most ${MAX_ROLLOUT_STEPS} steps.`, {
      field: path,
      limit: MAX_ROLLOUT_STEPS,
    });
  }
  let before = { percentage: present, dueAt: now };
  return drafts.map((draft, index) => {
    const { percentage } = before;
    checkRaised(draft.percentage, percentage, `${path}.${index}.percentage`, 'A rollout may only raise the percentage');
    const { field, ...step } = planStep(draft, before.dueAt, `${path}.${index}`);
    if (!(step.dueAt > before.dueAt))
      throw badInput(
        field,
        index === 0 ? 'The first step must be in the future.' : 'A step must be later than the step before it.',
      );
    if (step.dueAt > now + ROLLOUT_HORIZON_MS) throw badInput(field, 'A step must be at most a year ahead.');
    before = step;
    return step;
  });
}

/**
 * Gives the times at which the steps after one that was applied at `from` are due, in Unix milliseconds. A delay counts
 * from the time at which the step before was really applied, so that steps after a late one do not come closer
 * together. A fixed time stays.
 */
export function followingTimes(steps: readonly Pick<PlannedStep, 'delay' | 'dueAt'>[], from: number): number[] {
  let base = from;
  return steps.map(({ delay, dueAt }) => (base = delay === null ? dueAt : base + delay));
}

/**
 * Gives the times, in Unix milliseconds, at which the remaining steps of a paused rollout are due when it is resumed at
 * `now`. Where the next step came due during the pause, it is due now and all later steps move by as much. Otherwise
 * nothing moves.
 */
export function resumedTimes(due: readonly number[], now: number): number[] {
  const late = Math.max(0, now - (due[0] ?? now));
  return due.map((time) => time + late);
}
