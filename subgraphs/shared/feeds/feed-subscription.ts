/**
 * A stream of entries that have positions in the database, such as those of the audit log. It reads at its consumer's
 * pace; a wake-up only makes it read again.
 */
export interface FeedStream<Entry> extends AsyncIterableIterator<Entry> {
  /** Resolves when every later entry is certain to arrive. */
  readonly established: Promise<void>;
  return(): Promise<IteratorResult<Entry>>;
}

/** The source of a subscription's entries. */
export interface FeedSource<Entry> {
  /** Gives the position of the newest entry at the time of the call. */
  start(): Promise<number>;
  /**
   * Reads the entries after `position`, oldest first, and gives the position to continue from. When there are none, the
   * subscription waits until it is woken.
   */
  read(position: number): Promise<{ entries: readonly Entry[]; position: number }>;
  leave(): void;
}

const END = { done: true, value: undefined } as const;

/** The one implementation of `FeedStream`: a subscription to a `FeedSource`. */
export class FeedSubscription<Entry> implements FeedStream<Entry> {
  /** The position up to which entries have been read from the source. */
  #position = 0;
  #taken: readonly Entry[] = [];
  #given = 0;
  #over = false;
  #woken = false;
  #resume: (() => void) | undefined;
  #last: Promise<unknown> = Promise.resolve();
  #established: Promise<void> | undefined;

  constructor(
    private readonly source: FeedSource<Entry>,
    private readonly after: number | 'now',
  ) {}

  /** Determines the position to start from. Call it once, before anything else. */
  begin(): void {
    if (this.after === 'now') {
      this.#established = this.source.start().then((position) => {
        this.#position = position;
      });
      // The first next() reports a rejection; until then it must not count as unhandled.
      this.#established.catch(() => undefined);
    } else {
      this.#position = this.after;
      this.#established = Promise.resolve();
    }
  }

  get established(): Promise<void> {
    if (this.#established === undefined) throw new Error('The subscription has no position yet; call begin first');
    return this.#established;
  }

  /** Signals that there may be more entries to read. */
  wake(): void {
    this.#woken = true;
    this.#resume?.();
  }

  /** Moves the subscription back to `head` when it is further: nothing is left after `head` (after a restore). */
  rewind(head: number): void {
    this.#position = Math.min(this.#position, head);
  }

  /** Gives the next entry; waits until there is one, or until the stream ends. */
  next(): Promise<IteratorResult<Entry>> {
    const result = this.#last.then(() => this.#step());
    this.#last = result.catch(() => undefined);
    return result;
  }

  /** Ends the stream. A pending `next()` resolves as done. */
  async return(): Promise<IteratorResult<Entry>> {
    this.#over = true;
    this.source.leave();
    this.wake();
    return END;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  async #step(): Promise<IteratorResult<Entry>> {
    try {
      await this.established;
    } catch (error) {
      if (this.#over) return END;
      await this.return();
      throw error;
    }
    while (!this.#over) {
      const value = this.#taken[this.#given];
      if (value !== undefined) {
        this.#given += 1;
        return { done: false, value };
      }
      await this.#take();
    }
    return END;
  }

  /** Reads the next entries, or waits until there may be some. */
  async #take(): Promise<void> {
    this.#woken = false;
    const from = this.#position;
    try {
      const { entries, position } = await this.source.read(from);
      // The position was rewound during the read, so these entries belong to a state that no longer exists.
      if (this.#position !== from) return;
      [this.#taken, this.#given, this.#position] = [entries, 0, position];
      if (position !== from) return;
    } catch {
      // The source cannot be read. The feed notices this, too, and wakes the subscription when reads work again.
    }
    if (this.#woken || this.#over) return;
    await new Promise<void>((resolve) => (this.#resume = resolve));
    this.#resume = undefined;
  }
}
