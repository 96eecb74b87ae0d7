/**
 * The right of way of kill switches: no ordinary operation begins while a kill switch is under way, from its being
 * permitted until it has had the time to reach vehicles. Otherwise each step of a kill switch would wait for whatever
 * holds the event loop between two steps (docs/decisions/flags/kill-switch-lane.md).
 */
import Queue from 'yocto-queue';

/** The times for which kill switches hold up other operations. */
export interface RightOfWayTimes {
  /** The milliseconds, after the answer to a kill switch, in which it is delivered to vehicles. */
  readonly deliveryMs: number;
  /**
   * The most milliseconds for which a series of kill switches holds up other operations. For as long after that, they
   * hold up none.
   */
  readonly longestMs: number;
  /** The number of waiting operations that go on within one turn of the event loop. */
  readonly atOnce: number;
}

const TIMES: RightOfWayTimes = { deliveryMs: 300, longestMs: 2_000, atOnce: 10 };

/** Holds up ordinary operations while a kill switch is under way. */
export class RightOfWay {
  readonly #waiting = new Queue<() => void>();
  #underWay = 0;
  /** The time since which ordinary operations have been held up; null while they are not. */
  #heldSince: number | null = null;
  #freeUntil = -Infinity;
  #limit: NodeJS.Timeout | undefined;
  #resuming = false;

  constructor(private readonly times = TIMES) {}

  /** Whether ordinary operations have to wait. */
  get isTaken(): boolean {
    return this.#heldSince !== null;
  }

  /** Records that a kill switch is under way. Gives the function that ends it, which may be called more than once. */
  begin(): () => void {
    this.#underWay += 1;
    if (this.#heldSince === null && performance.now() >= this.#freeUntil) {
      this.#heldSince = performance.now();
      // An endless series of kill switches must not hold up other operations for good.
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

  /**
   * Waits until no kill switch is under way. Waiting operations then go on a few at a time, with a turn of the event
   * loop between.
   */
  clear(): Promise<void> {
    // A new operation does not queue behind those that still wait: a script that sends requests without a pause would
    // keep the queue from ever being empty.
    if (!this.isTaken) return Promise.resolve();
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
    this.#resuming = !this.isTaken && this.#waiting.size > 0;
    if (!this.#resuming) return;
    for (let n = 0; n < this.times.atOnce; n++) this.#waiting.dequeue()?.();
    setImmediate(this.#resume);
  };
}
