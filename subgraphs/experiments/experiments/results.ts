/** The results of an experiment: the sums of its arms, analysed. */
import type { PrismaClient } from '../../../prisma/generated/client.ts';
import type { ComputedResults, Experiment } from './experiment.ts';
import { findFlagKey } from './flag-ids.ts';
import { analyse, type ExperimentSums } from '../statistics/analyse.ts';

/**
 * Milliseconds of history before the start. A vehicle's measurements in this time show how it differs from others. Two
 * whole weeks, so that each weekday counts the same.
 */
export const HISTORY = 14 * 24 * 3_600_000;

/** The times of the measurements that count, by the vehicles' clocks; from inclusive, to exclusive. */
export interface MeasurementWindow {
  readonly flagKey: string;
  readonly metric: string;
  readonly historyFrom: Date;
  readonly from: Date;
  readonly to: Date;
}

/** The source of measurements. */
export interface Measurements {
  /** Gives the sums of both arms. Rejects with SERVICE_UNAVAILABLE when the metrics store does not answer. */
  sums(window: MeasurementWindow): Promise<Pick<ExperimentSums, 'arms' | 'vehiclesInBothArms'>>;
}

/** Gives the end of an experiment's measurements as of `now`: the planned end when that is past, otherwise `now`. */
export function endOf({ endDate }: Pick<Experiment, 'endDate'>, now: Date): Date {
  return endDate !== null && endDate < now ? endDate : now;
}

/**
 * How an experiment is decided: `live` while it runs, `complete` when it is completed, and `forced` when it is completed
 * by the test for its planned end, even before it.
 */
export type Deciding = 'live' | 'complete' | { readonly forced: string };

/** Checks whether an experiment has come to its planned end or size; before that a single look decides nothing. */
function isDue({ endDate, sampleSize }: Experiment, { arms }: Pick<ExperimentSums, 'arms'>, now: Date): boolean {
  const vehicles = [arms.control, arms.treatment].map((arm) => arm.withHistory.count + arm.withoutHistory.count);
  return (endDate !== null && endDate <= now) || vehicles.every((count) => count >= sampleSize);
}

/** Computes the results of experiments. */
export class ExperimentResults {
  constructor(
    private readonly prisma: PrismaClient,
    private readonly measurements: Measurements,
  ) {}

  /**
   * Computes the current results of an experiment that has started.
   *
   * Before the planned end or size, significance allows for looks at any time, because whoever completes early has
   * looked; unless that is forced.
   *
   * @throws SERVICE_UNAVAILABLE when the metrics store does not answer
   */
  async compute(experiment: Experiment, deciding: Deciding): Promise<ComputedResults> {
    const { flagId, startDate: from, primaryMetric: metric, treatmentShare, sampleSize, confidenceLevel } = experiment;
    if (treatmentShare === null) throw new Error(`Experiment ${experiment.id} runs without a planned share`);
    const computedAt = new Date();
    const flagKey = await findFlagKey(this.prisma, flagId);
    const sums = await this.measurements.sums({
      flagKey,
      metric,
      historyFrom: new Date(from.getTime() - HISTORY),
      from,
      to: endOf(experiment, computedAt),
    });
    const due = deciding !== 'live' && isDue(experiment, sums, computedAt);
    const forcedReason = typeof deciding === 'object' && !due ? deciding.forced : null;
    const running = !due && forcedReason === null;
    return {
      analysis: analyse({ ...sums, treatmentShare }, { vehiclesInEachArm: sampleSize, confidenceLevel, running }),
      computedAt,
      forcedReason,
    };
  }

  /**
   * Gives the results: live ones while the experiment runs, the stored ones after completion, and null before the start
   * and after cancelling.
   */
  async of(experiment: Experiment): Promise<ComputedResults | null> {
    return experiment.status === 'running' ? this.compute(experiment, 'live') : experiment.results;
  }
}
