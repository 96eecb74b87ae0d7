/** Sweeps presence again and again, in every instance of the subgraph. */
import type { Logger } from 'pino';
import { unattended } from '../../../core/async/unattended.ts';
import { Poller } from '../../../core/async/poller.ts';
import type { Presence } from './presence.ts';

/** Seconds between two sweeps, where the grace is not short itself. */
const INTERVAL = 5;

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
    // After a start, and after a time in which the database did not answer, gateways may have much to report that has
    // happened meanwhile. They try every few seconds: who sweeps before them would turn vehicles offline that are not.
    this.#settleMs = (graceSeconds / 2) * 1_000;
  }

  /** Sweeps for the first time when gateways have had time to report. */
  start(): void {
    unattended(this.#poller.start(this.#settleMs), 'The sweep of presence');
  }

  /** Waits for the sweep that is under way, if any. */
  close(): Promise<void> {
    return this.#poller.close();
  }

  /** Sweeps; gives the milliseconds until the next time. */
  async #sweep(): Promise<number> {
    try {
      await this.presence.sweep();
      if (this.#failing) this.logger.info('Presence is swept again');
      this.#failing = false;
      return this.#intervalMs;
    } catch (error) {
      if (!this.#failing && !this.#poller.closed)
        this.logger.warn(
          { err: error },
          'Presence could not be swept; vehicles that have gone stay online until it can',
        );
      this.#failing = true;
      return this.#settleMs;
    }
  }
}
