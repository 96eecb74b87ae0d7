/**
 * What waits to be sent, oldest first: bounded, and cut into batches that stay as they are until they are acknowledged.
 * The rows in memory are what counts. Each change is noted as an operation too, so that a copy on disk can follow
 * without being written anew; metric-rows.ts and ../store/queue-journal.ts keep it.
 */
import type { JsonObject } from '../../../core/model.ts';
import { EVALUATIONS_METRIC, MAX_BATCH_ITEMS } from '../../../core/wire/metric.ts';

export interface QueuedMetric {
  /** Rises; never given twice. */
  readonly id: number;
  readonly flagKey: string;
  readonly variant: string;
  readonly metricName: string;
  readonly value: number;
  /** Milliseconds since 1970, by the vehicle's clock. */
  readonly at: number;
  readonly tags: JsonObject | null;
}

export interface OpenBatch {
  readonly id: string;
  readonly rows: readonly QueuedMetric[];
}

export interface QueueLimits {
  readonly rows: number;
  /** Of the rows as the database holds them, about. */
  readonly bytes: number;
}

/** With 100 flags of 3 KB the database stays under a megabyte. */
export const QUEUE_LIMITS: QueueLimits = { rows: 2_500, bytes: 300_000 };

/**
 * A change of a queue. Applied in order to a queue as it was, operations make it what it became; what has no room is
 * not among them, since it follows from the rest.
 */
export type QueueOperation =
  | readonly ['add', Omit<QueuedMetric, 'id'>]
  | readonly ['count', flagKey: string, variant: string, count: number, at: number]
  | readonly ['batch', length: number]
  | readonly ['settle', lost: boolean]
  | readonly ['skip', ids: number]
  | readonly ['discard', position: number];

/** More operations than these are not worth a list: the rows themselves are shorter. */
const MAX_OPERATIONS = 1_000;

/**
 * The least distance between the ids of two starts. A batch does not reach over it: sent again, it must not be longer
 * than it was.
 */
const ID_GAP = 1_000_000;
/** More starts than these a vehicle hardly has between two copies of its file that collide. */
const GAPS = 100_000;

/**
 * The distance from the ids that a file knows to those of rows that come after it was read. A file may be a copy, or
 * one that was put back: what its other life numbered from there on must not be numbered alike, or the control plane
 * would take the second for the first.
 *
 * @param random uniform in [0, 1)
 */
export function gapOfStart(random: () => number): number {
  return ID_GAP * (1 + Math.floor(random() * GAPS));
}

/** The rows that a vehicle's database still holds, at most, after they were sent. */
export const SENT_ROWS = 500;

/** A message to the gateway may have 256 KB (docs/operations/limits.md). */
const BATCH_BYTES = 100_000;
/** Of a row beside its texts, with its share of the two indexes. */
const ROW_BYTES = 60;
const HOUR = 3_600_000;

export interface DroppedMetrics {
  /** Evaluations (not rows) that are counted nowhere any more. */
  readonly evaluations: number;
  readonly measurements: number;
}

const bytesOf = ({ flagKey, variant, metricName, tags }: QueuedMetric) =>
  ROW_BYTES +
  flagKey.length +
  variant.length +
  metricName.length +
  (tags === null ? 0 : Buffer.byteLength(JSON.stringify(tags)));

const isCount = ({ metricName }: QueuedMetric) => metricName === EVALUATIONS_METRIC;

export class MetricQueue {
  #rows: QueuedMetric[] = [];
  #bytes = 0;
  /** How many of the oldest rows are the open batch; 0: there is none. */
  #inBatch = 0;
  #nextId = 1;
  #dropped = { evaluations: 0, measurements: 0 };
  #operations: QueueOperation[] | null = [];
  /** Ids to leave out before the next row gets one. */
  #skipDue = 0;
  /** The newest rows that were sent and not yet taken. */
  #sent: QueuedMetric[] = [];

  /** @param origin names this queue among all that the vehicle ever had; letters and digits */
  constructor(
    public origin: string,
    private readonly limits: QueueLimits = QUEUE_LIMITS,
  ) {}

  get rows(): readonly QueuedMetric[] {
    return this.#rows;
  }

  get batchLength(): number {
    return this.#inBatch;
  }

  get nextId(): number {
    return this.#nextId;
  }

