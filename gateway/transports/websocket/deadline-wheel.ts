/**
 * The time limits of all sockets on one timer (a timing wheel: Varghese and Lauck, 1987). A socket is looked at when
 * something may be due for it, and not before: thousands that are silent cost a look every half minute each.
 *
 * Its time is that in which the process was able to serve: one tick passes at most for each turn of the event loop, so a
 * process that is busy for seconds does not hold them against its clients, whose bytes wait unread.
 */

/** What has deadlines. */
export interface WheelEntry {
  /** The slot in which it stands; NO_SLOT in none. Only the wheel changes it. */
  slot: number;
}

export const NO_SLOT = -1;

/** Enough for half a minute of the ticks that the default limits make; what is due later is looked at in between. */
const SLOTS = 128;

/** Entries by the time of the next look at them. It is their registry as well. */
export class DeadlineWheel<Entry extends WheelEntry> {
  readonly #slots: readonly Set<Entry>[] = Array.from({ length: SLOTS }, () => new Set<Entry>());
  #ticks = 0;
  #size = 0;
  readonly #timer: NodeJS.Timeout;

  /**
   * @param tickMs whole milliseconds between two ticks
   * @param look sees to what is due; gives the milliseconds until the next look. Must not throw
   * @param ticked called at each tick. Must not throw
   */
  constructor(
    private readonly tickMs: number,
    private readonly look: (entry: Entry) => number,
    private readonly ticked: () => void = () => undefined,
  ) {
    this.#timer = setInterval(() => this.tick(), tickMs).unref();
  }

  /** Milliseconds in which the process was able to serve. */
  get nowMs(): number {
    return this.#ticks * this.tickMs;
  }

  get size(): number {
    return this.#size;
  }

  /** All entries; those that are added or looked at meanwhile may come twice or not at all. */
  *[Symbol.iterator](): Iterator<Entry> {
    for (const slot of this.#slots) yield* slot;
  }

  /** Adds an entry, or moves it, so that it is looked at in so many milliseconds. */
  schedule(entry: Entry, inMs: number): void {
    if (entry.slot === NO_SLOT) this.#size += 1;
    else this.#slots[entry.slot]?.delete(entry);
    // Never a whole round, which would be the slot that may be under way.
    const distance = Math.min(SLOTS - 1, Math.max(1, Math.ceil(inMs / this.tickMs)));
    entry.slot = (this.#ticks + distance) % SLOTS;
    this.#slots[entry.slot]?.add(entry);
  }

  /** Removes an entry; false where it is not there. */
  delete(entry: Entry): boolean {
    if (entry.slot === NO_SLOT) return false;
    this.#slots[entry.slot]?.delete(entry);
    entry.slot = NO_SLOT;
    this.#size -= 1;
    return true;
  }

  /** Lets one tick pass. */
  tick(): void {
    this.#ticks += 1;
    this.ticked();
    for (const entry of this.#slots[this.#ticks % SLOTS] ?? []) {
      const inMs = this.look(entry);
      if (entry.slot !== NO_SLOT) this.schedule(entry, inMs);
    }
  }

  /** Lets no more time pass. */
  stop(): void {
    clearInterval(this.#timer);
  }
}
