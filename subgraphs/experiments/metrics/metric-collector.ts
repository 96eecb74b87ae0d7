/**
 * Batches many vehicles' measurements into few large inserts, and answers each vehicle when its own are stored. The
 * queue is bounded; a batch that was not stored is never acknowledged.
 */
import { LRUCache } from 'lru-cache';
import { FleetFlagError } from '../../../core/errors.ts';
import { TimeoutError, withTimeout } from '../../../core/async/timeout.ts';
import type { MetricBatch, MetricRow } from './metric-batch.ts';

/** The limits of one collector. */
export interface CollectorLimits {
  /** Milliseconds that a batch waits for others. */
  readonly window: number;
  /**
   * The rows of an insert; one more batch may come on top. ClickHouse splits an insert at a million rows, and a batch
   * must stay whole.
   */
  readonly insertRows: number;
  /** The most concurrent inserts. */
  readonly inserts: number;
  /** Milliseconds until an insert counts as failed; less than a gateway waits for an answer. */
  readonly insertTimeout: number;
  /** The most rows held, waiting or being inserted. */
  readonly heldRows: number;
  /** The most bytes of those rows. */
  readonly heldBytes: number;
  /** The most batches held of one vehicle, because one vehicle must not fill the queue of all. */
  readonly batchesOfVehicle: number;
  /** The number of stored batches that are remembered. */
  readonly remembered: number;
}

/** The default limits. */
export const COLLECTOR_LIMITS: CollectorLimits = {
  window: 50,
  insertRows: 20_000,
  inserts: 2,
  insertTimeout: 8_000,
  heldRows: 250_000,
  heldBytes: 64 * 1_024 * 1_024,
  batchesOfVehicle: 4,
  remembered: 20_000,
};

/** The first `retryAfter` in seconds; it doubles with each consecutive failure. */
const FIRST_RETRY = 2;
const LONGEST_RETRY = 60;

/** Stores rows, or rejects; after `signal` aborts, its result no longer matters. */
export type InsertRows = (rows: readonly MetricRow[], signal: AbortSignal) => Promise<void>;

interface Waiting {
  readonly batch: MetricBatch;
  readonly stored: Promise<void>;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

const keyOf = ({ vin, batchId }: MetricBatch) => `${vin} ${batchId}`;

/** Batches measurements; see the top of this file. */
export class MetricCollector {
  readonly #held = new Map<string, Waiting>();
  readonly #ofVehicle = new Map<string, number>();
  readonly #known: LRUCache<string, true>;
  #queue: Waiting[] = [];
  #queuedRows = 0;
  #heldRows = 0;
  #heldBytes = 0;
  readonly #underWay = new Set<Promise<void>>();
  #timer: NodeJS.Timeout | undefined;
  #failures = 0;
  #closing = false;

  constructor(
    private readonly insert: InsertRows,
    private readonly limits: CollectorLimits = COLLECTOR_LIMITS,
  ) {
    this.#known = new LRUCache({ max: limits.remembered });
  }

