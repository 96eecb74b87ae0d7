/**
 * Coalesces refreshes, so that one runs at a time. All calls during a refresh share one more refresh after it, which
 * sees everything that was there when they called.
 */
export class CoalescedRefresh {
  #running: Promise<void> | undefined;
  #again = false;
  #closed = false;

  /** @param run does one refresh; when it rejects, the calls that wait for it reject with the same error */
  constructor(private readonly run: () => Promise<void>) {}

  /** Resolves after a refresh that began after this call, or at the end of the last refresh before `close`. */
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

  /** Drops a refresh that is still due. Resolves when the running one ends, whether it fails or not. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.#running?.catch(() => undefined);
  }
}
