import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { Caller } from '../../../core/access/caller.ts';
import { EVALUATIONS_METRIC } from '../../../core/wire/vehicle/metric.ts';
import { openMetricsStore, type MetricsStore } from '../../shared/stores/metrics-store.ts';
import { ANONYMOUS, asking, refusal, silent, user, type DataOrErrors, type Ask } from '../../shared/testing/asking.ts';
import type { TestDatabase } from '../../shared/testing/test-database.ts';
import { FlagStatisticsJob } from '../flag-statistics/flag-statistics-job.ts';
import { readMetricBatch } from './metric-batch.ts';
import { MetricTables } from './metric-store.ts';
import { startExperiments, type StartedExperiments } from '../subgraph.ts';
import { metricTestSteps, MetricInstances } from '../testing/metric-steps.ts';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;

let running: MetricInstances;
let database: TestDatabase;
let store: MetricsStore;
let tables: MetricTables;
let instances: readonly [StartedExperiments, StartedExperiments];
let asks: readonly [Ask, Ask];

beforeAll(async () => {
  running = await MetricInstances.start();
  ({ database, store, instances } = running);
  asks = [asking(instances[0].subgraph), asking(instances[1].subgraph)];
  tables = new MetricTables(store.client);
});

afterAll(() => running.drop());

const { REPORT, POINTS, newKey, newVehicle, ago, item, report, receipt, askPoints, pointsOf, totals, everywhere } =
  metricTestSteps(() => asks);

test('the metrics of a flag are named that vehicles have measured in the last 30 days', async () => {
  const [key, other, vehicle] = [newKey(), newKey(), newVehicle()];
  await report(vehicle, [
    item(key, 1, ago(2), { metricName: 'range_km' }),
    item(key, 1, ago(3)),
    item(key, 9, ago(2), { metricName: EVALUATIONS_METRIC }),
    item(other, 1, ago(2), { metricName: 'faults' }),
  ]);
  // Measured in time, and stored long ago.
  const old = readMetricBatch(
    vehicle.vin,
    { batchId: 'old', items: [{ ...item(key, 1, 0, { metricName: 'gone' }), timestamp: new Date(ago(31 * 24)) }] },
    ago(31 * 24),
  );
  await tables.insert(old.rows, new AbortController().signal);
  const names = ({ data }: DataOrErrors<{ _entities: { metricNames: string[] }[] }>) =>
    data._entities.map(({ metricNames }) => metricNames);
  const flags = [key, other, newKey()].map((one) => ({ __typename: 'Flag', id: randomUUID(), key: one }));
  const query = 'query ($flags: [_Any!]!) { _entities(representations: $flags) { ... on Flag { metricNames } } }';
  expect(names(await asks[1](user('READ'), query, { flags }))).toEqual([
    ['charge_minutes', 'range_km'],
    ['faults'],
    [],
  ]);
  expect(refusal(await asks[1](ANONYMOUS, query, { flags }))).toMatchObject({ code: 'UNAUTHENTICATED' });
});

describe('a batch is counted once', () => {
  test('sent again on the same connection', async () => {
    const [key, vehicle, id] = [newKey(), newVehicle(), randomUUID()];
    const items = [item(key, 1), item(key, 2), item(key, 2)];
    expect(await report(vehicle, items, id)).toEqual(receipt(3));
    expect(await report(vehicle, items, id)).toEqual(receipt(0, 3));
    expect(await totals(key)).toEqual(everywhere(3, 5));
  });

  test('sent on two connections of the vehicle at once, to one instance or to two', async () => {
    const [key, vehicle, id] = [newKey(), newVehicle(), randomUUID()];
    const items = [item(key, 1), item(key, 4)];
    const answers = await Promise.all(
      [asks[0], asks[1], asks[0], asks[1]].map((ask) => report(vehicle, items, id, ask)),
    );
    expect(answers.filter(({ errors }) => errors.length > 0)).toEqual([]);
    expect(await totals(key)).toEqual(everywhere(2, 5));
  });

  test('sent again after a crash between store and answer, though other vehicles’ batches then share its insert', async () => {
    const [key, vehicle, id] = [newKey(), newVehicle(), randomUUID()];
    const items = [item(key, 7), item(key, 8, ago(3))];
    const batch = readMetricBatch(
      vehicle.vin,
      { batchId: id, items: items.map((each) => ({ ...each, timestamp: new Date(each.timestamp) })) },
      Date.now(),
    );
    await tables.insert(batch.rows, new AbortController().signal);
    const others = Array.from({ length: 20 }, () => report(newVehicle(), [item(key, 1)], randomUUID(), asks[1]));
    expect(await report(vehicle, items, id, asks[1])).toEqual(receipt(2));
    await Promise.all(others);
    expect(await totals(key)).toEqual(everywhere(22, 35));
  });

  test('contained twice in one insert', async () => {
    const [key, vehicle] = [newKey(), newVehicle()];
    const { rows } = readMetricBatch(
      vehicle.vin,
      { batchId: 'twice', items: [{ ...item(key, 3), timestamp: new Date(ago(2)) }] },
      Date.now(),
    );
    await tables.insert([...rows, ...rows], new AbortController().signal);
    expect(await totals(key)).toEqual(everywhere(1, 3));
  });

  test('even after ClickHouse has merged its parts', async () => {
    const [key, vehicle, id] = [newKey(), newVehicle(), randomUUID()];
    for (const ask of asks) await report(vehicle, [item(key, 2), item(key, 3)], id, ask);
    for (const table of ['metric_rows', 'metric_hours'])
      await store.client.command({ query: `OPTIMIZE TABLE ${table} FINAL` });
    await report(newVehicle(), [item(key, 4)], id);
    expect(await totals(key)).toEqual(everywhere(3, 9));
  });

  test('and is a separate one for another vehicle with the same batch id', async () => {
    const key = newKey();
    for (const value of [1, 2]) expect(await report(newVehicle(), [item(key, value)], 'the-same')).toEqual(receipt(1));
    expect(await totals(key)).toEqual(everywhere(2, 3));
  });
});

