/**
 * The queue of measurements that wait to be sent, oldest first. It is bounded, and is cut into batches that do not
 * change until they are acknowledged. The rows in memory are authoritative. Each change is also recorded as an
 * operation, so that the copy on disk (metric-rows.ts, agent/store/queue-journal.ts) need not be rewritten.
 */
import type { JsonObject } from '../../../core/model.ts';
import { EVALUATIONS_METRIC, MAX_BATCH_ITEMS } from '../../../core/wire/vehicle/metric.ts';

/** A row of the queue: a measurement, or a count of evaluations. */
export interface QueuedMetric {
  /** The row's id. Ids rise and are never reused. */
  readonly id: number;
  readonly flagKey: string;
  readonly variant: string;
  readonly metricName: string;
  readonly value: number;
  /** The time in milliseconds since 1970, by the vehicle's clock. */
  readonly at: number;
  readonly tags: JsonObject | null;
}

/** A batch that is being sent, with its id. */
export interface OpenBatch {
  readonly id: string;
  readonly rows: readonly QueuedMetric[];
}

/** The limits of a queue. */
export interface QueueLimits {
  readonly rows: number;
  /** The approximate bytes of the rows in the database. */
  readonly bytes: number;
}

/** The default limits. With them and 100 flags of 3 KB, the database stays under a megabyte. */
export const QUEUE_LIMITS: QueueLimits = { rows: 2_500, bytes: 300_000 };

/**
 * A change of a queue. Applied in order to the old queue, operations make the new one. The dropping of rows that have
 * no room is not an operation, because it follows from the others.
 */
export type QueueOperation =
  | readonly ['add', Omit<QueuedMetric, 'id'>]
  | readonly ['count', flagKey: string, variant: string, count: number, at: number]
  | readonly ['batch', length: number]
  | readonly ['settle', lost: boolean]
  | readonly ['skip', ids: number]
  | readonly ['seal']
  | readonly ['discard', position: number];

/** The most recorded operations. Beyond it, copying the rows is cheaper. */
const MAX_OPERATIONS = 1_000;

/**
 * The least distance between the ids of two starts. A batch does not span it, because a batch that is sent again must
 * not be longer than before.
 */
const ID_GAP = 1_000_000;
/** The number of possible gaps: so many that two copies of a file hardly get the same. */
const GAPS = 100_000;

/**
 * Gives the distance between the ids in a file and those of rows that are added after it was read. The file may be a
 * copy or a restored one. Its rows must not get the ids that rows got elsewhere, or the control plane would take the
 * second ones for repeats of the first.
 *
 * @param random a source of random numbers, uniform in [0, 1)
 */
export function gapOfStart(random: () => number): number {
  return ID_GAP * (1 + Math.floor(random() * GAPS));
}

/** The most sent rows that a vehicle's database still holds. */
export const SENT_ROWS = 500;

/** The bytes of a batch. A message to the gateway may have 256 KB (docs/operations/limits.md). */
const BATCH_BYTES = 100_000;
/** The bytes of a row beside its texts, with its share of the two indexes. */
const ROW_BYTES = 60;
const HOUR_MS = 3_600_000;

/** The evaluations and measurements that were dropped since the start. */
export interface DroppedMetrics {
  /** The number of evaluations (not rows) that are no longer counted anywhere. */
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

/** Holds measurements and evaluation counts until they are sent. */
export class MetricQueue {
  #rows: QueuedMetric[] = [];
  #bytes = 0;
  /** The number of oldest rows in the open batch; 0 where there is none. */
  #inBatch = 0;
  #nextId = 1;
  #dropped = { evaluations: 0, measurements: 0 };
  #operations: QueueOperation[] | null = [];
  /** The number of ids to skip before the next row gets one. */
  #skipDue = 0;
  /** The id up to which rows no longer change. */
  #sealedId = 0;
  /** The newest sent rows that `takeSent` has not given yet. */
  #sent: QueuedMetric[] = [];

  /** @param origin the id of this queue among all that the vehicle ever had; letters and digits */
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

  /** The id up to which rows no longer change; 0 for none. */
  get sealedId(): number {
    return this.#sealedId;
  }

