/**
 * Sweeps presence and, once an hour, what vehicles have sent that is past its time; in every instance of the subgraph.
 */
import type { Logger } from 'pino';
import { unattended } from '../../../core/last-handler/unattended.ts';
import { Poller } from '../../../core/async/poller.ts';
import type { Presence } from './presence.ts';

/** The longest interval between two sweeps, in seconds; a short grace shortens it. */
const INTERVAL_SECONDS = 5;
/** The milliseconds between two deletions. Readers never get what is past its time. */
const DELETION_INTERVAL_MS = 3_600_000;

/** The work of a sweep. */
export interface Sweeps extends Pick<Presence, 'sweep'> {
  /** Deletes what is past its time, by what it is. */
  readonly old: Readonly<Record<'backups' | 'faults', () => Promise<void>>>;
}

/** Runs the sweeps of one instance. */
export class PresenceSweepJob {
  readonly #intervalMs: number;
  readonly #settleMs: number;
  readonly #poller = new Poller(() => this.#sweep());
  #failing = false;
  #deletionDueAtMs = -Infinity;

  constructor(
    private readonly sweeps: Sweeps,
    private readonly logger: Logger,
    graceSeconds: number,
  ) {
    this.#intervalMs = Math.min(INTERVAL_SECONDS, graceSeconds / 4) * 1_000;
    // After a start, or an outage of the database, gateways may have many changes to report. They retry every few
    // seconds; a sweep before their reports would set connected vehicles offline.
    this.#settleMs = (graceSeconds / 2) * 1_000;
  }

  /** Starts sweeping, after gateways have had time to report. */
  start(): void {
    unattended(this.#poller.start(this.#settleMs), 'Sweeping presence');
  }

  /** Stops sweeping. Waits for a sweep in progress. */
  close(): Promise<void> {
    return this.#poller.close();
  }

  /** Sweeps once; gives the milliseconds until the next sweep. */
  async #sweep(): Promise<number> {
    await this.#deleteOld();
    try {
      await this.sweeps.sweep();
      if (this.#failing) this.logger.info('Can sweep presence again');
      this.#failing = false;
      return this.#intervalMs;
    } catch (error) {
      if (!this.#failing && !this.#poller.closed)
        this.logger.warn(
          { err: error },
          'Cannot sweep presence; vehicles that have disconnected stay online until a sweep succeeds',
        );
      this.#failing = true;
      return this.#settleMs;
    }
  }

  async #deleteOld(): Promise<void> {
    if (performance.now() < this.#deletionDueAtMs) return;
    this.#deletionDueAtMs = performance.now() + DELETION_INTERVAL_MS;
    for (const [what, remove] of Object.entries(this.sweeps.old)) {
      try {
        await remove();
      } catch (error) {
        if (!this.#poller.closed)
          this.logger.warn({ err: error }, `Cannot delete old ${what} of vehicles; trying again in an hour`);
      }
    }
  }
}