test('batches of many vehicles share few inserts, and each vehicle is answered', async () => {
  let inserts = 0;
  const client = new Proxy(store.client, {
    get: (target, name) => {
      const method = Reflect.get(target, name) as (...args: unknown[]) => unknown;
      if (name === 'exec') inserts += 1;
      return method.bind(target);
    },
  });
  const instance = await startExperiments({
    prisma: database.database.prisma,
    metrics: { ...store, client },
    logger: silent,
    keepsStatistics: false,
  });
  const [key, ask] = [newKey(), asking(instance.subgraph)];
  const answers = await Promise.all(
    Array.from({ length: 200 }, () => report(newVehicle(), [item(key, 1), item(key, 2)], randomUUID(), ask)),
  );
  expect(answers).toEqual(Array(200).fill(receipt(2)));
  await instance.close();
  expect(inserts).toBeLessThan(20);
  expect(await totals(key)).toEqual(everywhere(400, 600));
});

describe('times', () => {
  test('of a vehicle that was offline for long count in the hour of the measurement', async () => {
    const key = newKey();
    const at = ago(24 * 29);
    expect(await report(newVehicle(), [item(key, 5, at), item(key, 1)])).toEqual(receipt(2));
    const points = await pointsOf(key, { from: new Date(at).toISOString(), to: new Date(at + 1).toISOString() });
    expect(points).toEqual([
      { at: new Date(at - 30 * MINUTE).toISOString(), variant: 'treatment', count: 1, sum: 5, mean: 5, vehicles: 1 },
    ]);
  });

  test('of more than 30 days ago, or in the future, are dropped and counted, and do not stop the others', async () => {
    const [key, vehicle] = [newKey(), newVehicle()];
    const items = [
      item(key, 1, ago(24 * 30 + 2)),
      item(key, 2),
      item(key, 4, Date.now() + 6 * MINUTE),
      item(key, 8, Date.now() + 4 * MINUTE),
    ];
    expect(await report(vehicle, items)).toEqual(receipt(2, 0, 2));
    expect(await report(vehicle, [items[0]!])).toEqual(receipt(0, 0, 1));
    expect((await pointsOf(key, { interval: 'DAY' })).reduce((sum, point) => sum + point.sum, 0)).toBe(10);
  });
});

