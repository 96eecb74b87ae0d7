/**
 * Takes looks of running experiments at intervals, whether somebody reads their results or not. So each exposure is
 * recorded soon after it arrived, and results do not depend on their readers. Source:
 * docs/decisions/experiments/exposures.md.
 */
import type { Logger } from 'pino';
import type { Poller } from '../../../../core/async/poller.ts';
import { unattended } from '../../../../core/last-handler/unattended.ts';
import { is } from '../../../../core/json/shape.ts';
import type { PrismaClient } from '../../../../prisma/generated/client.ts';
import { rowsOf } from '../../../shared/postgres/rows.ts';
import { storePoller } from '../../metrics/store-poller.ts';
import { findExperiments } from '../experiment-store.ts';
import type { ExperimentResults } from '../results.ts';

/** Milliseconds between two looks of an experiment: vehicles report once a minute. */
const INTERVAL_MS = 60_000;
/** Milliseconds between two searches for experiments whose look is due. */
const SEARCH_INTERVAL_MS = 10_000;
/** The factor by which the pause after slow looks exceeds their time, so that the store has time for others. */
const REST = 2;
/** Milliseconds from the planned end of an experiment to its last look: inserts become visible late. */
const AFTER_END_MS = 15 * 60_000;

/** Polls for looks that are due and takes them. */
export class ExperimentLookJob {
  readonly #poller: Poller;

  /** @param interval milliseconds between two looks of an experiment, by all instances together */
  constructor(
    private readonly prisma: PrismaClient,
    private readonly results: Pick<ExperimentResults, 'of'>,
    private readonly logger: Logger,
    private readonly interval = INTERVAL_MS,
  ) {
    this.#poller = storePoller({
      refresh: () => this.refresh(),
      intervalMs: SEARCH_INTERVAL_MS,
      rest: REST,
      logger,
      failure: 'Cannot find running experiments; their exposures are recorded when the next attempt succeeds',
    });
  }

  /** Starts polling. */
  start(): void {
    unattended(this.#poller.start(), 'Analysing running experiments');
  }

  /** Stops polling. Waits for a poll in progress. */
  close(): Promise<void> {
    return this.#poller.close();
  }

  /**
   * Takes the looks that are due, except those that another instance has claimed. A look that fails is due again after
   * the interval.
   *
   * @returns the number of looks that this instance has taken
   */
  async refresh(): Promise<number> {
    let taken = 0;
    for (const id of await this.#due()) {
      if (this.#poller.closed) break;
      const done = await this.#look(id).catch((err: unknown) => {
        this.logger.warn(
          { err, experiment: id },
          'Cannot analyse a running experiment; its exposures are recorded when a later attempt succeeds',
        );
        return false;
      });
      if (done) taken += 1;
    }
    return taken;
  }

  async #due(): Promise<string[]> {
    const rows = await rowsOf(this.prisma, { id: is.string })`
      SELECT e.id FROM experiments e JOIN experiment_evidence x ON x.experiment_id = e.id
      WHERE e.status = 'running' AND x.updated_at <= clock_timestamp() - make_interval(secs => ${this.interval}::float8 / 1000)
        AND (e.end_date IS NULL OR x.updated_at <= e.end_date + make_interval(secs => ${AFTER_END_MS}::float8 / 1000))
      ORDER BY x.updated_at`;
    return rows.map(({ id }) => id);
  }

  /**
   * Claims a look by its time, in one statement and without a lock that would last as long as the look, and takes it.
   */
  async #look(id: string): Promise<boolean> {
    const claimed = await this.prisma.$executeRaw`
      UPDATE experiment_evidence SET updated_at = clock_timestamp()
      WHERE experiment_id = ${id}::uuid AND updated_at <= clock_timestamp() - make_interval(secs => ${this.interval}::float8 / 1000)`;
    if (claimed === 0) return false;
    const [experiment] = await findExperiments(this.prisma, [id]);
    if (experiment?.status !== 'running') return false;
    await this.results.of(experiment);
    return true;
  }
}
