/** Batches what many vehicles report into few statements, and answers each when it is written. */
import type { BackoffBounds } from '../../../core/async/backoff.ts';
import { BatchWriter, type WriterLoad } from '../../../core/async/batch-writer.ts';
import { asRefusedWrite } from '../../shared/subgraph/not-written.ts';

/** The limits of one collector. A report counts as much as `sizeOf` says of it. */
export interface ReportLimits {
  /** Milliseconds that a report waits for others. */
  readonly windowMs: number;
  /** The most of one statement; what the last report has more may come on top. */
  readonly batch: number;
  /** Milliseconds until a statement counts as failed. */
  readonly timeoutMs: number;
  /** The most held, waiting or being written. */
  readonly held: number;
}

/** The default limits. */
export const REPORT_LIMITS: ReportLimits = { windowMs: 250, batch: 5_000, timeoutMs: 10_000, held: 50_000 };

/** The `retryAfter` for vehicles: 5 s after the first failed statement. */
const BACKOFF: BackoffBounds = { baseMs: 5_000, capMs: 60_000 };

/** Writes reports of different vehicles; resolves to the VINs that are registered, or rejects. */
export type WriteReports<Report> = (reports: readonly Report[]) => Promise<ReadonlySet<string>>;

/** The options of a collector. */
interface ReportCollectorOptions<Report> {
  readonly write: WriteReports<Report>;
  readonly limits: ReportLimits;
  /** The word for several of what is reported, for the messages of refusals. */
  readonly plural: string;
  /** The sentence that says of one report that it was not stored. */
  readonly notStored: string;
  /** Gives how much of the limits a report takes. */
  readonly sizeOf: (report: Report) => number;
  /** Merges a report into one of the same vehicle that waits. */
  readonly merge: (waiting: Report, next: Report) => Report;
}

/** Collects reports of one kind. */
export class ReportCollector<Report extends { readonly vin: string }> {
  readonly #writer: BatchWriter<Report, ReadonlySet<string>>;
  readonly #options: ReportCollectorOptions<Report>;

  constructor(options: ReportCollectorOptions<Report>) {
    const { write, limits, sizeOf, merge } = options;
    this.#options = options;
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
      merging: { keyOf: ({ vin }) => vin, merge },
    });
  }

  /**
   * Queues a report. Resolves when it is written, to whether its vehicle is registered.
   *
   * @throws FleetFlagError SERVICE_UNAVAILABLE with `retryAfter` when it was not written or there is no room
   */
  async add(report: Report): Promise<boolean> {
    try {
      return (await this.#writer.add(report)).has(report.vin);
    } catch (error) {
      const { plural, notStored } = this.#options;
      throw asRefusedWrite(error, {
        full: `Too many ${plural} are waiting for the database; a retry is safe.`,
        closed: `This instance is shutting down and accepts no ${plural}; try again.`,
        failed: notStored,
        abandoned: notStored,
      });
    }
  }

  /** Gives how full the queue is, in the unit of its limits. */
  load(): WriterLoad {
    return this.#writer.load();
  }

  /** Accepts no more reports; resolves when all accepted ones are written or refused. */
  close(): Promise<void> {
    return this.#writer.close();
  }
}
