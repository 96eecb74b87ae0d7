/** The limits of a semaphore. Whatever exceeds them is refused. */
export interface SemaphoreLimits {
  /** The most that run at once. */
  readonly running: number;
  /** The most that wait at once. */
  readonly waiting: number;
  /** The longest wait in milliseconds; Infinity waits for as long as it takes. */
  readonly waitMs: number;
}

interface Waiter {
  readonly begin: () => void;
}

/** Lets a bounded number of works run at once, and a bounded number wait in the order of arrival. */
export class BoundedSemaphore {
  #running = 0;
  readonly #waiting = new Set<Waiter>();

  /** @param refusal makes the error for a caller that finds too many waiting (`full`) or waits too long (`late`) */
  constructor(
    private readonly limits: SemaphoreLimits,
    private readonly refusal: (why: 'full' | 'late') => Error,
  ) {}

  /** Whether nothing runs, and so nothing waits. */
  get idle(): boolean {
    return this.#running === 0;
  }

  /**
   * Waits for a place, in the order of arrival. Resolves to the function that releases it; calls after the first do
   * nothing. Rejects with the refusal.
   */
  async acquire(): Promise<() => void> {
    if (this.#running < this.limits.running) this.#running += 1;
    else await this.#wait();
    let over = false;
    return () => {
      if (over) return;
      over = true;
      this.#pass();
    };
  }

  /** Runs `work` when a place is free, and releases the place when it ends. Rejects with the refusal. */
  async run<T>(work: () => Promise<T>): Promise<T> {
    const end = await this.acquire();
    try {
      return await work();
    } finally {
      end();
    }
  }

  /** Passes a place on to the longest waiter. It is never free in between, so that no newcomer overtakes. */
  #pass(): void {
    const [next] = this.#waiting;
    if (next === undefined) {
      this.#running -= 1;
      return;
    }
    this.#waiting.delete(next);
    next.begin();
  }

  #wait(): Promise<void> {
    const { waiting, waitMs } = this.limits;
    if (this.#waiting.size >= waiting) return Promise.reject(this.refusal('full'));
    return new Promise((resolve, reject) => {
      const late = () => {
        this.#waiting.delete(waiter);
        reject(this.refusal('late'));
      };
      const timer = waitMs === Infinity ? undefined : setTimeout(late, waitMs).unref();
      const waiter: Waiter = {
        begin: () => {
          clearTimeout(timer);
          resolve();
        },
      };
      this.#waiting.add(waiter);
    });
  }
}
