/**
 * What waits to be sent, oldest first: bounded, and cut into batches that stay as they are until they are acknowledged.
 * The rows in memory are what counts; metric-rows.ts keeps the database's copy of them.
 */
import type { JsonObject } from '../../core/model.ts';
import { EVALUATIONS_METRIC, MAX_BATCH_ITEMS } from '../../core/protocol/metric.ts';

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

/** A message to the gateway may have 256 KB (docs/limits.md). */
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
  ROW_BYTES + flagKey.length + variant.length + metricName.length + (tags === null ? 0 : Buffer.byteLength(JSON.stringify(tags)));

const isCount = ({ metricName }: QueuedMetric) => metricName === EVALUATIONS_METRIC;

export class MetricQueue {
  #rows: QueuedMetric[] = [];
  #bytes = 0;
  /** How many of the oldest rows are the open batch; 0: there is none. */
  #inBatch = 0;
  #nextId = 1;
  #dropped = { evaluations: 0, measurements: 0 };
  /** Counts every change, so that who copies the rows knows whether it has them all. */
  version = 0;

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

  /** Takes over what a database held, oldest first; what is here already comes after it. */
  restore(origin: string, rows: readonly QueuedMetric[], batchLength: number, nextId: number): void {
    const since = this.#rows;
    this.origin = origin;
    this.#rows = [...rows];
    this.#inBatch = batchLength;
    this.#nextId = nextId;
    for (const row of since) this.#rows.push({ ...row, id: this.#nextId++ });
    this.#bytes = this.#rows.reduce((sum, row) => sum + bytesOf(row), 0);
    this.#changed();
  }

  /** Adds a measurement; what has no room goes, evaluation counts before measurements, oldest first. */
  add(measurement: Omit<QueuedMetric, 'id'>): void {
    const row = { ...measurement, id: this.#nextId++ };
    this.#rows.push(row);
    this.#bytes += bytesOf(row);
    this.#changed();
  }

  /** Adds evaluations, to a row of the same hour where one is still waiting: a vehicle that is long offline has few rows. */
  addEvaluations(flagKey: string, variant: string, count: number, at: number): void {
    const index = this.#rows.findLastIndex(
      (row, position) => position >= this.#inBatch && isCount(row) && row.flagKey === flagKey && row.variant === variant && Math.floor(row.at / HOUR) === Math.floor(at / HOUR),
    );
    const same = this.#rows[index];
    if (same === undefined) return this.add({ flagKey, variant, metricName: EVALUATIONS_METRIC, value: count, at, tags: null });
    this.#rows[index] = { ...same, value: same.value + count, at: Math.max(same.at, at) };
    this.#changed();
  }

  /**
   * The open batch, or one made of the oldest rows; null where nothing waits. Its id follows from its first row, so
   * that a vehicle thrown back to an older copy of its database makes the same batch again.
   */
  batch(): OpenBatch | null {
    if (this.#rows.length === 0) return null;
    if (this.#inBatch === 0) {
      let bytes = 0;
      while (this.#inBatch < Math.min(MAX_BATCH_ITEMS, this.#rows.length) && bytes < BATCH_BYTES) bytes += bytesOf(this.#rows[this.#inBatch++]!);
      this.#changed();
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
    this.#changed();
  }

  /** Takes one row out of the open batch, which nobody has stored, and opens the batch again. */
  discard(position: number): void {
    const [row] = this.#rows.splice(position, 1);
    this.#inBatch = 0;
    if (row !== undefined) {
      this.#bytes -= bytesOf(row);
      this.#countDropped(row);
    }
    this.#changed();
  }

  #changed(): void {
    this.version += 1;
    const { rows, bytes } = this.limits;
    while ((this.#rows.length > rows || this.#bytes > bytes) && this.#rows.length > this.#inBatch) {
      const oldestCount = this.#rows.findIndex((row, position) => position >= this.#inBatch && isCount(row));
      const [gone] = this.#rows.splice(oldestCount === -1 ? this.#inBatch : oldestCount, 1);
      this.#bytes -= bytesOf(gone!);
      this.#countDropped(gone!);
    }
  }

  #countDropped(row: QueuedMetric): void {
    if (isCount(row)) this.#dropped.evaluations += row.value;
    else this.#dropped.measurements += 1;
  }
}
