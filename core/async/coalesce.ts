/**
 * Looking for what is new, one look at a time: whoever asks during a look is answered by one more after it, which sees
 * all that was there when they asked.
 */
export class CoalescedRefresh {
  #running: Promise<void> | undefined;
  #again = false;
  #closed = false;

  /** @param run one look; what it rejects with, the looks that it answers reject with */
  constructor(private readonly run: () => Promise<void>) {}

  /** Resolves after a look that began after this call, or when it is closed. */
  refresh(): Promise<void> {
    if (this.#running !== undefined) {
      this.#again = true;
      return this.#running;
    }
    this.#running = (async () => {
      try {
        do {
          this.#again = false;
          await this.run();
        } while (this.#again && !this.#closed);
      } finally {
        this.#running = undefined;
      }
    })();
    return this.#running;
  }

  /** Begins no more looks after the one under way, and resolves when that one is over, whatever became of it. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.#running?.catch(() => undefined);
  }
}
