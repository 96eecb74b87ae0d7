import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { bucketing } from '../../../../core/evaluation/bucket.ts';
import { createTestMetricsStore, type TestMetricsStore } from '../../../shared/testing/test-metrics-store.ts';
import { user } from '../../../shared/testing/asking.ts';
import { clickHouseTime, METRIC_COLUMNS } from '../../metrics/metric-batch.ts';
import { MetricTables } from '../../metrics/metric-store.ts';
import { ExperimentsUnderTest, type FlagUnderTest } from '../../testing/experiments-under-test.ts';

const METRIC = 'charge_minutes';
const DAY = 86_400_000;

let own: TestMetricsStore;
let experiments: ExperimentsUnderTest;
let vehicles = 0;

beforeAll(async () => {
  own = await createTestMetricsStore();
  await new MetricTables(own.store.client).make();
  experiments = await ExperimentsUnderTest.start(own.store);
  const { prisma } = experiments;
  await prisma.metricDefinition.create({ data: { key: METRIC, kind: 'mean', minimum: 0, maximum: 100 } });
});

afterAll(async () => {
  await experiments.database.drop();
  await own.drop();
});

interface Measured {
  readonly vin: string;
  readonly value: number | null;
  /** Days after the start. */
  readonly day: number;
}

/** Registers new vehicles of an arm. */
async function registered(flag: FlagUnderTest, arm: 'control' | 'treatment', count: number, model: string) {
  const vins: string[] = [];
  while (vins.length < count) {
    const vin = `KMH${String(++vehicles).padStart(14, '0')}`;
    if (bucketing(flag.key)(vin) < 50_000 === (arm === 'treatment')) vins.push(vin);
  }
  const row = { model, region: model === 'EV9' ? 'EU' : 'KR', swVersion: '2.5.0', status: 'online' };
  await experiments.prisma.vehicle.createMany({ data: vins.map((vin) => ({ vin, ...row })) });
  return vins;
}

/** Stores an evaluation of each vehicle and its measurement, if there is one. */
async function measured(
  { key }: FlagUnderTest,
  start: number,
  rows: readonly Measured[],
  arrived?: Date,
): Promise<void> {
  const values = rows.flatMap(({ vin, value, day }) => {
    const at = clickHouseTime(new Date(start + day * DAY));
    const variant = bucketing(key)(vin) < 50_000 ? 'treatment' : 'control';
    const received = arrived === undefined ? at : clickHouseTime(arrived);
    const row = (metric: string, position: number, number: number) =>
      [key, metric, at, vin, `b${day}`, position, variant, number, '', received] as const;
    return [row('$evaluations', 0, 1), ...(value === null ? [] : [row(METRIC, 1, value)])];
  });
  const format = 'JSONCompactEachRow';
  await own.store.client.insert({ table: 'metric_rows', columns: [...METRIC_COLUMNS], values, format });
}

const EFFECT =
  'vehicles { control treatment } difference differenceInterval improvementPercent confidenceInterval detectablePercent';

interface Effect {
  readonly vehicles: { readonly control: number; readonly treatment: number };
  readonly difference: number | null;
  readonly improvementPercent: number | null;
  readonly confidenceInterval: readonly [number, number] | null;
  readonly detectablePercent: number | null;
}

async function field<T>(id: string, selection: string, caller = experiments.writer): Promise<T> {
  const { data, errors } = await experiments.ask<{ experiment: { field: T } }>(
    caller,
    `{ experiment(id: "${id}") { field: ${selection} } }`,
  );
  if (errors.length > 0) throw new Error(JSON.stringify(errors));
  return data.experiment.field;
}

/** An experiment of three days: the treatment doubles the minutes of one model, and nothing of the other. */
async function running() {
  const since = new Date(Date.now() - 2.5 * DAY);
  const { id, flag } = await experiments.running({}, since);
  const of = async (arm: 'control' | 'treatment', model: string, value: number, day: number, count = 60) =>
    (await registered(flag, arm, count, model)).map((vin, index) => ({ vin, value: value + (index % 5), day }));
  const rows = [
    ...(await of('control', 'EV9', 20, 0.2)),
    ...(await of('treatment', 'EV9', 60, 0.2)),
    ...(await of('control', 'EV6', 20, 1.2, 90)),
    ...(await of('treatment', 'EV6', 20, 1.2, 90)),
  ];
  const silent = (await registered(flag, 'treatment', 7, 'EV6')).map((vin) => ({ vin, value: null, day: 0.1 }));
  await measured(flag, since.getTime(), [...rows, ...silent]);
  return { id, flag, since, rows, silent };
}

