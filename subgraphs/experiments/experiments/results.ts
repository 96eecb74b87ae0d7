/** The results of an experiment: the sums of its arms, analysed. */
import { analyse } from '../statistics/analyse.ts';
import type { ComputedResults, Experiment } from './experiment.ts';
import type { FurtherLooks } from './looks/further-looks.ts';
import type { ExperimentLooks } from './looks/look.ts';

/** Gives the end of an experiment's measurements as of `now`: the planned end when that is past, otherwise `now`. */
export function measurementsEnd({ endDate }: Pick<Experiment, 'endDate'>, now: Date): Date {
  return endDate !== null && endDate < now ? endDate : now;
}

/**
 * The way in which an experiment is decided: `live` while it runs, `complete` when it is completed, and `forced` when
 * it is completed by the test for its planned end, even before it.
 */
export type Deciding = 'live' | 'complete' | { readonly forced: string };

/** Computes the results of experiments. */
export class ExperimentResults {
  constructor(
    private readonly looks: ExperimentLooks,
    private readonly furtherLooks: FurtherLooks,
  ) {}

  /**
   * Computes the current results of an experiment that has started.
   *
   * Before the planned end or size the sequential test decides, because a person who completes early has seen the
   * results; unless that is forced. A planned end before which somebody disturbed the experiment does not count as one:
   * a person who stops the feature or its comparison when the numbers please has chosen what the end will show. At the
   * planned size the vehicles of the moment count at which it was reached: a person who completes later has seen the
   * results as well.
   *
   * @throws SERVICE_UNAVAILABLE when the metrics store does not answer
   */
  async compute(experiment: Experiment, deciding: Deciding): Promise<ComputedResults> {
    const computedAt = new Date();
    const watched = await this.looks.watched(experiment);
    const { endDate, confidenceLevel } = experiment;
    const end = measurementsEnd(experiment, computedAt);
    const undisturbed = watched.disturbedAt === null || watched.disturbedAt > end;
    const ended = endDate !== null && endDate <= computedAt && undisturbed;
    const reached = deciding === 'live' ? null : await this.looks.sizeReachedAt(watched, end);
    const due = deciding !== 'live' && (ended || reached !== null);
    const forcedReason = typeof deciding === 'object' && !due ? deciding.forced : null;
    const running = !due && forcedReason === null;
    const { sums, gathered, countedUntil } = await this.looks.look(watched, reached ?? end);
    const planned = analyse(sums, gathered, { confidenceLevel, running });
    // Where all vehicles of each arm measured the same, Welch's test has no verdict, however clear the difference is.
    const undecided = planned.missing.some(({ number, reason }) => number === 'pValue' && reason === 'no-variance');
    const analysis = undecided ? analyse(sums, gathered, { confidenceLevel, running: true }) : planned;
    const further = await this.furtherLooks.look(watched, countedUntil);
    return { analysis, further, computedAt, countedUntil, forcedReason };
  }

  /**
   * Gives the results: live ones while the experiment runs, the stored ones after completion, and null before the start
   * and after cancelling.
   */
  async of(experiment: Experiment): Promise<ComputedResults | null> {
    return experiment.status === 'running' ? this.compute(experiment, 'live') : experiment.results;
  }
}
