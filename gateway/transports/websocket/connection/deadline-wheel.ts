/**
 * Checks the time limits of all sockets with one timer (a timing wheel: Varghese and Lauck, 1987). A socket is checked
 * when something may be due for it, and not before: thousands of silent sockets cost one check each every half minute.
 *
 * The wheel's time advances only while the process is able to serve: by at most one tick for each turn of the event
 * loop. So a process that is busy for seconds does not hold them against its clients, whose bytes wait unread.
 */

/** An object with deadlines. */
export interface WheelEntry {
  /** The slot that holds it; NO_SLOT if none does. Only the wheel changes it. */
  slot: number;
}

/** The slot of an entry that is in no wheel. */
export const NO_SLOT = -1;

/**
 * The number of slots: half a minute of ticks at the default limits. An entry that is due later is checked in between.
 */
const SLOTS = 128;

/** The entries by the time of their next check. This is also their registry. */
export class DeadlineWheel<Entry extends WheelEntry> {
  readonly #slots: readonly Set<Entry>[] = Array.from({ length: SLOTS }, () => new Set<Entry>());
  #ticks = 0;
  #size = 0;
  readonly #timer: NodeJS.Timeout;

  /**
   * @param tickMs whole milliseconds between two ticks
   * @param check checks an entry and gives the milliseconds until its next check. Must not throw
   * @param ticked called at each tick. Must not throw
   */
  constructor(
    private readonly tickMs: number,
    private readonly check: (entry: Entry) => number,
    private readonly ticked: () => void = () => undefined,
  ) {
    this.#timer = setInterval(() => this.tick(), tickMs).unref();
  }

  /** The milliseconds since the start in which the process was able to serve. */
  get nowMs(): number {
    return this.#ticks * this.tickMs;
  }

  get size(): number {
    return this.#size;
  }

  /** All entries. One that is added or checked meanwhile may come twice or not at all. */
  *[Symbol.iterator](): Iterator<Entry> {
    for (const slot of this.#slots) yield* slot;
  }

  /** Adds an entry, or moves it, so that it is checked after the given milliseconds. */
  schedule(entry: Entry, inMs: number): void {
    if (entry.slot === NO_SLOT) this.#size += 1;
    else this.#slots[entry.slot]?.delete(entry);
    // The distance is never a whole round, which would lead to the slot that is being checked.
    const distance = Math.min(SLOTS - 1, Math.max(1, Math.ceil(inMs / this.tickMs)));
    entry.slot = (this.#ticks + distance) % SLOTS;
    this.#slots[entry.slot]?.add(entry);
  }

  /** Removes an entry. Gives false where it is in no slot. */
  delete(entry: Entry): boolean {
    if (entry.slot === NO_SLOT) return false;
    this.#slots[entry.slot]?.delete(entry);
    entry.slot = NO_SLOT;
    this.#size -= 1;
    return true;
  }

  /** Advances by one tick and checks the entries that are due. */
  tick(): void {
    this.#ticks += 1;
    this.ticked();
    for (const entry of this.#slots[this.#ticks % SLOTS] ?? []) {
      const inMs = this.check(entry);
      if (entry.slot !== NO_SLOT) this.schedule(entry, inMs);
    }
  }

  /** Stops the timer. */
  stop(): void {
    clearInterval(this.#timer);
  }
}
