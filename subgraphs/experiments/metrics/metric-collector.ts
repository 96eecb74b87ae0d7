/**
 * Batches many vehicles' measurements into few large inserts, and answers each vehicle when its own are stored. The
 * queue is bounded; a batch that was not stored is never acknowledged.
 */
import type { LRUCache } from 'lru-cache';
import { boundedCache } from '../../../core/bounded-cache.ts';
import type { BackoffBounds } from '../../../core/async/backoff.ts';
import { BatchWriter, type NotWrittenReason, type WriterLoad } from '../../../core/async/batch-writer.ts';
import { FleetFlagError } from '../../../core/errors.ts';
import { asRefusedWrite } from '../../shared/subgraph/not-written.ts';
import type { MetricBatch, MetricRow } from './metric-batch.ts';

/** The limits of one collector. */
export interface MetricCollectorLimits {
  /** Milliseconds that a batch waits for others. */
  readonly windowMs: number;
  /**
   * The rows of an insert; one more batch may come on top. ClickHouse splits an insert at a million rows, and a batch
   * must stay whole.
   */
  readonly insertRows: number;
  /** The most concurrent inserts. */
  readonly inserts: number;
  /** Milliseconds until an insert counts as failed; less than a gateway waits for an answer. */
  readonly insertTimeoutMs: number;
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
export const COLLECTOR_LIMITS: MetricCollectorLimits = {
  windowMs: 50,
  insertRows: 20_000,
  inserts: 2,
  insertTimeoutMs: 8_000,
  heldRows: 250_000,
  heldBytes: 64 * 1_024 * 1_024,
  batchesOfVehicle: 4,
  remembered: 20_000,
};

/** The wait that a vehicle is asked for: 2 s after the first failed insert. */
const BACKOFF: BackoffBounds = { baseMs: 2_000, capMs: 60_000 };

const MESSAGES: Readonly<Record<NotWrittenReason, string>> = {
  full: 'Too many measurements are waiting for the metrics store; a retry is safe.',
  closed: 'This instance is shutting down and accepts no measurements; try again.',
  failed: 'The metrics store did not store the measurements; a retry is safe.',
  abandoned: 'The metrics store does not answer; a retry is safe.',
};

/** Stores rows, or rejects. When `signal` is aborted, its result no longer counts. */
export type InsertRows = (rows: readonly MetricRow[], signal: AbortSignal) => Promise<void>;

const keyOf = ({ vin, batchId }: MetricBatch) => `${vin} ${batchId}`;

/** Batches measurements; see the top of this file. */
export class MetricCollector {
  /** Batches that are being stored, by key. */
  readonly #held = new Map<string, Promise<void>>();
  readonly #ofVehicle = new Map<string, number>();
  readonly #known: LRUCache<string, true>;
  readonly #writer: BatchWriter<MetricBatch>;

  constructor(
    insert: InsertRows,
    private readonly limits: MetricCollectorLimits = COLLECTOR_LIMITS,
  ) {
    this.#known = boundedCache(limits.remembered);
    this.#writer = new BatchWriter({
      write: (batches, late) =>
        insert(
          batches.flatMap(({ rows }) => rows),
          late,
        ),
      sizeOf: ({ rows }) => rows.length,
      batchSize: limits.insertRows,
      maxAgeMs: limits.windowMs,
      concurrency: limits.inserts,
      timeoutMs: limits.insertTimeoutMs,
      abandonQueueOnTimeout: true,
      room: [
        { capacity: limits.heldRows, takenBy: ({ rows }) => rows.length },
        { capacity: limits.heldBytes, takenBy: ({ bytes }) => bytes },
      ],
      backoff: BACKOFF,
    });
  }

  /**
   * Queues a batch. Resolves when it is stored: to `stored`, or to `known` when this collector has stored it before or
   * was already about to.
   *
   * @throws FleetFlagError SERVICE_UNAVAILABLE with `retryAfter` when it was not stored or there is no room;
   *   RATE_LIMITED when too many batches of the vehicle wait
   */
  async add(batch: MetricBatch): Promise<'stored' | 'known'> {
    const key = keyOf(batch);
    if (this.#known.get(key) === true) return 'known';
    const same = this.#held.get(key);
    if (same !== undefined) {
      await same;
      return 'known';
    }
    this.#checkVehicle(batch);
    const stored = this.#store(key, batch);
    this.#held.set(key, stored);
    await stored;
    return 'stored';
  }

  /** Gives how full the queue is, in rows. */
  load(): WriterLoad {
    return this.#writer.load();
  }

  /** Accepts no more batches; resolves when all accepted ones are stored or refused. */
  close(): Promise<void> {
    return this.#writer.close();
  }

  #checkVehicle({ vin }: MetricBatch): void {
    const { batchesOfVehicle } = this.limits;
    if (this.#writer.closed || (this.#ofVehicle.get(vin) ?? 0) < batchesOfVehicle) return;
    throw new FleetFlagError(
      'RATE_LIMITED',
      'Too many batches of this vehicle are in flight; wait for their answers before sending another.',
      {
        limit: batchesOfVehicle,
        retryAfter: 1,
      },
    );
  }

  async #store(key: string, batch: MetricBatch): Promise<void> {
    this.#ofVehicle.set(batch.vin, (this.#ofVehicle.get(batch.vin) ?? 0) + 1);
    try {
      await this.#writer.add(batch);
      this.#known.set(key, true);
    } catch (error) {
      throw asRefusedWrite(error, MESSAGES);
    } finally {
      this.#letGo(key, batch);
    }
  }

  #letGo(key: string, { vin }: MetricBatch): void {
    this.#held.delete(key);
    const others = (this.#ofVehicle.get(vin) ?? 1) - 1;
    if (others === 0) this.#ofVehicle.delete(vin);
    else this.#ofVehicle.set(vin, others);
  }
}
