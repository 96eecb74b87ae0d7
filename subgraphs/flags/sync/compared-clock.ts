/**
 * Detects differences between this process's clock and the database's. Proofs carry the database's time, so that all
 * instances agree; tokens and sessions expire by this process's clock.
 */
import type { Logger } from 'pino';

/** Milliseconds of difference that are tolerated: more than a slow statement or an NTP correction causes. */
const TOLERANCE_MS = 10_000;
/** The least milliseconds between two warnings in the log. */
const WARNING_INTERVAL_MS = 3_600_000;

/** Compares the clocks and logs when they begin and cease to differ. */
export class ComparedClock {
  #warnedAtMs = -Infinity;
  #differs = false;

  /**
   * @param now milliseconds since 1970, by this process's clock
   * @param running milliseconds by a monotonic clock
   */
  constructor(
    private readonly logger: Pick<Logger, 'warn' | 'info'>,
    private readonly now: () => number = Date.now,
    private readonly running: () => number = () => performance.now(),
  ) {}

  /**
   * Compares the clocks once.
   *
   * @param databaseTime milliseconds since 1970, at which a statement began that has just been answered
   */
  compare(databaseTime: number): void {
    const difference = this.now() - databaseTime;
    const differs = Math.abs(difference) > TOLERANCE_MS;
    if (differs && this.running() - this.#warnedAtMs > WARNING_INTERVAL_MS) {
      const seconds = Math.round(difference / 1_000);
      this.logger.warn(
        { seconds },
        "This machine's clock and the database's differ. Proofs use the database's time, tokens and sessions expire by this machine's: synchronise both with NTP",
      );
      this.#warnedAtMs = this.running();
    }
    if (!differs && this.#differs) {
      this.logger.info("This machine's clock and the database's agree again");
      this.#warnedAtMs = -Infinity;
    }
    this.#differs = differs;
  }
}
