/**
 * Exposure as a record of its own: when each vehicle first evaluated a flag since an epoch began, in which bucket, and
 * which facts were registered of it then. So vehicles that never report a metric can be counted, too.
 *
 * A look records what is new before it reads. What was recorded first stays, so batches that are sent again or arrive
 * late change nothing, and a look never depends on what arrives after it.
 */
import type { ClickHouseClient } from '@clickhouse/client';
import { boundedCache } from '../../../core/bounded-cache.ts';
import { BUCKETS } from '../../../core/evaluation/bucket.ts';
import type { RegisteredFacts } from '../../../core/wire/vehicle/vehicle-facts.ts';
import { clickHouseTime } from '../metrics/metric-batch.ts';
import type { MetricTables } from '../metrics/metric-store.ts';
import { storeAnswer } from '../metrics/store-answer.ts';

/** The vehicles that are exposed, and the time from which on their rows count. */
export interface ExposureEpoch {
  readonly flagKey: string;
  readonly salt: string;
  /** The first bucket that takes part. */
  readonly from: number;
  /** The time, by the vehicles' clocks, from which on rows count. */
  readonly since: Date;
  /** Present for a release, whose vehicles are exposed under any variant: their rows have none. */
  readonly ring?: object | undefined;
}

/** Looks up what is registered of vehicles, by VIN. Unknown ones are left out. */
export type FactsOf = (vins: readonly string[]) => Promise<ReadonlyMap<string, RegisteredFacts>>;

/** A lookup that finds nothing. */
const NO_FACTS: FactsOf = async () => new Map();

/**
 * Gives the bucket of a row's vehicle under a salt, as an expression of ClickHouse: the same formula as in
 * core/evaluation/bucket.ts.
 *
 * @param salt an expression of ClickHouse
 */
export const bucketOf = (salt: string) =>
  `intDiv(toUInt64(murmurHash3_32(concat(${salt}, ':', vin))) * ${BUCKETS}, 4294967296)`;
/** The bucket under the query's parameter `salt`. */
export const BUCKET = bucketOf('{salt:String}');

/**
 * The most milliseconds between the receipt of a row and its being visible: an insert takes a moment, and one that the
 * collector gave up may still be carried out.
 */
const OVERLAP_MS = 10 * 60_000;
/** The most rows that are recorded at a time. A large fleet takes several batches at its first look. */
const BATCH_ROWS = 200_000;
/** The most vehicles of one lookup. */
const LOOKUP_VEHICLES = 5_000;
/** The most epochs for which `#seenTo` is remembered. */
const REMEMBERED_EPOCHS = 1_000;

const newRows = ({ ring }: ExposureEpoch) => `SELECT vin, variant, bucket, first.1 AS received, first.2 AS at
  FROM (
    SELECT vin, ${ring === undefined ? 'variant' : "''"} AS variant, ${BUCKET} AS bucket,
      min((toUnixTimestamp64Milli(metric_rows.received_at), toUnixTimestamp64Milli(metric_rows.at))) AS first
    FROM metric_rows
    WHERE flag_key = {flagKey:String} ${ring === undefined ? "AND metric_rows.variant IN ('treatment', 'control')" : ''}
      AND metric_rows.at >= fromUnixTimestamp64Milli({since:Int64}, 'UTC')
      AND received_at BETWEEN fromUnixTimestamp64Milli({seenTo:Int64}, 'UTC') AND fromUnixTimestamp64Milli({now:Int64}, 'UTC')
    GROUP BY vin, variant
  )
  WHERE bucket >= {from:UInt32} AND (vin, variant) NOT IN (SELECT vin, variant FROM exposures WHERE epoch = {epoch:String})
  LIMIT ${BATCH_ROWS}`;

const COLUMNS: [string, ...string[]] = [
  'epoch',
  'vin',
  'variant',
  'bucket',
  'at',
  'received_at',
  'model',
  'region',
  'sw_version',
  'recorded_at',
];

