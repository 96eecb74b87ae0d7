import type { Logger } from 'pino';
import { Poller } from '../../../core/async/poller.ts';

/** The settings of a job that reads the metrics store again and again. */
export interface StorePollerOptions {
  readonly refresh: () => Promise<unknown>;
  /** The least milliseconds between two refreshes. */
  readonly intervalMs: number;
  /**
   * The factor by which the pause after a slow refresh exceeds the time that the refresh took, so that the store has
   * time for others.
   */
  readonly rest: number;
  readonly logger: Logger;
  /** The log message of a refresh that fails. */
  readonly failure: string;
}

/** A poller of the metrics store. A refresh that fails is logged, and the next one follows as after any other. */
export function storePoller({ refresh, intervalMs, rest, logger, failure }: StorePollerOptions): Poller {
  const poller: Poller = new Poller(async () => {
    const begun = performance.now();
    try {
      await refresh();
    } catch (error) {
      if (!poller.closed) logger.warn({ err: error }, failure);
    }
    return Math.max(intervalMs, rest * (performance.now() - begun));
  });
  return poller;
}
