import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { bucketing } from '../../../core/evaluation/bucket.ts';
import type { RegisteredFacts } from '../../../core/wire/vehicle/vehicle-facts.ts';
import { createTestMetricsStore, type TestMetricsStore } from '../../shared/testing/test-metrics-store.ts';
import { clickHouseTime, METRIC_COLUMNS } from '../metrics/metric-batch.ts';
import { MetricTables } from '../metrics/metric-store.ts';
import { epochName, ExposureRecorder, type ExposureEpoch } from './exposure-recorder.ts';

const MINUTE = 60_000;
const NOW = Date.parse('2026-11-25T10:00:00Z');
const SINCE = new Date(NOW - 60 * MINUTE);

let own: TestMetricsStore;
let tables: MetricTables;
let flags = 0;

beforeAll(async () => {
  own = await createTestMetricsStore();
  tables = new MetricTables(own.store.client);
  await tables.make();
});
afterAll(() => own.drop());

const newEpoch = (from = 0): ExposureEpoch => ({ flagKey: `flag_${++flags}`, salt: 'salt', from, since: SINCE });

interface Row {
  readonly vin: string;
  readonly at: number;
  readonly received?: number;
  readonly variant?: string;
  readonly metric?: string;
  readonly batch?: string;
}

/** Stores rows; times are in minutes after the beginning of the epoch. */
async function stored({ flagKey }: ExposureEpoch, rows: readonly Row[]): Promise<void> {
  const time = (minutes: number) => clickHouseTime(new Date(SINCE.getTime() + minutes * MINUTE));
  const values = rows.map(
    ({ vin, at, received = at, variant = 'control', metric = '$evaluations', batch = `b${at}` }) => [
      ...[flagKey, metric, time(at), vin, batch, 0, variant, 1, '', time(received)],
    ],
  );
  const format = 'JSONCompactEachRow';
  await own.store.client.insert({ table: 'metric_rows', columns: [...METRIC_COLUMNS], values, format });
}

interface Exposure {
  readonly vin: string;
  readonly variant: string;
  readonly id: string;
  readonly bucket: number;
  /** Minutes after the beginning of the epoch. */
  readonly at: number;
  readonly received: number;
  readonly facts: readonly string[];
}

async function exposures(epoch: ExposureEpoch): Promise<Exposure[]> {
  const query = `SELECT vin, variant, id, bucket, (toUnixTimestamp64Milli(at) - {since:Int64}) / ${MINUTE} AS at,
      (toUnixTimestamp64Milli(received_at) - {since:Int64}) / ${MINUTE} AS received, [model, region, sw_version] AS facts
    FROM exposures FINAL WHERE epoch = {epoch:String} ORDER BY vin, variant`;
  const query_params = { epoch: epochName(epoch), since: SINCE.getTime() };
  return (await own.store.client.query({ query, query_params, format: 'JSONEachRow' })).json<Exposure>();
}

const recorder = (facts: Record<string, RegisteredFacts> = {}) =>
  new ExposureRecorder(own.store.client, tables, async (vins) => {
    return new Map(vins.flatMap((vin) => (facts[vin] === undefined ? [] : [[vin, facts[vin]]])));
  });
const at = (minutes: number) => new Date(SINCE.getTime() + minutes * MINUTE);

test("a vehicle's first row of the flag is recorded, with its bucket and what it was then", async () => {
  const epoch = newEpoch();
  await stored(epoch, [
    { vin: 'A', at: 12 },
    { vin: 'A', at: 10 },
    { vin: 'B', at: 14, metric: 'charge_minutes', variant: 'treatment' },
    // From before the epoch, of a variant that is no arm, and not arrived yet.
    { vin: 'C', at: -1 },
    { vin: 'D', at: 10, variant: 'listed' },
    { vin: 'E', at: 10, received: 40 },
  ]);
  await stored(newEpoch(), [{ vin: 'F', at: 10 }]);
  const facts = { A: { model: 'EV9', region: 'EU', swVersion: '2.5.0' } };
  expect(await recorder(facts).record(epoch, at(20))).toBe(2);
  const bucket = bucketing('salt');
  expect(await exposures(epoch)).toMatchObject([
    { vin: 'A', variant: 'control', bucket: bucket('A'), at: 10, received: 10, facts: ['EV9', 'EU', '2.5.0'] },
    { vin: 'B', variant: 'treatment', bucket: bucket('B'), at: 14, facts: ['', '', ''] },
  ]);
});

