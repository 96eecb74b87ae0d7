import { afterAll, beforeAll, expect, test } from '@jest/globals';
import initSqlJs, { type SqlJsStatic } from 'sql.js';
import { Api } from './harness/api.ts';
import { Deployment } from './harness/deployment.ts';
import { eventually } from './harness/process.ts';
import { VehicleProcess } from './harness/vehicle.ts';

const FLAG = 'eco_route';
const METRIC = 'energy_kwh';

let deployment: Deployment;
let vehicle: VehicleProcess | undefined;
let api: Api;
let sql: SqlJsStatic;
let began: Date;
/** The evaluations and measurements for which programs in the vehicle have got an answer. */
const made = { evaluations: 0, measurements: 0, sum: 0 };

beforeAll(async () => {
  [deployment, sql] = await Promise.all([Deployment.start(), initSqlJs()]);
  api = await Api.admin(deployment);
  await api.ok(
    `mutation { createFlag(input: {key: "${FLAG}", name: "Eco route", type: BOOLEAN, defaultValue: false, safetyLevel: NON_CRITICAL, environment: PRODUCTION, enabled: true}) { applied } }`,
  );
  await api.ok(
    `mutation { createRule(flagKey: "${FLAG}", input: {type: PERCENTAGE_ROLLOUT, conditions: {rollout_percentage: 100}}) { applied } }`,
  );
  await api.ok(
    'mutation { createFlag(input: {key: "marker", name: "Marker", type: BOOLEAN, defaultValue: false, safetyLevel: NON_CRITICAL, environment: PRODUCTION}) { applied } }',
  );
  began = new Date();
  vehicle = await VehicleProcess.start(deployment.wsUrl, await api.vehicle('KMHK281HGNU000001'), [
    '--metrics-seconds',
    '0.2',
  ]);
  await eventually(async () => (await vehicle!.status()).flags === 2, 'the vehicle has its flags');
}, 120_000);

afterAll(async () => {
  await vehicle?.remove();
  await deployment?.remove();
}, 60_000);

/** One round of a program in the vehicle: three evaluations and a measurement, each a number of its own. */
async function useFlag(): Promise<void> {
  for (let count = 0; count < 3; count++) {
    expect(await vehicle!.evaluate(FLAG)).toMatchObject({ value: true, variant: 'treatment' });
    made.evaluations += 1;
  }
  const value = made.measurements + 1;
  expect(await vehicle!.track({ metric: METRIC, value, flagKey: FLAG })).toBe(202);
  made.measurements += 1;
  made.sum += value;
}

/** Uses the flag over and over while `meanwhile` happens. */
async function usingFlag(meanwhile: () => Promise<unknown>): Promise<void> {
  let over = false;
  const program = (async () => {
    while (!over) await useFlag();
  })();
  try {
    await meanwhile();
  } finally {
    over = true;
    await program;
  }
}

interface Point {
  readonly variant: string;
  readonly count: number;
  readonly sum: number;
  readonly vehicles: number;
}
type Stored = typeof made;

/** Gives the sums of the stored series: of the rows as they came, and of the hourly roll-ups. */
async function stored(): Promise<{ rows: Stored; hours: Stored }> {
  const range = `from: "${new Date(began.getTime() - 3_600_000).toISOString()}", to: "${new Date(Date.now() + 60_000).toISOString()}"`;
  const series = (metric: string, interval: string) =>
    `metrics(metric: "${metric}", ${range}, interval: ${interval}) { variant count sum vehicles }`;
  const { flag } = await api.ok<{
    flag: Record<'evaluations' | 'evaluationHours' | 'measurements' | 'measurementHours', Point[]>;
  }>(
    `{ flag(key: "${FLAG}") { evaluations: ${series('$evaluations', 'MINUTE')} evaluationHours: ${series('$evaluations', 'HOUR')} measurements: ${series(METRIC, 'MINUTE')} measurementHours: ${series(METRIC, 'HOUR')} } }`,
  );
  expect(
    Object.values(flag)
      .flat()
      .every(({ variant, vehicles }) => variant === 'treatment' && vehicles === 1),
  ).toBe(true);
  const total = (points: readonly Point[], member: 'count' | 'sum') =>
    points.reduce((sum, point) => sum + point[member], 0);
  const totals = (evaluations: Point[], measurements: Point[]) => ({
    evaluations: total(evaluations, 'sum'),
    measurements: total(measurements, 'count'),
    sum: total(measurements, 'sum'),
  });
  return {
    rows: totals(flag.evaluations, flag.measurements),
    hours: totals(flag.evaluationHours, flag.measurementHours),
  };
}