describe('a refusal', () => {
  test.each<[string, (items: object[]) => object, string, string]>([
    [
      'a value that is no number',
      (items) => ({ batchId: 'b', items: [...items, item('f', 1), item('f', 1, ago(2), { variant: 'no variant' })] }),
      'BAD_USER_INPUT',
      'input.items.2.variant',
    ],
    [
      'a key that can be none',
      (items) => ({ batchId: 'b', items: [...items, item('no key', 1)] }),
      'BAD_USER_INPUT',
      'input.items.1.flagKey',
    ],
    [
      'a reserved name',
      (items) => ({ batchId: 'b', items: [...items, item('f', 1, ago(2), { metricName: '$mine' })] }),
      'BAD_USER_INPUT',
      'input.items.1.metricName',
    ],
    [
      'a nested tag',
      (items) => ({ batchId: 'b', items: [...items, item('f', 1, ago(2), { tags: { a: { b: 1 } } })] }),
      'BAD_USER_INPUT',
      'input.items.1.tags.a',
    ],
    ['a batch id with blanks', (items) => ({ batchId: 'b b', items }), 'BAD_USER_INPUT', 'input.batchId'],
    ['an empty batch', () => ({ batchId: 'b', items: [] }), 'BAD_USER_INPUT', 'input.items'],
    [
      'a batch of 501',
      () => ({ batchId: 'b', items: Array.from({ length: 501 }, () => item('f', 1)) }),
      'LIMIT_EXCEEDED',
      'input.items',
    ],
  ])('of %s names its path and refuses the whole batch', async (_, input, code, field) => {
    const key = newKey();
    expect(refusal(await asks[0](newVehicle(), REPORT, { input: input([item(key, 1)]) }))).toEqual({ code, field });
    expect(await pointsOf(key)).toEqual([]);
  });

  test('is the answer to every caller that is not a vehicle', async () => {
    expect(refusal(await report(ANONYMOUS, [item('f', 1)]))).toEqual({ code: 'UNAUTHENTICATED' });
    const shared: Caller = { kind: 'vehicle', vin: null, environment: 'production' };
    for (const caller of [
      user('WRITE'),
      user('ADMIN'),
      { kind: 'apiKey', apiKeyId: null, role: 'ADMIN', rateLimitPerMin: null } as const,
      shared,
    ]) {
      expect(refusal(await report(caller, [item('f', 1)]))).toEqual({ code: 'FORBIDDEN' });
    }
    const answer = await asks[0](newVehicle(), POINTS, {
      flag: { __typename: 'Flag', id: randomUUID(), key: 'f' },
      metric: 'm',
      from: new Date(0),
      to: new Date(HOUR),
    });
    expect(refusal(answer)).toEqual({ code: 'FORBIDDEN' });
  });
});

describe('a time series', () => {
  test('has a point for each interval and variant, widened to whole intervals', async () => {
    const [key, one, two] = [newKey(), newVehicle(), newVehicle()];
    await report(one, [
      item(key, 1),
      item(key, 3),
      item(key, 10, ago(3)),
      item(key, 6, ago(2), { variant: 'control', tags: { road: 'city' } }),
    ]);
    await report(two, [item(key, 5), item(key, 5, ago(2), { metricName: 'other' })]);
    const at = (hours: number) => new Date(ago(hours) - 30 * MINUTE).toISOString();
    expect(
      await pointsOf(key, {
        from: new Date(ago(3) + 20 * MINUTE).toISOString(),
        to: new Date(ago(2) - 20 * MINUTE).toISOString(),
      }),
    ).toEqual([
      { at: at(3), variant: 'treatment', count: 1, sum: 10, mean: 10, vehicles: 1 },
      { at: at(2), variant: 'control', count: 1, sum: 6, mean: 6, vehicles: 1 },
      { at: at(2), variant: 'treatment', count: 3, sum: 9, mean: 3, vehicles: 2 },
    ]);
    expect(
      await pointsOf(key, {
        interval: 'MINUTE',
        from: new Date(ago(2)).toISOString(),
        to: new Date(ago(2) + 1).toISOString(),
      }),
    ).toMatchObject([
      { at: new Date(ago(2)).toISOString(), sum: 6 },
      { sum: 9, vehicles: 2 },
    ]);
    expect(await pointsOf(newKey(), { interval: null })).toEqual([]);
  });

  test('of more than 1,000 intervals, without valid times, or without a name is refused at its argument', async () => {
    const [from, to] = ['2026-01-01T00:00:00Z', '2026-01-02T00:00:00Z'];
    expect(refusal(await askPoints('f', { interval: 'MINUTE', from, to }))).toEqual({
      code: 'LIMIT_EXCEEDED',
      field: 'interval',
    });
    expect((await askPoints('f', { interval: 'HOUR', from, to })).errors).toEqual([]);
    expect(refusal(await askPoints('f', { from, to: from }))).toEqual({ code: 'BAD_USER_INPUT', field: 'to' });
    expect(refusal(await askPoints('f', { from: '1969-12-31T23:00:00Z', to: from }))).toEqual({
      code: 'BAD_USER_INPUT',
      field: 'from',
    });
    expect(refusal(await askPoints('f', { from, to: '2150-01-01T00:00:00Z' }))).toEqual({
      code: 'BAD_USER_INPUT',
      field: 'to',
    });
    expect(refusal(await askPoints('f', { metric: '$other' }))).toEqual({ code: 'BAD_USER_INPUT', field: 'metric' });
  });
});

