import { timerDelay } from './timer-delay.ts';

/** Work that is done again and again, one run after the other, until it is closed. Keeps no process alive. */
export class Poller {
  #timer: NodeJS.Timeout | undefined;
  #running: Promise<void> = Promise.resolve();
  #closed = false;

  /**
   * @param poll one run; resolves to the milliseconds from its end to the start of the next one, or to null when there
   *   is nothing left to do; must not reject
   */
  constructor(private readonly poll: () => Promise<number | null>) {}

  /**
   * A poller whose runs start `intervalMs` milliseconds apart. Where a run takes longer, the next one follows it.
   *
   * @param run must not reject
   */
  static every(intervalMs: number, run: () => void | Promise<void>): Poller {
    return new Poller(async () => {
      const startedAt = performance.now();
      await run();
      return Math.max(0, intervalMs - (performance.now() - startedAt));
    });
  }

  /** Whether `close` was called: a run that takes long should look at it. */
  get closed(): boolean {
    return this.#closed;
  }

  /**
   * Starts polling. Called once. Without a wait it begins at once, and resolves after the first run.
   *
   * @param waitMs milliseconds until the first run
   */
  start(waitMs = 0): Promise<void> {
    if (waitMs > 0) this.#schedule(waitMs);
    else this.#running = this.#run();
    return this.#running;
  }

  /** Starts no more runs; resolves when the one that is under way is over. */
  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#timer);
    await this.#running;
  }

  async #run(): Promise<void> {
    const waitMs = await this.poll();
    if (waitMs !== null && !this.#closed) this.#schedule(waitMs);
  }

  #schedule(waitMs: number): void {
    this.#timer = setTimeout(() => {
      this.#running = this.#run();
    }, timerDelay(waitMs));
    this.#timer.unref();
  }
}