  status(): { readonly queued: number; readonly dropped: DroppedMetrics } {
    return { queued: this.#rows.length, dropped: { ...this.#dropped } };
  }

  /** Whether `takeOperations` has changes to give. */
  get changed(): boolean {
    return this.#operations === null || this.#operations.length > 0;
  }

  /** Gives the operations since the last call; null where there are too many, so that the rows have to be copied. */
  takeOperations(): readonly QueueOperation[] | null {
    const taken = this.#operations;
    this.#operations = [];
    return taken;
  }

  /** Gives the rows that were sent since the last call, oldest first, up to the newest 500. */
  takeSent(): readonly QueuedMetric[] {
    const taken = this.#sent;
    this.#sent = [];
    return taken;
  }

  /**
   * Restores the queue from disk. Rows that are here already come after it.
   *
   * @param rows the stored rows, oldest first
   * @param later the operations since those rows were stored
   * @param gap the number of ids to skip before the next row gets one (`gapOfStart`)
   * @param sealedId the id up to which the stored rows no longer change (`seal`)
   */
  restore(
    origin: string,
    rows: readonly QueuedMetric[],
    batchLength: number,
    nextId: number,
    later: readonly QueueOperation[],
    gap: number,
    sealedId = 0,
  ): void {
    const since = this.#rows;
    this.origin = origin;
    this.#rows = [...rows];
    this.#inBatch = Math.min(batchLength, rows.length);
    this.#nextId = nextId;
    this.#sealedId = sealedId;
    this.#bytes = this.#rows.reduce((sum, row) => sum + bytesOf(row), 0);
    const dropped = { ...this.#dropped };
    for (const operation of later) this.#apply(operation);
    // The status counts drops since the start, and these were dropped before it.
    this.#dropped = dropped;
    this.#operations = [];
    this.#skipDue = gap;
    for (const { id: _given, ...row } of since) this.add(row);
  }

  /** Adds a measurement. Rows without room are dropped: evaluation counts before measurements, the oldest first. */
  add(measurement: Omit<QueuedMetric, 'id'>): void {
    this.#push(measurement);
    this.#note(['add', measurement]);
  }

  /**
   * Adds evaluations. They are added to a waiting row of the same hour where there is one, so that a vehicle that is
   * offline for long has few rows.
   */
  addEvaluations(flagKey: string, variant: string, count: number, at: number): void {
    const index = this.#rows.findLastIndex(
      (row, position) =>
        position >= this.#inBatch &&
        row.id > this.#sealedId &&
        isCount(row) &&
        row.flagKey === flagKey &&
        row.variant === variant &&
        Math.floor(row.at / HOUR_MS) === Math.floor(at / HOUR_MS),
    );
    const same = this.#rows[index];
    if (same === undefined)
      this.#push({ flagKey, variant, metricName: EVALUATIONS_METRIC, value: count, at, tags: null });
    else this.#rows[index] = { ...same, value: same.value + count, at: Math.max(same.at, at) };
    this.#note(['count', flagKey, variant, count, at]);
  }

  /**
   * Seals the present rows, because a copy of them leaves the vehicle (agent/backup/). Evaluations that follow begin
   * rows of their own. The copies would otherwise differ in time and count, and both would count.
   */
  seal(): void {
    if (this.#rows.length === 0 || this.#rows.at(-1)!.id <= this.#sealedId) return;
    this.#sealedId = this.#nextId - 1;
    this.#note(['seal']);
  }

  /**
   * Gives the open batch, or opens one of the oldest rows; null where nothing waits. The batch's id follows from its
   * first row, so that a vehicle with an older copy of its database makes the same batch again.
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

  /** Removes the open batch, because it is stored, or because it never will be (`lost`). */
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

  /** Removes one row from the open batch, which the control plane has refused, and opens the batch again. */
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
        // The batch keeps its length, even where the limits of a batch have changed since.
        this.#inBatch = Math.min(operation[1], this.#rows.length);
        return;
      case 'settle':
        return this.settle(operation[1]);
      case 'discard':
        return this.discard(operation[1]);
      case 'skip':
        this.#nextId += operation[1];
        return;
      case 'seal':
        return this.seal();
    }
  }

  #gapBefore(index: number): boolean {
    return this.#rows[index]!.id - this.#rows[index - 1]!.id >= ID_GAP;
  }

  #push(measurement: Omit<QueuedMetric, 'id'>): void {
    if (this.#skipDue > 0) {
      // The skip is recorded before the row, so that a copy gives the row the same id.
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