  /**
   * Queues a batch. Resolves when it is stored: to `stored`, or to `known` when this collector had stored it before or
   * was already storing it.
   *
   * @throws FleetFlagError SERVICE_UNAVAILABLE with `retryAfter` when it was not stored or the queue is full;
   * RATE_LIMITED when too many batches of the vehicle wait
   */
  async add(batch: MetricBatch): Promise<'stored' | 'known'> {
    const key = keyOf(batch);
    if (this.#known.get(key) === true) return 'known';
    const same = this.#held.get(key);
    if (same !== undefined) {
      await same.stored;
      return 'known';
    }
    this.#makeSureOfRoom(batch);
    const waiting = this.#hold(key, batch);
    this.#queue.push(waiting);
    this.#queuedRows += batch.rows.length;
    if (this.#queuedRows >= this.limits.insertRows) this.#flush();
    else this.#timer ??= setTimeout(() => this.#flush(), this.limits.window);
    await waiting.stored;
    return 'stored';
  }

  /** Accepts no more batches; resolves when all accepted ones are stored or refused. */
  async close(): Promise<void> {
    this.#closing = true;
    while (this.#queue.length > 0 || this.#underWay.size > 0) {
      this.#flush();
      await Promise.race(this.#underWay);
    }
  }

  #makeSureOfRoom({ vin, rows, bytes }: MetricBatch): void {
    const { heldRows, heldBytes, batchesOfVehicle } = this.limits;
    if (this.#closing) throw this.#unavailable('Measurements are not taken while this instance stops; try again.');
    if ((this.#ofVehicle.get(vin) ?? 0) >= batchesOfVehicle) {
      throw new FleetFlagError('RATE_LIMITED', 'Wait for the answers to the batches sent before.', {
        limit: batchesOfVehicle,
        retryAfter: 1,
      });
    }
    if (this.#heldRows + rows.length > heldRows || this.#heldBytes + bytes > heldBytes) {
      throw this.#unavailable('The metrics store is behind; a retry is safe.');
    }
  }

  #hold(key: string, batch: MetricBatch): Waiting {
    let resolve!: () => void;
    let reject!: (error: unknown) => void;
    const stored = new Promise<void>((yes, no) => ([resolve, reject] = [yes, no]));
    // eslint-disable-next-line fleetflag/no-promise-in-object -- Who brought the batch awaits it.
    const waiting = { batch, stored, resolve, reject };
    this.#held.set(key, waiting);
    this.#ofVehicle.set(batch.vin, (this.#ofVehicle.get(batch.vin) ?? 0) + 1);
    this.#heldRows += batch.rows.length;
    this.#heldBytes += batch.bytes;
    return waiting;
  }

  #flush(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    while (this.#queue.length > 0 && this.#underWay.size < this.limits.inserts) {
      const group: Waiting[] = [];
      let rows = 0;
      while (this.#queue.length > group.length && rows < this.limits.insertRows) {
        const next = this.#queue[group.length]!;
        group.push(next);
        rows += next.batch.rows.length;
      }
      this.#queue = this.#queue.slice(group.length);
      this.#queuedRows -= rows;
      const done: Promise<void> = this.#store(group).finally(() => {
        this.#underWay.delete(done);
        if (this.#queue.length > 0) this.#flush();
      });
      this.#underWay.add(done);
    }
  }

  /**
   * Stores a group and answers all its callers; never rejects. Ends at the timeout, whether the insert has ended or
   * not.
   */
  async #store(group: readonly Waiting[]): Promise<void> {
    // The places are free when the rows are: an insert may still hold them after the timeout.
    const freed = () => {
      for (const { batch } of group) {
        this.#heldRows -= batch.rows.length;
        this.#heldBytes -= batch.bytes;
      }
    };
    try {
      await withTimeout(this.limits.insertTimeout, 'The insert has taken too long.', (late) => {
        const inserted = this.insert(
          group.flatMap(({ batch }) => batch.rows),
          late,
        );
        inserted.then(freed, freed);
        return inserted;
      });
      this.#failures = 0;
      for (const waiting of group) {
        this.#known.set(keyOf(waiting.batch), true);
        this.#letGo(waiting);
        waiting.resolve();
      }
    } catch (cause) {
      this.#failures += 1;
      for (const waiting of group) {
        this.#letGo(waiting);
        waiting.reject(this.#unavailable('The metrics store did not take the measurements; a retry is safe.', cause));
      }
      if (cause instanceof TimeoutError) this.#refuseQueue(cause);
    }
  }

  /**
   * Refuses the queued batches: a store that did not answer will not answer them any sooner, and each would wait as
   * long again.
   */
  #refuseQueue(cause: unknown): void {
    const refused = this.#queue.splice(0);
    this.#queuedRows = 0;
    for (const waiting of refused) {
      this.#heldRows -= waiting.batch.rows.length;
      this.#heldBytes -= waiting.batch.bytes;
      this.#letGo(waiting);
      waiting.reject(this.#unavailable('The metrics store does not answer; a retry is safe.', cause));
    }
  }

  #letGo({ batch }: Waiting): void {
    this.#held.delete(keyOf(batch));
    const others = (this.#ofVehicle.get(batch.vin) ?? 1) - 1;
    if (others === 0) this.#ofVehicle.delete(batch.vin);
    else this.#ofVehicle.set(batch.vin, others);
  }

  #unavailable(message: string, cause?: unknown): FleetFlagError {
    const retryAfter = Math.min(LONGEST_RETRY, FIRST_RETRY * 2 ** Math.min(Math.max(this.#failures - 1, 0), 10));
    return new FleetFlagError('SERVICE_UNAVAILABLE', message, { retryAfter }, { cause });
  }
}
