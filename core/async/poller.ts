/** Calls a function again and again until it is closed, and never before the last call has ended. */
export class Poller {
  #timer: NodeJS.Timeout | undefined;
  #running: Promise<void> = Promise.resolve();
  #closed = false;

  /** @param poll does the work once and resolves to the milliseconds until the next call; must not reject */
  constructor(private readonly poll: () => Promise<number>) {}

  /** Whether `close` was called; a poll that takes long should check it. */
  get closed(): boolean {
    return this.#closed;
  }

  /**
   * Starts polling.
   *
   * @param wait milliseconds before the first call
   * @returns resolves after the first call where `wait` is 0, otherwise at once
   */
  start(wait = 0): Promise<void> {
    if (wait > 0) this.#after(wait);
    else this.#running = this.#run();
    return this.#running;
  }

  /** Stops polling. Resolves when the running call ends. */
  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#timer);
    await this.#running;
  }

  async #run(): Promise<void> {
    const wait = await this.poll();
    if (!this.#closed) this.#after(wait);
  }

  #after(wait: number): void {
    this.#timer = setTimeout(() => {
      this.#running = this.#run();
    }, wait);
    this.#timer.unref();
  }
}