  status(): { readonly queued: number; readonly dropped: DroppedMetrics } {
    return { queued: this.#rows.length, dropped: { ...this.#dropped } };
  }

  /** Whether there are operations to take. */
  get changed(): boolean {
    return this.#operations === null || this.#operations.length > 0;
  }

  /** What has happened since this was called last; null where that is too much: then the rows are to be copied. */
  takeOperations(): readonly QueueOperation[] | null {
    const taken = this.#operations;
    this.#operations = [];
    return taken;
  }

  /** The rows that were sent since this was called last, oldest first; at most the newest 500. */
  takeSent(): readonly QueuedMetric[] {
    const taken = this.#sent;
    this.#sent = [];
    return taken;
  }

  /**
   * Takes over what a disk held; what is here already comes after it.
   *
   * @param rows oldest first
   * @param later what was noted after those rows were copied
   * @param gap ids that are left out before the next row gets one (`gapOfStart`)
   */
  restore(
    origin: string,
    rows: readonly QueuedMetric[],
    batchLength: number,
    nextId: number,
    later: readonly QueueOperation[],
    gap: number,
  ): void {
    const since = this.#rows;
    this.origin = origin;
    this.#rows = [...rows];
    this.#inBatch = Math.min(batchLength, rows.length);
    this.#nextId = nextId;
    this.#bytes = this.#rows.reduce((sum, row) => sum + bytesOf(row), 0);
    const dropped = { ...this.#dropped };
    for (const operation of later) this.#apply(operation);
    // What was dropped before this start has been counted before it.
    this.#dropped = dropped;
    this.#operations = [];
    this.#skipDue = gap;
    for (const { id: _given, ...row } of since) this.add(row);
  }

  /** Adds a measurement; what has no room goes, evaluation counts before measurements, oldest first. */
  add(measurement: Omit<QueuedMetric, 'id'>): void {
    this.#push(measurement);
    this.#note(['add', measurement]);
  }

  /**
   * Adds evaluations, to a row of the same hour where one is still waiting: a vehicle that is long offline has few
   * rows.
   */
  addEvaluations(flagKey: string, variant: string, count: number, at: number): void {
    const index = this.#rows.findLastIndex(
      (row, position) =>
        position >= this.#inBatch &&
        isCount(row) &&
        row.flagKey === flagKey &&
        row.variant === variant &&
        Math.floor(row.at / HOUR) === Math.floor(at / HOUR),
    );
    const same = this.#rows[index];
    if (same === undefined)
      this.#push({ flagKey, variant, metricName: EVALUATIONS_METRIC, value: count, at, tags: null });
    else this.#rows[index] = { ...same, value: same.value + count, at: Math.max(same.at, at) };
    this.#note(['count', flagKey, variant, count, at]);
  }

  /**
   * The open batch, or one made of the oldest rows; null where nothing waits. Its id follows from its first row, so
   * that a vehicle thrown back to an older copy of its database makes the same batch again.
   */
  batch(): OpenBatch | null {
    if (this.#rows.length === 0) return null;
    if (this.#inBatch === 0) {
      let bytes = 0;
      do bytes += bytesOf(this.#rows[this.#inBatch++]!);
      while (
        this.#inBatch < Math.min(MAX_BATCH_ITEMS, this.#rows.length) &&
        bytes < BATCH_BYTES &&
        !this.#gapBefore(this.#inBatch)
      );
      this.#note(['batch', this.#inBatch]);
    }
    const rows = this.#rows.slice(0, this.#inBatch);
    return { id: `${this.origin}:${rows[0]!.id}`, rows };
  }

  /** Forgets the open batch: it is stored, or never will be (`lost`). */
  settle(lost = false): void {
    const gone = this.#rows.splice(0, this.#inBatch);
    this.#inBatch = 0;
    for (const row of gone) {
      this.#bytes -= bytesOf(row);
      if (lost) this.#countDropped(row);
    }
    if (!lost) this.#sent = [...this.#sent, ...gone].slice(-SENT_ROWS);
    this.#note(['settle', lost]);
  }

  /** Takes one row out of the open batch, which nobody has stored, and opens the batch again. */
  discard(position: number): void {
    const [row] = this.#rows.splice(position, 1);
    this.#inBatch = 0;
    if (row !== undefined) {
      this.#bytes -= bytesOf(row);
      this.#countDropped(row);
    }
    this.#note(['discard', position]);
  }

  #apply(operation: QueueOperation): void {
    switch (operation[0]) {
      case 'add':
        return this.add(operation[1]);
      case 'count':
        return this.addEvaluations(operation[1], operation[2], operation[3], operation[4]);
      case 'batch':
        // As long as it was, whatever the bounds of a batch are now.
        this.#inBatch = Math.min(operation[1], this.#rows.length);
        return;
      case 'settle':
        return this.settle(operation[1]);
      case 'discard':
        return this.discard(operation[1]);
      case 'skip':
        this.#nextId += operation[1];
        return;
    }
  }

  #gapBefore(index: number): boolean {
    return this.#rows[index]!.id - this.#rows[index - 1]!.id >= ID_GAP;
  }

  #push(measurement: Omit<QueuedMetric, 'id'>): void {
    if (this.#skipDue > 0) {
      // Noted before the row is: a copy that follows by the operations numbers it alike.
      this.#nextId += this.#skipDue;
      this.#note(['skip', this.#skipDue]);
      this.#skipDue = 0;
    }
    const row = { ...measurement, id: this.#nextId++ };
    this.#rows.push(row);
    this.#bytes += bytesOf(row);
    const { rows, bytes } = this.limits;
    while ((this.#rows.length > rows || this.#bytes > bytes) && this.#rows.length > this.#inBatch) {
      const oldestCount = this.#rows.findIndex((each, position) => position >= this.#inBatch && isCount(each));
      const [gone] = this.#rows.splice(oldestCount === -1 ? this.#inBatch : oldestCount, 1);
      this.#bytes -= bytesOf(gone!);
      this.#countDropped(gone!);
    }
  }

  #note(operation: QueueOperation): void {
    if (this.#operations !== null && this.#operations.push(operation) > MAX_OPERATIONS) this.#operations = null;
  }

  #countDropped(row: QueuedMetric): void {
    if (isCount(row)) this.#dropped.evaluations += row.value;
    else this.#dropped.measurements += 1;
  }
}