describe('while the store is down', () => {
  const LIST = 'query { experiments(first: 1) { totalCount } }';

  test('measurements are refused as SERVICE_UNAVAILABLE with a time to wait, all else works, and they are accepted once it is back', async () => {
    let away = true;
    const client = new Proxy(store.client, {
      get: (target, name) => {
        const method = Reflect.get(target, name) as (...args: unknown[]) => unknown;
        return (...args: unknown[]) =>
          away ? Promise.reject(new Error('connect ECONNREFUSED')) : method.apply(target, args);
      },
    });
    const instance = await startExperiments({
      prisma: database.database.prisma,
      metrics: { ...store, client },
      logger: silent,
      keepsStatistics: false,
    });
    const ask = asking(instance.subgraph);
    const [key, vehicle, id] = [newKey(), newVehicle(), randomUUID()];
    const refused = await report(vehicle, [item(key, 1)], id, ask);
    expect(refused.errors[0]?.extensions).toEqual({ code: 'SERVICE_UNAVAILABLE', retryAfter: 2 });
    expect(
      refusal(
        await ask(user('READ'), POINTS, {
          flag: { __typename: 'Flag', id: randomUUID(), key },
          metric: 'm',
          from: '2026-01-01T00:00:00Z',
          to: '2026-01-02T00:00:00Z',
        }),
      ),
    ).toEqual({ code: 'SERVICE_UNAVAILABLE' });
    expect((await ask(user('READ'), LIST)).errors).toEqual([]);
    away = false;
    expect(await report(vehicle, [item(key, 1)], id, ask)).toEqual(receipt(1));
    await instance.close();
    expect(refusal(await report(vehicle, [item(key, 1)], randomUUID(), ask))).toEqual({ code: 'SERVICE_UNAVAILABLE' });
    expect(await totals(key)).toEqual(everywhere(1, 1));
  });

  test('a server that does not answer does not stop a start', async () => {
    const absent = await openMetricsStore({ url: 'http://127.0.0.1:1', path: running.folder });
    const instance = await startExperiments({ prisma: database.database.prisma, metrics: absent, logger: silent });
    const ask = asking(instance.subgraph);
    expect(refusal(await report(newVehicle(), [item(newKey(), 1)], 'b', ask))).toEqual({ code: 'SERVICE_UNAVAILABLE' });
    expect((await ask(user('READ'), LIST)).errors).toEqual([]);
    await instance.close();
    await absent.close();
  });
});

describe("a flag's statistics", () => {
  const newFlag = async () => {
    const key = newKey();
    return database.database.prisma.flag.create({
      data: {
        key,
        name: key,
        type: 'boolean',
        defaultValue: { value: false },
        safetyLevel: 'Non-Critical',
        environment: 'staging',
      },
    });
  };
  const read = (id: string) => database.database.prisma.flag.findUniqueOrThrow({ where: { id } });
  const evaluations = (key: string, count: number, at: number) =>
    item(key, count, at, { metricName: EVALUATIONS_METRIC });
  const statistics = () => new FlagStatisticsJob(database.database.prisma, tables, silent);

  test('count its evaluations, the vehicles active within 30 days and the last time, and change nothing else of it', async () => {
    const [flag, other] = [await newFlag(), await newFlag()];
    const [one, two, id, last] = [newVehicle(), newVehicle(), randomUUID(), ago(1) + 123];
    for (const ask of asks)
      await report(
        one,
        [evaluations(flag.key, 40, ago(5)), evaluations(flag.key, 2, last), item(flag.key, 1_000)],
        id,
        ask,
      );
    await report(two, [evaluations(flag.key, 8, ago(4))]);
    // A vehicle that last reported long ago; such a batch would be refused today.
    const long = { ...evaluations(flag.key, 5, 0), timestamp: new Date(Date.now() - 40 * 24 * HOUR) };
    await tables.insert(
      readMetricBatch(newVehicle().vin, { batchId: 'long', items: [long] }, Date.now() - 39 * 24 * HOUR).rows,
      new AbortController().signal,
    );
    await statistics().refresh();
    expect(await read(flag.id)).toEqual({
      ...flag,
      totalEvaluations: 55n,
      activeVehicles: 2,
      lastEvaluationAt: new Date(last),
    });
    expect(await read(other.id)).toEqual(other);
    expect(await statistics().refresh()).toBe(0);
  });

  test('are refreshed by one instance at a time, and not while another transaction has locked the flag', async () => {
    const flag = await newFlag();
    await report(newVehicle(), [evaluations(flag.key, 3, ago(2))]);
    await database.database.prisma.$transaction(async (tx) => {
      await tx.$queryRaw`SELECT id FROM flags WHERE id = ${flag.id}::uuid FOR UPDATE`;
      expect(await statistics().refresh()).toBe(0);
    });
    const results = await Promise.all(Array.from({ length: 4 }, () => statistics().refresh()));
    expect(results.reduce<number>((sum, written) => sum + (written ?? 0), 0)).toBe(1);
    expect(await read(flag.id)).toMatchObject({ totalEvaluations: 3n, activeVehicles: 1 });
  });
});
