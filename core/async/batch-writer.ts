/**
 * Combines the items of many callers into few large writes. Each caller gets the result of the write that held its
 * item. The items held in memory are bounded, and an item that was not written is never acknowledged.
 */
import { backoffMs, type BackoffBounds } from './backoff.ts';
import { TimeoutError, withTimeout } from './timeout.ts';

/**
 * The reason why an item was not written. `full`: too many items are held; `closed`: the writer is closed; `failed`:
 * its write failed or timed out; `abandoned`: a write timed out while the item waited behind it.
 */
export type NotWrittenReason = 'full' | 'closed' | 'failed' | 'abandoned';

/** The refusal of an item that was not written. Its cause is the error of the write, where there was one. */
export class NotWritten extends Error {
  override readonly name = 'NotWritten';

  /** @param retryAfterMs milliseconds after which the caller may add the item again */
  constructor(
    readonly reason: NotWrittenReason,
    readonly retryAfterMs: number,
    cause?: unknown,
  ) {
    super(`Not written: ${reason}.`, { cause });
  }
}

/** A bound on the items that wait or are being written, in a unit such as bytes. */
export interface Room<Item> {
  readonly capacity: number;
  /** Gives the size of an item in that unit. */
  readonly takenBy: (item: Item) => number;
}

/** Merges waiting items of the same key into one. */
export interface Merging<Item> {
  readonly keyOf: (item: Item) => string;
  /** Gives one item with the content of both; `later` was added after `waiting`. */
  readonly merge: (waiting: Item, later: Item) => Item;
}

/** The write, and the limits of batches and of the queue. */
export interface BatchWriterOptions<Item, Result> {
  /** Writes a batch, or rejects. `late` is aborted at the timeout, after which the result no longer counts. */
  readonly write: (items: readonly Item[], late: AbortSignal) => Promise<Result>;
  /** Gives the size of an item, which counts towards `batchSize`. */
  readonly sizeOf: (item: Item) => number;
  /** The size at which a batch is full and written at once. Its last item may exceed it. */
  readonly batchSize: number;
  /** The milliseconds for which an item waits for others. */
  readonly maxAgeMs: number;
  /** The most writes that run at once. While that many run, items wait for the next. */
  readonly concurrency: number;
  /** The milliseconds after which a write counts as failed. */
  readonly timeoutMs: number;
  /**
   * Whether a write that times out also fails the items that wait behind it. A store that does not answer would not
   * answer their writes either, and each of them would wait for another timeout.
   */
  readonly abandonQueueOnTimeout: boolean;
  readonly room: readonly Room<Item>[];
  /** The waits that refusals name, by the number of writes that failed in a row. */
  readonly backoff: BackoffBounds;
  readonly merging?: Merging<Item>;
}

/** The load of a writer: how full it is. */
export interface WriterLoad {
  /** The items that wait or are being written, in the unit of the first bound. */
  readonly held: number;
  /** The first bound: what does not fit is refused. */
  readonly capacity: number;
  /** The milliseconds for which the oldest item has waited for its write to begin; null while none waits. */
  readonly oldestWaitMs: number | null;
  /** The writes that have failed since the last one that succeeded. */
  readonly failures: number;
}

/** The functions that settle the promise of one call of `add`. */
interface PendingCall<Result> {
  readonly resolve: (result: Result) => void;
  readonly reject: (error: NotWritten) => void;
}

/** An item of the queue, with all items that were merged into it. */
interface Entry<Item, Result> {
  item: Item;
  /** The size of the item, which counts towards `batchSize`. */
  size: number;
  readonly queuedAtMs: number;
  /** The sizes of all items that were merged into this one, for each bound. */
  readonly taken: number[];
  /** The calls that added these items. */
  readonly callers: PendingCall<Result>[];
}

/** Writes items in batches; see the top of this file. */
export class BatchWriter<Item, Result = void> {
  /** The waiting items in the order of arrival, by key where items are merged. */
  readonly #queue = new Map<unknown, Entry<Item, Result>>();
  /** The writes that are under way. */
  readonly #writes = new Set<Promise<void>>();
  /** The sizes of all held items, for each bound. */
  readonly #taken: number[];
  /** The sizes of the waiting items, in the unit of `batchSize`. */
  #queuedSize = 0;
  #timer: NodeJS.Timeout | undefined;
  #failures = 0;
  #closed = false;

  constructor(private readonly options: BatchWriterOptions<Item, Result>) {
    this.#taken = options.room.map(() => 0);
  }

  /** Whether `close` was called: no further item is accepted. */
  get closed(): boolean {
    return this.#closed;
  }

  /** Gives how full the writer is now. */
  load(): WriterLoad {
    const [oldest] = this.#queue.values();
    return {
      held: this.#taken[0]!,
      capacity: this.options.room[0]!.capacity,
      oldestWaitMs: oldest === undefined ? null : performance.now() - oldest.queuedAtMs,
      failures: this.#failures,
    };
  }

