/**
 * The right of way of kill switches: while one is under way, from its being permitted until it has had the time to reach
 * vehicles, nothing ordinary begins. Each step of a kill switch would otherwise wait for whatever holds the event loop
 * between two of them (docs/decisions/kill-switch-lane.md).
 */
import Queue from 'yocto-queue';

export interface RightOfWayTimes {
  /** Milliseconds after its answer in which a kill switch is delivered to vehicles. */
  readonly deliveryMs: number;
  /** Milliseconds for which kill switches, one after the other, may hold everything up; then as long nothing is held up. */
  readonly longestMs: number;
}

const TIMES: RightOfWayTimes = { deliveryMs: 300, longestMs: 2_000 };

export class RightOfWay {
  readonly #waiting = new Queue<() => void>();
  #underWay = 0;
  /** When everything has been held up since; null while nothing is. */
  #heldSince: number | null = null;
  #freeUntil = -Infinity;
  #limit: NodeJS.Timeout | undefined;
  #resuming = false;

  constructor(private readonly times = TIMES) {}

  /** Whether what is ordinary has to wait. */
  get isTaken(): boolean {
    return this.#heldSince !== null;
  }

  /** Notes a kill switch that is under way. Gives its end, which may be called more than once. */
  begin(): () => void {
    this.#underWay += 1;
    if (this.#heldSince === null && performance.now() >= this.#freeUntil) {
      this.#heldSince = performance.now();
      // Not even an endless row of them keeps everybody else out.
      this.#limit = setTimeout(() => {
        this.#freeUntil = performance.now() + this.times.longestMs;
        this.#free();
      }, this.times.longestMs).unref();
    }
    let over = false;
    return () => {
      if (over) return;
      over = true;
      setTimeout(() => {
        this.#underWay -= 1;
        if (this.#underWay === 0) this.#free();
      }, this.times.deliveryMs).unref();
    };
  }

  /** Waits until no kill switch is under way. Those who have waited go on one after the other, with a turn of the event loop between two. */
  clear(): Promise<void> {
    if (!this.isTaken && this.#waiting.size === 0) return Promise.resolve();
    return new Promise((resolve) => this.#waiting.enqueue(resolve));
  }

  #free(): void {
    clearTimeout(this.#limit);
    this.#heldSince = null;
    if (this.#resuming) return;
    this.#resuming = true;
    this.#resume();
  }

  readonly #resume = (): void => {
    const next = this.isTaken ? undefined : this.#waiting.dequeue();
    this.#resuming = next !== undefined;
    if (next === undefined) return;
    next();
    setImmediate(this.#resume);
  };
}