test('an effect is shown by what vehicles were before their exposure, whatever they become', async () => {
  const { id, flag, since } = await running();
  const segments = (by: string) =>
    field<(Effect & { value: string | null; exposed: object })[]>(
      id,
      `segments(by: ${by}) { value exposed { control treatment } ${EFFECT} }`,
    );
  const [six, nine] = await segments('MODEL');
  expect(six).toMatchObject({
    value: 'EV6',
    exposed: { control: 90, treatment: 97 },
    vehicles: { control: 90, treatment: 90 },
    difference: expect.closeTo(0, 6),
  });
  expect(nine).toMatchObject({
    value: 'EV9',
    vehicles: { control: 60, treatment: 60 },
    difference: expect.closeTo(40, 6),
  });
  expect(nine?.confidenceInterval?.[0]).toBeGreaterThan(0);
  expect(six?.confidenceInterval?.[0]).toBeLessThan(0);
  expect(nine?.detectablePercent).toBeGreaterThan(0);
  // An update, which the feature may have brought, moves no vehicle to another segment.
  await experiments.prisma.vehicle.updateMany({ data: { swVersion: '3.0.0' } });
  const [version] = await segments('SW_VERSION');
  expect(version).toMatchObject({ value: '2.5.0', exposed: { control: 150, treatment: 157 } });
  // Vehicles that nobody has registered are a segment of their own.
  const unknown = ['WWW00000000000001', 'WWW00000000000002'].map((vin) => ({ vin, value: 20, day: 2 }));
  await measured(flag, since.getTime(), unknown, new Date());
  expect((await segments('REGION')).map(({ value }) => value)).toEqual(['KR', 'EU', null]);
});

test('the effect over time counts at each day what was final then, and later vehicles change no earlier point', async () => {
  const { id, flag, since } = await running();
  const series = () => field<(Effect & { at: string })[]>(id, `effectOverTime { at ${EFFECT} }`);
  const before = await series();
  expect(before).toMatchObject([
    { at: new Date(since.getTime() + DAY).toISOString(), vehicles: { control: 60, treatment: 60 } },
    { at: new Date(since.getTime() + 2 * DAY).toISOString(), vehicles: { control: 150, treatment: 150 } },
  ]);
  expect(before[0]?.improvementPercent).toBeGreaterThan(before[1]?.improvementPercent ?? Infinity);
  expect(before[1]?.detectablePercent).not.toBeNull();
  const late = (await registered(flag, 'treatment', 30, 'EV6')).map((vin) => ({ vin, value: 1, day: 2.2 }));
  await measured(flag, since.getTime(), late, new Date());
  const after = await series();
  expect(after.slice(0, 2)).toEqual(before);
  expect(after[2]).toMatchObject({ vehicles: { control: 150, treatment: 180 } });
});

test('the vehicles of an analysis are read page by page, with their numbers; VINs by those who may', async () => {
  const { id, rows, silent } = await running();
  const names = 'arm exposedAt settlesAt measured used outOfRange neverReported model region swVersion';
  type Page = {
    nodes: { id: string; vin?: string; used: number | null; neverReported: boolean }[];
    endCursor: string | null;
  };
  const all: Page['nodes'] = [];
  for (let after = 'null', pages = 0; after !== 'end'; pages++) {
    expect(pages).toBeLessThan(10);
    const page = await field<Page>(
      id,
      `analysedVehicles(first: 100, after: ${after}) { nodes { id vin ${names} } endCursor }`,
    );
    all.push(...page.nodes);
    after = page.endCursor === null ? 'end' : JSON.stringify(page.endCursor);
  }
  const expected = [...rows, ...silent].map(({ vin, value }) => [vin, value]).sort();
  expect(all.map(({ vin, used }) => [vin, used]).sort()).toEqual(expected);
  expect(all.filter(({ neverReported }) => neverReported)).toHaveLength(silent.length);
  expect(new Set(all.map((row) => row.id)).size).toBe(all.length);
  const selection = (what: string) =>
    `{ experiment(id: "${id}") { analysedVehicles(first: 1) { nodes { ${what} } } } }`;
  expect((await experiments.ask(user('READ'), selection('arm used'))).errors).toEqual([]);
  expect((await experiments.ask(user('READ'), selection('vin'))).errors).toMatchObject([
    { extensions: { code: 'FORBIDDEN' } },
  ]);
});

test.each([
  ['first: 0', 'BAD_USER_INPUT', 'first'],
  ['first: 101', 'BAD_USER_INPUT', 'first'],
  ['after: "x"', 'BAD_USER_INPUT', 'after'],
])('a page of vehicles with %s is refused', async (argument, code, path) => {
  const { id } = await experiments.running();
  const query = `{ experiment(id: "${id}") { analysedVehicles(${argument}) { endCursor } } }`;
  expect((await experiments.ask(experiments.writer, query)).errors).toMatchObject([
    { extensions: { code, field: path } },
  ]);
});

test('a draft has none of these, and a completed experiment keeps what its result counted', async () => {
  const ALL = '{ segments: segments(by: MODEL) { value } effectOverTime { at } analysedVehicles { endCursor } }';
  const draft = await experiments.draft(await experiments.newFlag());
  const ask = (id: string) => experiments.ask(experiments.writer, `{ experiment(id: "${id}") ${ALL} }`);
  expect((await ask(draft)).data).toEqual({
    experiment: { segments: null, effectOverTime: null, analysedVehicles: null },
  });
  const { id, flag, since } = await running();
  await experiments.to('complete', id);
  const before = await ask(id);
  const late = (await registered(flag, 'control', 5, 'EV5')).map((vin) => ({ vin, value: 1, day: 2.4 }));
  await measured(flag, since.getTime(), late, new Date());
  expect(await ask(id)).toEqual(before);
});
