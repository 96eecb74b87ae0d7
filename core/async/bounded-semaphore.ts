/** The limits of a semaphore. Whatever exceeds them is refused. */
export interface SemaphoreLimits {
  /** The most that run at once. */
  readonly running: number;
  /** The most that wait at once. */
  readonly waiting: number;
  /** The longest wait in milliseconds; Infinity waits for as long as it takes. */
  readonly waitMs: number;
}

/** A lender of places beyond the semaphore's own, which several semaphores share. */
export interface Lender {
  /** Resolves when one more place is lent, in the order of the requests; rejects where none will be. */
  borrow(): Promise<void>;
  giveBack(): void;
}

interface Waiter {
  readonly begin: () => void;
}

/** Lets a bounded number of works run at once, and a bounded number wait in the order of arrival. */
export class BoundedSemaphore {
  #running = 0;
  readonly #waiting = new Set<Waiter>();
  /** The places that are borrowed from the lender. */
  #borrowed = 0;
  /** The requests for places that the lender has not answered. */
  #requested = 0;

  /**
   * @param refusal makes the error for a caller that finds too many waiting (`full`) or waits too long (`late`)
   * @param lender lends places where more works wait than there are own ones
   */
  constructor(
    private readonly limits: SemaphoreLimits,
    private readonly refusal: (why: 'full' | 'late') => Error,
    private readonly lender: Lender | null = null,
  ) {}

  /** Whether nothing runs and nothing waits. */
  get idle(): boolean {
    return this.#running === 0 && this.#waiting.size === 0;
  }

  /**
   * Waits for a place, in the order of arrival. Resolves to the function that releases it; calls after the first do
   * nothing. Rejects with the refusal.
   */
  async acquire(): Promise<() => void> {
    if (this.#running < this.limits.running && this.#waiting.size === 0) this.#running += 1;
    else await this.#wait();
    let over = false;
    return () => {
      if (over) return;
      over = true;
      this.#release();
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

  /** Passes a place on. It is never free while a work waits, so that no newcomer overtakes. */
  #release(): void {
    this.#running -= 1;
    // A borrowed place goes back even where a work waits here, because one of another semaphore may have waited longer.
    if (this.#borrowed > 0) {
      this.#borrowed -= 1;
      this.lender?.giveBack();
    }
    this.#beginNext();
    this.#borrow();
  }

  /** Begins the longest waiter where there is a place. */
  #beginNext(): void {
    const [next] = this.#waiting;
    if (next === undefined || this.#running >= this.limits.running + this.#borrowed) return;
    this.#waiting.delete(next);
    this.#running += 1;
    next.begin();
  }

  /** Requests a place of the lender for each waiter. */
  #borrow(): void {
    while (this.lender !== null && this.#requested < this.#waiting.size) {
      this.#requested += 1;
      this.lender.borrow().then(
        () => this.#lent(),
        // The waiting works get places of their own, or are refused because the wait is too long.
        () => void (this.#requested -= 1),
      );
    }
  }

  #lent(): void {
    this.#requested -= 1;
    if (this.#waiting.size === 0) return this.lender?.giveBack();
    this.#borrowed += 1;
    this.#beginNext();
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
      this.#borrow();
    });
  }
}
