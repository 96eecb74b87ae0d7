/**
 * Paces the reads of the database that announcements ask for. One after a quiet while is at once; those of a burst
 * share one, which finds each flag that they changed in its last state, so that a burst costs vehicles few events.
 */
export class PacedLooks {
  #lastAt = -Infinity;
  #timer: NodeJS.Timeout | undefined;

  /**
   * @param look must not throw
   * @param paceMs the least milliseconds between two looks, but for those that are wanted at once
   * @param clock milliseconds, monotonic
   */
  constructor(
    private readonly look: () => void,
    private readonly paceMs: number,
    private readonly clock: () => number = () => performance.now(),
  ) {}

  /** Looks as soon as the pace allows. */
  soon(): void {
    if (this.#timer !== undefined) return;
    const waitMs = this.#lastAt + this.paceMs - this.clock();
    if (waitMs <= 0) this.atOnce();
    else this.#timer = setTimeout(() => this.atOnce(), waitMs);
  }

  /** Looks now, and with it for all that wait. */
  atOnce(): void {
    this.close();
    this.#lastAt = this.clock();
    this.look();
  }

  /** Drops a look that is still to come. */
  close(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }
}
