/**
 * Takes a look of an experiment: one interim analysis of what its vehicles have measured so far. A look fixes the
 * metric's range when it can, and adds its evidence to that of earlier looks. docs/reference/statistics.md, "Which
 * vehicles count", says which vehicles count and why.
 */
import { BUCKETS } from '../../../../core/evaluation/bucket.ts';
import type { PrismaClient } from '../../../../prisma/generated/client.ts';
import { rangeOfComparison, countingOf } from '../../settled/calibrating.ts';
import { UNDECLARED, type Calibration } from '../../settled/calibration.ts';
import type { ArmOfCompared, ComparedVehicles, DrawEpoch } from '../../settled/compared-vehicles.ts';
import type { Epoch, SettledVehicles } from '../../settled/settled-vehicles.ts';
import { effectEvidence, gathered, NO_EVIDENCE, type EffectPlan } from '../../statistics/evidence/effect-evidence.ts';
import type { ExperimentSums } from '../../statistics/analyse.ts';
import type { GatheredEvidence } from '../../statistics/evidence/sequential-comparison.ts';
import { logOfSplits } from '../../statistics/sample-ratio.ts';
import type { Arms } from '../../statistics/moments.ts';
import { findDisturbances, findDraws } from '../experiment-store.ts';
import type { Experiment } from '../experiment.ts';
import { findState, keptOf, type ExperimentState } from './experiment-state.ts';
import { findFlagKey } from '../flag-ids.ts';
import { joinLook } from './kept-evidence.ts';

/** The source of measurements. */
export type Vehicles = ComparedVehicles & Pick<SettledVehicles, 'first' | 'history'>;

/** The result of a look. */
export interface ExperimentLook {
  readonly sums: ExperimentSums;
  readonly gathered: GatheredEvidence;
  /** The time by which a vehicle must have settled to be compared. */
  readonly countedUntil: Date;
}

/** An experiment as a look needs it, at any time since its start. */
export interface Watched {
  readonly experiment: Experiment;
  readonly state: ExperimentState;
  readonly flagKey: string;
  /** The draw at the start and what it was changed to since then, oldest first. */
  readonly draws: readonly DrawEpoch[];
  /** The time at which somebody first changed the flag in a way that the experiment notes; null where nobody has. */
  readonly disturbedAt: Date | null;
  /** The time up to which late rows count, in an analysis after the end, which keeps nothing; null in a look. */
  readonly lateBy: Date | null;
}

/**
 * The time after which an exposed vehicle without a measurement counts as not reporting, for a metric without window.
 */
export const SILENCE_MS = 86_400_000;

/** The range for counting vehicles before a look has fixed one; `uncounted` drops the numbers. */
const NO_RANGE = { binary: false, minimum: null, maximum: null, low: 0, high: 1, spent: [] };

/** Gives the plan for the evidence of a look; null before there is a range. */
export function planOf({ state }: Watched, calibration: Calibration | null): EffectPlan | null {
  if (calibration === null) return null;
  const { kind, range } = calibration;
  return { binary: kind === 'proportion', share: state.threshold / BUCKETS, range };
}

/** Gives the time up to which vehicles are compared: a changed draw ends the comparison of the one at the start. */
export function comparedUntil({ draws }: Watched, at: Date): Date {
  const changed = draws[1]?.since;
  return changed !== undefined && changed < at ? changed : at;
}

/** Gives the times of an epoch whose vehicles had settled by a time. */
export function timesOf({ lateBy }: Watched, until: Date): Pick<Epoch, 'now' | 'measuredBy'> {
  return { now: lateBy ?? until, measuredBy: lateBy === null ? null : until };
}

/**
 * Gives the epoch for which the metrics store is queried.
 *
 * @param until the time by which a vehicle must have settled to count
 */
export function epochOf(watched: Watched, calibration: Calibration | null, until: Date): Epoch {
  const { experiment, state, flagKey } = watched;
  const { kind, window } = calibration ?? state.definition ?? UNDECLARED;
  return {
    flagKey,
    metric: experiment.primaryMetric,
    salt: state.salt,
    from: 0,
    to: state.threshold,
    since: experiment.startDate,
    ...timesOf(watched, until),
    kind,
    window,
    silenceMs: SILENCE_MS,
    ownVariantOnly: false,
  };
}

