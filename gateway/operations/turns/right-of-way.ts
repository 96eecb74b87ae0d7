/**
 * The right of way of kill switches: while one is under way, from its being permitted until it has had the time to
 * reach vehicles, nothing ordinary begins. Each step of a kill switch would otherwise wait for whatever holds the event
 * loop between two of them (docs/decisions/kill-switch-lane.md).
 */
import Queue from 'yocto-queue';

export interface RightOfWayTimes {
  /** Milliseconds after its answer in which a kill switch is delivered to vehicles. */
  readonly deliveryMs: number;
  /**
   * Milliseconds for which kill switches, one after the other, may hold everything up; then as long nothing is held up.
   */
  readonly longestMs: number;
  /** Those who waited that go on within one turn of the event loop. */
  readonly atOnce: number;
}

const TIMES: RightOfWayTimes = { deliveryMs: 300, longestMs: 2_000, atOnce: 10 };

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

  /**
   * Waits until no kill switch is under way. Those who have waited go on a few at a time, with a turn of the event loop
   * between.
   */
  clear(): Promise<void> {
    // Not behind those who have waited: a script that asks again and again would keep them in a queue for good.
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