  /** Resolves when the item is written, to what the write of its batch resolved to. Rejects with NotWritten only. */
  async add(item: Item): Promise<Result> {
    if (this.#closed) throw this.#notWritten('closed');
    const taken = this.options.room.map(({ takenBy }) => takenBy(item));
    if (this.options.room.some(({ capacity }, index) => this.#taken[index]! + taken[index]! > capacity))
      throw this.#notWritten('full');
    taken.forEach((amount, index) => (this.#taken[index]! += amount));
    const written = new Promise<Result>((resolve, reject) => this.#enqueue(item, taken, { resolve, reject }));
    this.#schedule('added');
    return written;
  }

  /** Accepts no more items. Resolves when every accepted item is written or refused. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#schedule('closed');
    while (this.#writes.size > 0) await Promise.race(this.#writes);
  }

  #enqueue(item: Item, taken: number[], caller: PendingCall<Result>): void {
    const { merging, sizeOf } = this.options;
    const key = merging?.keyOf(item);
    const waiting = key === undefined ? undefined : this.#queue.get(key);
    if (merging === undefined || waiting === undefined) {
      const size = sizeOf(item);
      const entry = { item, size, queuedAtMs: performance.now(), taken, callers: [caller] };
      this.#queue.set(key ?? entry, entry);
      this.#queuedSize += size;
      return;
    }
    waiting.item = merging.merge(waiting.item, item);
    const size = sizeOf(waiting.item);
    this.#queuedSize += size - waiting.size;
    waiting.size = size;
    taken.forEach((amount, index) => (waiting.taken[index]! += amount));
    waiting.callers.push(caller);
  }

  /**
   * Starts the writes that are due, and schedules the next one.
   *
   * @param cause `added`: only a full batch is due, so that items that are added in one turn of the event loop stay
   *   together however long that takes; `timer`: the oldest item is due, whatever the clock says
   */
  #schedule(cause: 'added' | 'timer' | 'write over' | 'closed'): void {
    const { batchSize, concurrency, maxAgeMs } = this.options;
    let isDue = cause === 'timer';
    while (this.#writes.size < concurrency) {
      const [oldest] = this.#queue.values();
      if (oldest === undefined) return;
      const dueInMs = oldest.queuedAtMs + maxAgeMs - performance.now();
      isDue ||= this.#closed || this.#queuedSize >= batchSize || (cause !== 'added' && dueInMs <= 0);
      if (!isDue) {
        this.#timer ??= setTimeout(
          () => {
            this.#timer = undefined;
            this.#schedule('timer');
          },
          Math.max(0, dueInMs),
        );
        return;
      }
      this.#startWrite();
      isDue = false;
    }
    // The end of a write schedules the next.
  }

  #startWrite(): void {
    // The timer was set for the oldest item, which is written now.
    this.#clearTimer();
    const batch: Entry<Item, Result>[] = [];
    let size = 0;
    for (const [key, entry] of this.#queue) {
      if (size >= this.options.batchSize) break;
      this.#queue.delete(key);
      batch.push(entry);
      size += entry.size;
    }
    this.#queuedSize -= size;
    const done: Promise<void> = this.#write(batch).finally(() => {
      this.#writes.delete(done);
      this.#schedule('write over');
    });
    this.#writes.add(done);
  }

  /** Writes a batch and answers all its callers; never rejects. Resolves at the timeout at the latest. */
  async #write(batch: readonly Entry<Item, Result>[]): Promise<void> {
    const { write, timeoutMs, abandonQueueOnTimeout } = this.options;
    // The items count as held until the write ends: a write that timed out still holds them.
    const release = () => this.#release(batch);
    try {
      const result = await withTimeout(timeoutMs, `The write was not over within ${timeoutMs} ms.`, (late) => {
        const writing = write(
          batch.map(({ item }) => item),
          late,
        );
        writing.then(release, release);
        return writing;
      });
      this.#failures = 0;
      for (const { callers } of batch) for (const { resolve } of callers) resolve(result);
    } catch (cause) {
      this.#failures += 1;
      this.#refuse(batch, 'failed', cause);
      if (abandonQueueOnTimeout && cause instanceof TimeoutError) this.#abandonQueue(cause);
    }
  }

  #clearTimer(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  #abandonQueue(cause: unknown): void {
    // A later item waits for its own time, not for that of an abandoned one.
    this.#clearTimer();
    const queued = [...this.#queue.values()];
    this.#queue.clear();
    this.#queuedSize = 0;
    this.#release(queued);
    this.#refuse(queued, 'abandoned', cause);
  }

  #release(entries: readonly Entry<Item, Result>[]): void {
    for (const { taken } of entries) taken.forEach((amount, index) => (this.#taken[index]! -= amount));
  }

  #refuse(entries: readonly Entry<Item, Result>[], reason: NotWrittenReason, cause: unknown): void {
    for (const { callers } of entries) for (const { reject } of callers) reject(this.#notWritten(reason, cause));
  }

  #notWritten(reason: NotWrittenReason, cause?: unknown): NotWritten {
    return new NotWritten(reason, backoffMs(this.#failures, this.options.backoff), cause);
  }
}