/** Gives an arm of which no vehicle counts yet, because there is no range. */
function uncounted(arm: ArmOfCompared): ArmOfCompared {
  const none = { count: 0, mean: 0, m2: 0 };
  const withHistory = { ...none, covariateMean: 0, covariateM2: 0, comoment: 0 };
  return { ...arm, withHistory, withoutHistory: none, outOfRange: 0, observations: 0, places: [] };
}

/** Looks at experiments. All methods reject with SERVICE_UNAVAILABLE when the metrics store does not answer. */
export class ExperimentLooks {
  constructor(
    private readonly prisma: PrismaClient,
    private readonly vehicles: Vehicles,
  ) {}

  /** Finds what the looks of an experiment that has started need. */
  async watched(experiment: Experiment): Promise<Watched> {
    const [state, flagKey, changed, [disturbance]] = await Promise.all([
      findState(this.prisma, experiment.id),
      findFlagKey(this.prisma, experiment.flagId),
      findDraws(this.prisma, experiment.id),
      findDisturbances(this.prisma, [experiment.id]),
    ]);
    const draws: DrawEpoch[] = [{ salt: state.salt, threshold: state.threshold, since: experiment.startDate }];
    for (const draw of changed) {
      const last = draws.at(-1);
      if (draw.salt !== last?.salt || draw.threshold !== last.threshold) draws.push(draw);
    }
    return { experiment, state, flagKey, draws, disturbedAt: disturbance?.at ?? null, lateBy: null };
  }

  /**
   * Gives the time at which both arms had the planned number of vehicles; null while one has not. Later looks give the
   * same time, because what has settled stays as it was.
   */
  async sizeReachedAt(watched: Watched, at: Date): Promise<Date | null> {
    const until = comparedUntil(watched, at);
    const calibration = watched.state.calibration ?? (await this.#range(watched, until));
    if (calibration === null) return null;
    const epoch = epochOf(watched, calibration, until);
    return this.vehicles.reachedAt(epoch, countingOf(calibration), watched.experiment.sampleSize);
  }

  /** Takes a look of the vehicles as they were at a time, and stores its evidence, unless it is after the end. */
  async look(watched: Watched, at: Date): Promise<ExperimentLook> {
    const until = comparedUntil(watched, at);
    const calibration = watched.state.calibration ?? (await this.#range(watched, until));
    const plan = planOf(watched, calibration);
    const [arms, exposures] = await Promise.all([
      this.#sums(watched, calibration, until),
      this.vehicles.exposures(epochOf(watched, calibration, at), watched.draws),
    ]);
    const alpha = 1 - watched.experiment.confidenceLevel;
    const places = { control: arms.control.places, treatment: arms.treatment.places };
    const found = plan === null ? NO_EVIDENCE : effectEvidence(places, plan, alpha);
    const state = await joinLook(
      this.prisma,
      keptOf(watched.experiment.id),
      calibration,
      (stored) => ({
        ...stored,
        calibration,
        evidence: gathered(stored.evidence, found),
        split: logOfSplits(exposures, stored.split),
      }),
      watched.lateBy === null,
    );
    // Another look has fixed a different range meanwhile. The stored range stays, so this look is taken again with it.
    if (state === null) {
      const fixed = await findState(this.prisma, watched.experiment.id);
      return this.look({ ...watched, state: fixed }, at);
    }
    const { evidence, split } = state;
    return { sums: { arms, exposures, split }, gathered: { evidence, plan }, countedUntil: until };
  }

  async #sums(watched: Watched, calibration: Calibration | null, until: Date): Promise<Arms<ArmOfCompared>> {
    const counting = calibration === null ? NO_RANGE : countingOf(calibration);
    const { control, treatment } = await this.vehicles.sums(epochOf(watched, calibration, until), counting);
    return calibration === null
      ? { control: uncounted(control), treatment: uncounted(treatment) }
      : { control, treatment };
  }

  #range(watched: Watched, now: Date): Promise<Calibration | null> {
    return rangeOfComparison(watched.state.definition, epochOf(watched, null, now), this.vehicles, false);
  }
}
