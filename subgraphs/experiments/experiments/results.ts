/** What an experiment has found so far: the arms' sums, analysed. */
import type { PrismaClient } from '../../../prisma/generated/client.ts';
import type { ComputedResults, Experiment } from './experiment.ts';
import { findFlagKey } from './flag-ids.ts';
import { analyse, type ExperimentSums } from '../statistics/analyse.ts';

/**
 * How long before the start a vehicle's own measurements tell how it differs from others; in milliseconds. Two whole
 * weeks, so that each weekday counts the same.
 */
export const HISTORY = 14 * 24 * 3_600_000;

/** Which measurements count; by their own time, from inclusive, to exclusive. */
export interface MeasurementWindow {
  readonly flagKey: string;
  readonly metric: string;
  readonly historyFrom: Date;
  readonly from: Date;
  readonly to: Date;
}

export interface Measurements {
  /** Rejects with SERVICE_UNAVAILABLE when the metrics store does not answer. */
  sums(window: MeasurementWindow): Promise<Pick<ExperimentSums, 'arms' | 'vehiclesInBothArms'>>;
}

/** When an experiment that is looked at, or completed, at `now` ends or ended: at its planned end, if that is past. */
export function endOf({ endDate }: Pick<Experiment, 'endDate'>, now: Date): Date {
  return endDate !== null && endDate < now ? endDate : now;
}

export class ExperimentResults {
  constructor(
    private readonly prisma: PrismaClient,
    private readonly measurements: Measurements,
  ) {}

  /**
   * The results of an experiment that has been started, as of now.
   *
   * @param running whether more is to come: what is significant then allows for looking again
   * @throws SERVICE_UNAVAILABLE when the metrics store does not answer
   */
  async compute(experiment: Experiment, running: boolean): Promise<ComputedResults> {
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
    return {
      analysis: analyse({ ...sums, treatmentShare }, { vehiclesInEachArm: sampleSize, confidenceLevel, running }),
      computedAt,
    };
  }

  /** Live while it runs, those of completion after it, null before the start and for what was cancelled. */
  async of(experiment: Experiment): Promise<ComputedResults | null> {
    return experiment.status === 'running' ? this.compute(experiment, true) : experiment.results;
  }
}
