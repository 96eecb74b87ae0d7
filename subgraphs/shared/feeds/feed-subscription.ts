/**
 * One stream of entries that have positions in the database, such as those of the audit log. It pulls, at the pace of
 * its reader; all that is ever pushed to it is to read again.
 */
export interface FeedStream<Entry> extends AsyncIterableIterator<Entry> {
  /** Resolves once every entry from now on will come. */
  readonly established: Promise<void>;
  return(): Promise<IteratorResult<Entry>>;
}

/** Where a subscription gets its entries. */
export interface FeedSource<Entry> {
  /** The position of the newest entry, as it is after this call. */
  start(): Promise<number>;
  /**
   * Entries after `position`, oldest first, and where to go on after them; none: the subscription is woken when there may
   * be.
   */
  read(position: number): Promise<{ entries: readonly Entry[]; position: number }>;
  leave(): void;
}

const END = { done: true, value: undefined } as const;

export class FeedSubscription<Entry> implements FeedStream<Entry> {
  /** Up to where entries have been taken from the source. */
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

  /** Takes up its place. Called once, before anything else. */
  begin(): void {
    if (this.after === 'now') {
      this.#established = this.source.start().then((position) => {
        this.#position = position;
      });
      // Reported by the first next(); until then it must not count as unhandled.
      this.#established.catch(() => undefined);
    } else {
      this.#position = this.after;
      this.#established = Promise.resolve();
    }
  }

  get established(): Promise<void> {
    if (this.#established === undefined) throw new Error('The subscription has not begun');
    return this.#established;
  }

  /** Tells that there may be more to read. */
  wake(): void {
    this.#woken = true;
    this.#resume?.();
  }

  /** Tells that there is nothing after `head`: who was further is there again. */
  rewind(head: number): void {
    this.#position = Math.min(this.#position, head);
  }

  next(): Promise<IteratorResult<Entry>> {
    const result = this.#last.then(() => this.#step());
    this.#last = result.catch(() => undefined);
    return result;
  }

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

  /** Takes what there is, or waits until there may be more. */
  async #take(): Promise<void> {
    this.#woken = false;
    const from = this.#position;
    try {
      const { entries, position } = await this.source.read(from);
      // Rewound meanwhile: what was read is of a state that is no more.
      if (this.#position !== from) return;
      [this.#taken, this.#given, this.#position] = [entries, 0, position];
      if (position !== from) return;
    } catch {
      // The source cannot be read, which it notices itself: it wakes when it can again.
    }
    if (this.#woken || this.#over) return;
    await new Promise<void>((resolve) => (this.#resume = resolve));
    this.#resume = undefined;
  }
}
