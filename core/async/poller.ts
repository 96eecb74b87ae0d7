/** Something that an instance does again and again, one time after the other, until it is closed. */
export class Poller {
  #timer: NodeJS.Timeout | undefined;
  #running: Promise<void> = Promise.resolve();
  #closed = false;

  /** @param poll does it once, and resolves to the milliseconds until the next time; must not reject */
  constructor(private readonly poll: () => Promise<number>) {}

  /** Whether `close` was called: what takes long should look. */
  get closed(): boolean {
    return this.#closed;
  }

  /** Begins: at once, and then it resolves after the first time; or when `wait` milliseconds have passed. */
  start(wait = 0): Promise<void> {
    if (wait > 0) this.#after(wait);
    else this.#running = this.#run();
    return this.#running;
  }

  /** Does it no more; resolves when the time that is under way is over. */
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