interface NewRow {
  readonly vin: string;
  readonly variant: string;
  readonly bucket: number;
  readonly received: number | string;
  readonly at: number | string;
}

/** Gives the name of an epoch in the table `exposures`. */
export function epochName({ flagKey, salt, from, since }: ExposureEpoch): string {
  return `${flagKey}/${from}/${since.getTime()}/${salt}`;
}

/** Records exposures in the metrics store. */
export class ExposureRecorder {
  /** The time up to which arrived rows are recorded, in milliseconds since 1970, by epoch. */
  readonly #seenTo = boundedCache<string, number>(REMEMBERED_EPOCHS);
  /** The recordings under way, by epoch, and the times of their looks: two reads of one look share one. */
  readonly #recording = new Map<string, Promise<number>>();
  readonly #recordingTo = new Map<string, Date>();

  constructor(
    private readonly client: ClickHouseClient,
    private readonly tables: Pick<MetricTables, 'make'>,
    private readonly factsOf: FactsOf = NO_FACTS,
  ) {}

  /**
   * Records the rows of an epoch that have arrived by `now` and are not recorded yet. Recordings of one epoch run one
   * after another, so that nothing is inserted twice. Rejects with the lookup's errors.
   *
   * @returns the number of new rows
   * @throws SERVICE_UNAVAILABLE when the metrics store does not answer
   */
  async record(epoch: ExposureEpoch, now: Date): Promise<number> {
    const name = epochName(epoch);
    for (let other = this.#recording.get(name); other !== undefined; other = this.#recording.get(name)) {
      if ((this.#recordingTo.get(name) ?? 0) >= now) return other;
      // The callers of that recording get its failure.
      await other.catch(() => 0);
    }
    const recorded = this.#record(name, epoch, now).finally(() => {
      this.#recording.delete(name);
      this.#recordingTo.delete(name);
    });
    this.#recording.set(name, recorded);
    this.#recordingTo.set(name, now);
    return recorded;
  }

  async #record(name: string, epoch: ExposureEpoch, now: Date): Promise<number> {
    const since = epoch.since.getTime();
    const query_params = {
      epoch: name,
      flagKey: epoch.flagKey,
      salt: epoch.salt,
      from: epoch.from,
      since,
      seenTo: Math.max(since, this.#seenTo.get(name) ?? since),
      now: now.getTime(),
    };
    let recorded = 0;
    for (let batch = BATCH_ROWS; batch === BATCH_ROWS; recorded += batch) {
      const rows = await storeAnswer(async () => {
        await this.tables.make();
        return (await this.client.query({ query: newRows(epoch), query_params, format: 'JSONEachRow' })).json<NewRow>();
      });
      await this.#insert(name, rows);
      batch = rows.length;
    }
    this.#seenTo.set(name, now.getTime() - OVERLAP_MS);
    return recorded;
  }

  async #insert(epoch: string, rows: readonly NewRow[]): Promise<void> {
    if (rows.length === 0) return;
    const facts = new Map<string, RegisteredFacts>();
    for (let at = 0; at < rows.length; at += LOOKUP_VEHICLES) {
      const vins = new Set(rows.slice(at, at + LOOKUP_VEHICLES).map(({ vin }) => vin));
      for (const [vin, found] of await this.factsOf([...vins])) facts.set(vin, found);
    }
    const recordedAt = clickHouseTime(new Date());
    const time = (milliseconds: number | string) => clickHouseTime(new Date(Number(milliseconds)));
    const values = rows.map(({ vin, variant, bucket, received, at }) => {
      const { model = '', region = '', swVersion = '' } = facts.get(vin) ?? {};
      return [epoch, vin, variant, bucket, time(at), time(received), model, region, swVersion, recordedAt];
    });
    const clickhouse_settings = { async_insert: 0 } as const;
    const insert = { table: 'exposures', columns: COLUMNS, values, format: 'JSONCompactEachRow' } as const;
    await storeAnswer(() => this.client.insert({ ...insert, clickhouse_settings }));
  }
}