test('what was recorded first stays: batches that come again, late ones, and facts that change', async () => {
  const epoch = newEpoch();
  const facts = { A: { model: 'EV9', region: 'EU', swVersion: '2.5.0' } };
  const [own_, other] = [recorder(facts), recorder({ A: { ...facts.A, swVersion: '3.0.0' } })];
  await stored(epoch, [{ vin: 'A', at: 10, batch: 'first' }]);
  await own_.record(epoch, at(20));
  const before = await exposures(epoch);
  await stored(epoch, [
    { vin: 'A', at: 10, received: 21, batch: 'first' },
    { vin: 'A', at: 3, received: 22, batch: 'late' },
    { vin: 'A', at: 25 },
  ]);
  for (const instance of [own_, other, recorder()]) expect(await instance.record(epoch, at(30))).toBe(0);
  await own.store.client.command({ query: 'OPTIMIZE TABLE exposures FINAL' });
  expect(await exposures(epoch)).toEqual(before);
  // Only its first row under another variant is news.
  await stored(epoch, [
    { vin: 'A', at: 31, variant: 'treatment' },
    { vin: 'A', at: 32, variant: 'treatment' },
  ]);
  expect(await own_.record(epoch, at(40))).toBe(1);
  expect(await exposures(epoch)).toMatchObject([before[0], { variant: 'treatment', at: 31 }]);
});

test('instances that record at the same time agree, and so do looks before and after the copies are merged', async () => {
  const epoch = newEpoch();
  const vins = Array.from({ length: 300 }, (_, index) => `V${index}`);
  await stored(
    epoch,
    vins.map((vin) => ({ vin, at: 10 })),
  );
  await Promise.all([0, 1, 2].map(() => recorder().record(epoch, at(20))));
  const seen = await exposures(epoch);
  expect(seen).toHaveLength(300);
  await own.store.client.command({ query: 'OPTIMIZE TABLE exposures FINAL' });
  expect((await exposures(epoch)).map(({ vin, at: when }) => [vin, when])).toEqual(
    seen.map(({ vin, at: when }) => [vin, when]),
  );
  expect(new Set(seen.map(({ id }) => id)).size).toBe(300);
});

test('rows that become visible some minutes after they were received are not missed', async () => {
  const epoch = newEpoch();
  const one = recorder();
  await stored(epoch, [{ vin: 'A', at: 10 }]);
  await one.record(epoch, at(20));
  await stored(epoch, [{ vin: 'B', at: 15 }]);
  expect(await one.record(epoch, at(21))).toBe(1);
});

test('only the buckets from the first one on take part', async () => {
  const epoch = newEpoch(50_000);
  const vins = Array.from({ length: 40 }, (_, index) => `V${index}`);
  await stored(
    epoch,
    vins.map((vin) => ({ vin, at: 1 })),
  );
  await recorder().record(epoch, at(2));
  const expected = vins.filter((vin) => bucketing('salt')(vin) >= 50_000).sort();
  expect((await exposures(epoch)).map(({ vin }) => vin)).toEqual(expected);
});

test('reads at once share one recording, and a later look waits for it: each row is inserted once', async () => {
  const epoch = newEpoch();
  await stored(epoch, [
    { vin: 'A', at: 1 },
    { vin: 'B', at: 2 },
    { vin: 'C', at: 9 },
  ]);
  const recorder = new ExposureRecorder(own.store.client, tables);
  const at = (minutes: number) => new Date(SINCE.getTime() + minutes * MINUTE);
  const recorded = await Promise.all([5, 5, 3, 10].map((minutes) => recorder.record(epoch, at(minutes))));
  expect(recorded).toEqual([2, 2, 2, 1]);
  const query = 'SELECT vin FROM exposures WHERE epoch = {epoch:String} ORDER BY vin';
  const answer = await own.store.client.query({
    query,
    query_params: { epoch: epochName(epoch) },
    format: 'JSONEachRow',
  });
  expect(await answer.json()).toEqual([{ vin: 'A' }, { vin: 'B' }, { vin: 'C' }]);
});
