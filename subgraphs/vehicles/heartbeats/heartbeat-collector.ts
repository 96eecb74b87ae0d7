/**
 * Batches many vehicles' heartbeats into few statements, and answers each when it is written. The queue is bounded by
 * the number of vehicles: each has at most one waiting heartbeat, into which later ones are merged.
 */
import type { BackoffBounds } from '../../../core/async/backoff.ts';
import { BatchWriter, type NotWrittenReason, type WriterLoad } from '../../../core/async/batch-writer.ts';
import { asRefusedWrite } from '../../shared/subgraph/not-written.ts';
import { mergeHeartbeats, type Heartbeat } from './heartbeat.ts';

/** The limits of one collector. */
export interface HeartbeatCollectorLimits {
  /** Milliseconds that a heartbeat waits for others. */
  readonly windowMs: number;
  /** The most vehicles of one statement. */
  readonly batch: number;
  /** Milliseconds until a statement counts as failed. */
  readonly timeoutMs: number;
  /** The most heartbeats held, waiting or being written. */
  readonly held: number;
}

/** The default limits. */
const COLLECTOR_LIMITS: HeartbeatCollectorLimits = { windowMs: 250, batch: 5_000, timeoutMs: 10_000, held: 50_000 };

/** The `retryAfter` for vehicles: 5 s after the first failed statement. */
const BACKOFF: BackoffBounds = { baseMs: 5_000, capMs: 60_000 };

const NOT_STORED = 'The heartbeat was not stored; a retry is safe.';
const MESSAGES: Readonly<Record<NotWrittenReason, string>> = {
  full: 'Too many heartbeats are waiting for the database; a retry is safe.',
  closed: 'This instance is shutting down and accepts no heartbeats; try again.',
  failed: NOT_STORED,
  abandoned: NOT_STORED,
};

/** Writes heartbeats of different vehicles; resolves to the VINs that are registered, or rejects. */
export type WriteHeartbeats = (heartbeats: readonly Heartbeat[]) => Promise<ReadonlySet<string>>;

/** Batches heartbeats; see the top of this file. */
export class HeartbeatCollector {
  readonly #writer: BatchWriter<Heartbeat, ReadonlySet<string>>;

  constructor(write: WriteHeartbeats, limits: HeartbeatCollectorLimits = COLLECTOR_LIMITS) {
    this.#writer = new BatchWriter({
      write: (heartbeats) => write(heartbeats),
      sizeOf: () => 1,
      batchSize: limits.batch,
      maxAgeMs: limits.windowMs,
      // While one statement is under way, heartbeats gather for the next.
      concurrency: 1,
      timeoutMs: limits.timeoutMs,
      abandonQueueOnTimeout: false,
      room: [{ capacity: limits.held, takenBy: () => 1 }],
      backoff: BACKOFF,
      merging: { keyOf: ({ vin }) => vin, merge: mergeHeartbeats },
    });
  }

  /**
   * Queues a heartbeat. Resolves when it is written, to whether its vehicle is registered.
   *
   * @throws FleetFlagError SERVICE_UNAVAILABLE with `retryAfter` when it was not written or there is no room
   */
  async add(heartbeat: Heartbeat): Promise<boolean> {
    try {
      const registered = await this.#writer.add(heartbeat);
      return registered.has(heartbeat.vin);
    } catch (error) {
      throw asRefusedWrite(error, MESSAGES);
    }
  }

  /** Gives how full the queue is, in heartbeats. */
  load(): WriterLoad {
    return this.#writer.load();
  }

  /** Accepts no more heartbeats; resolves when all accepted ones are written or refused. */
  close(): Promise<void> {
    return this.#writer.close();
  }
}
