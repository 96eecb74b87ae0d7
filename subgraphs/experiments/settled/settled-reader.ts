/**
 * Asks the metrics store about the vehicles of an epoch: the parameters of the queries, and the record of exposures.
 */
import type { ClickHouseClient } from '@clickhouse/client';
import { readRows, type Shape, type Shaped } from '../../../core/json/shape.ts';
import { epochName, type ExposureRecorder } from '../exposures/exposure-recorder.ts';
import type { MetricTables } from '../metrics/metric-store.ts';
import { storeAnswer } from '../metrics/store-answer.ts';
import type { Counting, Epoch } from './settled-vehicles.ts';

const LARGEST = Number.MAX_VALUE;

/** A number as the client takes it: whole ones beyond 2^53 it takes as bigint only. */
export const float = (value: number) =>
  Number.isInteger(value) && !Number.isSafeInteger(value) ? BigInt(value) : value;

/** Gives the parameters of the range in which numbers are no fault. */
export function limitParameters(minimum: number | null, maximum: number | null): Record<string, unknown> {
  return { minimum: float(minimum ?? -LARGEST), maximum: float(maximum ?? LARGEST) };
}

/** Gives the parameters of what counts. */
export function countingParameters(counting: Counting): Record<string, unknown> {
  const { binary, minimum, maximum, low, high, spent } = counting;
  return { ...limitParameters(minimum, maximum), binary, low: float(low), high: float(high), spent };
}

/** Reads from the metrics store. */
export class SettledReader {
  /** @param exposures the one recorder of the process: two would insert the same rows */
  constructor(
    private readonly client: ClickHouseClient,
    private readonly tables: Pick<MetricTables, 'make'>,
    private readonly exposures: ExposureRecorder,
  ) {}

  /** Records the exposures up to the time of the look; a query counts only what is recorded. */
  async record(epoch: Epoch): Promise<void> {
    await this.exposures.record(epoch, epoch.now);
  }

  /**
   * Gives the rows of a query about an epoch.
   *
   * @param columns a guard for each column that is read
   * @throws SERVICE_UNAVAILABLE when the metrics store does not answer
   */
  rows<const S extends Shape>(
    columns: S,
    query: string,
    epoch: Epoch,
    more: Record<string, unknown>,
  ): Promise<Shaped<S>[]> {
    const { flagKey, metric, salt, from, to, since, now, measuredBy, window, silenceMs, ownVariantOnly, ring } = epoch;
    const times = {
      since: since.getTime(),
      now: now.getTime(),
      measuredBy: measuredBy?.getTime() ?? 0,
      window: window ?? 0,
      silenceMs,
    };
    const names = { flagKey, metric, salt, epoch: epochName(epoch) };
    const { vins: chosenVins = [], models: chosenModels = [], regions: chosenRegions = [] } = ring ?? {};
    const chosen = { chosenVins, chosenModels, chosenRegions };
    const query_params = { ...names, from, to, ownVariantOnly, ...times, ...chosen, ...more };
    return storeAnswer(async () => {
      await this.tables.make();
      const answer = await this.client.query({ query, query_params, format: 'JSONEachRow' });
      return readRows(columns, await answer.json(), 'A row of ClickHouse');
    });
  }
}
