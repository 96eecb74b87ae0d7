/**
 * Batches the reports of many vehicles into few statements, and answers each when it is written. A fault of the whole
 * fleet arrives within seconds; it waits in a queue that is bounded by faults, and what does not fit is sent again.
 */
import { BatchWriter, type NotWrittenReason, type WriterLoad } from '../../../core/async/batch-writer.ts';
import type { BackoffBounds } from '../../../core/async/backoff.ts';
import { asRefusedWrite } from '../../shared/subgraph/not-written.ts';
import { mergeFaultReports, type FaultReport } from './fault.ts';

/** The limits of one collector. */
export interface FaultCollectorLimits {
  /** Milliseconds that a report waits for others. */
  readonly windowMs: number;
  /** The most faults of one statement; those of one report more may come on top. */
  readonly batch: number;
  /** Milliseconds until a statement counts as failed. */
  readonly timeoutMs: number;
  /** The most faults held, waiting or being written. */
  readonly held: number;
}

/** The default limits. With the longest messages, the held faults take some 30 MB. */
const COLLECTOR_LIMITS: FaultCollectorLimits = { windowMs: 250, batch: 5_000, timeoutMs: 10_000, held: 50_000 };

/** The `retryAfter` for vehicles: 5 s after the first failed statement. */
const BACKOFF: BackoffBounds = { baseMs: 5_000, capMs: 60_000 };

const NOT_STORED = 'The faults were not stored; a retry is safe.';
const MESSAGES: Readonly<Record<NotWrittenReason, string>> = {
  full: 'Too many faults are waiting for the database; a retry is safe.',
  closed: 'This instance is shutting down and accepts no faults; try again.',
  failed: NOT_STORED,
  abandoned: NOT_STORED,
};

/** Writes reports of different vehicles; resolves to the VINs that are registered, or rejects. */
export type WriteFaults = (reports: readonly FaultReport[]) => Promise<ReadonlySet<string>>;

/** Batches reports of faults; see the top of this file. */
export class FaultCollector {
  readonly #writer: BatchWriter<FaultReport, ReadonlySet<string>>;

  constructor(write: WriteFaults, limits: FaultCollectorLimits = COLLECTOR_LIMITS) {
    const sizeOf = ({ faults }: FaultReport) => faults.length;
    this.#writer = new BatchWriter({
      write: (reports) => write(reports),
      sizeOf,
      batchSize: limits.batch,
      maxAgeMs: limits.windowMs,
      // While one statement is under way, reports gather for the next.
      concurrency: 1,
      timeoutMs: limits.timeoutMs,
      abandonQueueOnTimeout: false,
      room: [{ capacity: limits.held, takenBy: sizeOf }],
      backoff: BACKOFF,
      merging: { keyOf: ({ vin }) => vin, merge: mergeFaultReports },
    });
  }

  /**
   * Queues a report. Resolves when it is written, to whether its vehicle is registered.
   *
   * @throws FleetFlagError SERVICE_UNAVAILABLE with `retryAfter` when it was not written or there is no room
   */
  async add(report: FaultReport): Promise<boolean> {
    try {
      return (await this.#writer.add(report)).has(report.vin);
    } catch (error) {
      throw asRefusedWrite(error, MESSAGES);
    }
  }

  /** Gives how full the queue is, in faults. */
  load(): WriterLoad {
    return this.#writer.load();
  }

  /** Accepts no more reports; resolves when all accepted ones are written or refused. */
  close(): Promise<void> {
    return this.#writer.close();
  }
}