/** Waits until exactly `made` is stored; it is exceeded at no time. */
async function untilStored(): Promise<void> {
  await eventually(
    async () => {
      const { rows, hours } = await stored();
      for (const found of [rows, hours])
        for (const member of ['evaluations', 'measurements', 'sum'] as const)
          expect(found[member]).toBeLessThanOrEqual(made[member]);
      return JSON.stringify([rows, hours]) === JSON.stringify([made, made]);
    },
    `all of ${JSON.stringify(made)} is stored`,
  );
}

/**
 * Waits until everything before this call is on the vehicle's disk. For this it evaluates a marker flag: the agent
 * writes in order, so when the marker is in the database or its journal, so is all before it.
 */
async function untilOnDisk(): Promise<void> {
  await vehicle!.evaluate('marker');
  await eventually(async () => {
    if ((await vehicle!.journal()).includes('"marker"')) return true;
    const database = new sql.Database(await vehicle!.databaseBytes());
    const found = database.exec("SELECT 1 FROM metrics_queue WHERE flag_key = 'marker' AND sent = 0").length > 0;
    database.close();
    return found;
  }, 'the queue is on disk');
}

test('what a vehicle evaluates and measures is counted exactly once, though the control plane and the agent are killed on the way', async () => {
  await useFlag();
  await untilStored();

  // Batches are under way all the time: some are stored and not acknowledged, some are neither.
  await usingFlag(async () => {
    const before = made.measurements;
    await eventually(() => made.measurements > before + 20, 'the flag is in use');
    await deployment.down('SIGKILL');
    const since = made.measurements;
    await eventually(() => made.measurements > since + 20, 'the flag is used with nobody to report to');
  });
  await untilOnDisk();
  await vehicle!.process.stop('SIGKILL');
  await vehicle!.up();
  await useFlag();
  await deployment.up();
  api = await Api.admin(deployment);
  await untilStored();
}, 180_000);

test('an agent that is killed while it sends loses at most what it had not written yet, and nothing counts twice', async () => {
  let least: Stored = { ...made };
  await usingFlag(async () => {
    const since = made.measurements;
    await eventually(() => made.measurements > since + 20, 'the flag is in use');
    least = (await stored()).rows;
    await vehicle!.process.stop('SIGKILL');
  }).catch((error: unknown) => {
    // The kill fails the program's request that was under way; any other failure is one of the test.
    if (vehicle!.process.running) throw error;
  });
  await vehicle!.up();
  // The queue is sent from its beginning: when this has arrived, so has all that was left.
  await eventually(async () => (await vehicle!.status()).connected, 'the vehicle is connected');
  await eventually(async () => (await vehicle!.status()).metrics.queued === 0, 'the queue is empty');
  const { rows, hours } = await stored();
  expect(hours).toEqual(rows);
  for (const member of ['evaluations', 'measurements', 'sum'] as const)
    expect(rows[member]).toBeGreaterThanOrEqual(least[member]);
  // One evaluation or measurement may have been taken whose program got no answer.
  expect(rows.evaluations).toBeLessThanOrEqual(made.evaluations + 1);
  expect(rows.measurements).toBeLessThanOrEqual(made.measurements + 1);
  expect(rows.sum).toBeLessThanOrEqual(made.sum + made.measurements + 1);
}, 120_000);

test("the flag's own numbers become what its vehicles have evaluated", async () => {
  const { rows } = await stored();
  const read = async () =>
    (
      await api.ok<{ flag: { totalEvaluations: number; activeVehicles: number; lastEvaluationAt: string } }>(
        `{ flag(key: "${FLAG}") { totalEvaluations activeVehicles lastEvaluationAt } }`,
      )
    ).flag;
  await eventually(async () => (await read()).totalEvaluations === rows.evaluations, 'the statistics are refreshed');
  const { activeVehicles, lastEvaluationAt } = await read();
  expect(activeVehicles).toBe(1);
  expect(Date.parse(lastEvaluationAt)).toBeGreaterThanOrEqual(began.getTime());
  expect(Date.parse(lastEvaluationAt)).toBeLessThanOrEqual(Date.now());
}, 120_000);
