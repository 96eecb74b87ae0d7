/**
 * Refreshes of one thing, one at a time: whoever asks during a refresh is answered by one more after it, which sees all
 * that was there when they asked.
 */
export class CoalescedRefresh {
  #running: Promise<void> | undefined;
  #again = false;
  #closed = false;

  /** @param run one refresh; what it rejects with, the calls that it answers reject with */
  constructor(private readonly run: () => Promise<void>) {}

  /** Resolves after a refresh that began after this call, or when it is closed. */
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

  /** Begins no more refreshes; resolves when the one that is under way is over, whether it failed or not. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.#running?.catch(() => undefined);
  }
}
