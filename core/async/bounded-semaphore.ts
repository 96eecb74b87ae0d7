/** So many at once, so many that wait, and for so long; who comes beyond that is turned away. */
export interface SemaphoreLimits {
  readonly running: number;
  readonly waiting: number;
  /** Milliseconds that one waits at most; Infinity: for as long as it takes. */
  readonly waitMs: number;
}

interface Waiter {
  readonly begin: () => void;
}

export class BoundedSemaphore {
  #running = 0;
  readonly #waiting = new Set<Waiter>();

  /** @param refusal what one is turned away with, because too many wait (`full`) or it has waited too long (`late`) */
  constructor(
    private readonly limits: SemaphoreLimits,
    private readonly refusal: (why: 'full' | 'late') => Error,
  ) {}

  /** Whether nobody runs, and so nobody waits. */
  get idle(): boolean {
    return this.#running === 0;
  }

  /**
   * Waits for a turn, in the order of arrival. Resolves to its end, which may be called more than once. Rejects with
   * the refusal.
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

  /** Does `work` when it is its turn. */
  async run<T>(work: () => Promise<T>): Promise<T> {
    const end = await this.acquire();
    try {
      return await work();
    } finally {
      end();
    }
  }

  /** The place goes to who has waited longest, without being free in between. */
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
