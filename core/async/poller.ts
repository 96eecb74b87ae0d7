import { timerDelay } from './timer-delay.ts';

/** Repeats a task, one run after the other, until it is closed. It does not keep the process alive. */
export class Poller {
  #timer: NodeJS.Timeout | undefined;
  #running: Promise<void> = Promise.resolve();
  #closed = false;

  /**
   * @param poll does one run; resolves to the milliseconds from its end to the start of the next one, or to null when
   *   there is nothing left to do; must not reject
   */
  constructor(private readonly poll: () => Promise<number | null>) {}

  /**
   * Creates a poller whose runs start `intervalMs` milliseconds apart. After a run that takes longer, the next follows
   * at once.
   *
   * @param run does one run; must not reject
   */
  static every(intervalMs: number, run: () => void | Promise<void>): Poller {
    return new Poller(async () => {
      const startedAt = performance.now();
      await run();
      return Math.max(0, intervalMs - (performance.now() - startedAt));
    });
  }

  /** Whether `close` was called. A long run should check this and end early. */
  get closed(): boolean {
    return this.#closed;
  }

  /**
   * Starts the runs; to be called once. Without a wait, the first run begins at once, and this resolves after it.
   *
   * @param waitMs milliseconds until the first run
   */
  start(waitMs = 0): Promise<void> {
    if (waitMs > 0) this.#schedule(waitMs);
    else this.#running = this.#run();
    return this.#running;
  }

  /** Starts no more runs. Resolves when the present one has ended. */
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
