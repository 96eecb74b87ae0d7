/** Sweeps presence periodically, in every instance of the subgraph. */
import type { Logger } from 'pino';
import { unattended } from '../../../core/async/unattended.ts';
import { Poller } from '../../../core/async/poller.ts';
import type { Presence } from './presence.ts';

/** The longest interval between two sweeps, in seconds; a short grace shortens it. */
const INTERVAL = 5;

/** Runs the sweeps of one instance. */
export class PresenceSweepJob {
  readonly #intervalMs: number;
  readonly #settleMs: number;
  readonly #poller = new Poller(() => this.#sweep());
  #failing = false;

  constructor(
    private readonly presence: Pick<Presence, 'sweep'>,
    private readonly logger: Logger,
    graceSeconds: number,
  ) {
    this.#intervalMs = Math.min(INTERVAL, graceSeconds / 4) * 1_000;
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
    try {
      await this.presence.sweep();
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
}
