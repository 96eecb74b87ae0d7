import { afterAll, beforeAll, beforeEach, expect, test } from '@jest/globals';
import { bucketing } from '../../../../core/evaluation/bucket.ts';
import { silent } from '../../../shared/testing/asking.ts';
import { openMetricsStore, type MetricsStore } from '../../../shared/stores/metrics-store.ts';
import { createTestMetricsStore, type TestMetricsStore } from '../../../shared/testing/test-metrics-store.ts';
import { findRegisteredFacts } from '../../../shared/between-subgraphs/vehicle-facts.ts';
import { clickHouseTime, METRIC_COLUMNS } from '../../metrics/metric-batch.ts';
import { ExposureRecorder } from '../../exposures/exposure-recorder.ts';
import { MetricTables } from '../../metrics/metric-store.ts';
import { storedComparedVehicles } from '../../settled/compared-vehicles.ts';
import { storedSettledVehicles } from '../../settled/settled-vehicles.ts';
import { ExperimentsUnderTest } from '../../testing/experiments-under-test.ts';
import { ExperimentLookJob } from './experiment-look-job.ts';
import { findState } from './experiment-state.ts';
import { FurtherLooks } from './further-looks.ts';
import { ExperimentLooks } from './look.ts';
import { ExperimentResults } from '../results.ts';

let own: TestMetricsStore;
let experiments: ExperimentsUnderTest;
let vehicles = 0;

beforeAll(async () => {
  own = await createTestMetricsStore();
  await new MetricTables(own.store.client).make();
  experiments = await ExperimentsUnderTest.start(own.store);
  await experiments.prisma.metricDefinition.create({
    data: { key: 'charge_minutes', kind: 'proportion', minimum: 0, maximum: 1 },
  });
});

afterAll(async () => {
  await experiments.database.drop();
  await own.drop();
});

// A job analyses every running experiment, so those of earlier tests are ended.
beforeEach(() => experiments.prisma.experiment.updateMany({ data: { status: 'cancelled' } }));

/** Creates an instance's job: by default one for which every look is due. */
function job(interval = 0, store: MetricsStore = own.store): ExperimentLookJob {
  const { prisma } = experiments;
  const tables = new MetricTables(store.client);
  const exposures = new ExposureRecorder(store.client, tables, (vins) => findRegisteredFacts(prisma, vins));
  const settled = storedSettledVehicles(store, tables, exposures);
  const compared = storedComparedVehicles(store, tables, exposures);
  const looks = new ExperimentLooks(prisma, { ...settled, ...compared });
  const results = new ExperimentResults(looks, new FurtherLooks(prisma, settled, compared));
  return new ExperimentLookJob(prisma, results, silent, interval);
}

/** A running experiment with registered vehicles that have measured: 0 in control, 1 in the treatment. */
async function measured() {
  const { id, flag } = await experiments.running({}, new Date(Date.now() - 3_600_000));
  const vins = Array.from({ length: 120 }, () => `KMH${String(++vehicles).padStart(14, '0')}`);
  const facts = { model: 'EV9', region: 'EU', swVersion: '2.5.0', status: 'online' };
  await experiments.prisma.vehicle.createMany({ data: vins.map((vin) => ({ vin, ...facts })) });
  const at = clickHouseTime(new Date(Date.now() - 60_000));
  const values = vins.map((vin) => {
    const treated = bucketing(flag.key)(vin) < 50_000;
    return [flag.key, 'charge_minutes', at, vin, 'b', 0, treated ? 'treatment' : 'control', treated ? 1 : 0, '', at];
  });
  const insert = { table: 'metric_rows', columns: [...METRIC_COLUMNS] as [string, ...string[]], values };
  await own.store.client.insert({ ...insert, format: 'JSONCompactEachRow' });
  return { id, flag, vins };
}

/** Gives how many vehicles of a flag are recorded, by their version. */
async function recorded(key: string): Promise<unknown[]> {
  const query = `SELECT sw_version AS version, toFloat64(uniqExact(vin)) AS vehicles FROM exposures FINAL WHERE startsWith(epoch, {name:String}) GROUP BY version`;
  const answer = await own.store.client.query({ query, query_params: { name: `${key}/` }, format: 'JSONEachRow' });
  return answer.json();
}

test('exposures, the facts of vehicles at that time and evidence are kept though no person reads the results', async () => {
  const { id, flag, vins } = await measured();
  expect(await recorded(flag.key)).toEqual([]);
  expect(await job().refresh()).toBe(1);
  expect(await recorded(flag.key)).toEqual([{ version: '2.5.0', vehicles: 120 }]);
  const { evidence } = await findState(experiments.prisma, id);
  expect(evidence.logHigher).toBeGreaterThan(Math.log(40));
  // The update that the feature brings moves no vehicle to another segment.
  await experiments.prisma.vehicle.updateMany({ where: { vin: { in: vins } }, data: { swVersion: '3.0.0' } });
  await job().refresh();
  const query = `{ experiment(id: "${id}") { segments(by: SW_VERSION) { value } } }`;
  const { data } = await experiments.ask(experiments.writer, query);
  expect(data).toEqual({ experiment: { segments: [{ value: '2.5.0' }] } });
});

test('of two instances one takes a look', async () => {
  const { id, flag } = await measured();
  const due = () =>
    experiments.prisma.experimentEvidence.update({
      where: { experimentId: id },
      data: { updatedAt: new Date(Date.now() - 120_000) },
    });
  await due();
  const taken = await Promise.all([job(60_000).refresh(), job(60_000).refresh()]);
  expect(taken.sort()).toEqual([0, 1]);
  expect(await recorded(flag.key)).toEqual([{ version: '2.5.0', vehicles: 120 }]);
  expect(await job(60_000).refresh()).toBe(0);
  await due();
  expect(await job(60_000).refresh()).toBe(1);
});

test('an outage of the metrics store delays the record and does not end the job', async () => {
  const { flag } = await measured();
  // Nothing listens on the port.
  const away = await openMetricsStore({ url: 'http://127.0.0.1:9', path: '' });
  try {
    expect(await job(0, away).refresh()).toBe(0);
  } finally {
    await away.close();
  }
  expect(await recorded(flag.key)).toEqual([]);
  expect(await job().refresh()).toBe(1);
  expect(await recorded(flag.key)).toEqual([{ version: '2.5.0', vehicles: 120 }]);
});

test.each([
  ['a draft', { status: 'draft' }],
  ['a completed one', { status: 'completed' }],
  ['one whose end has long passed', { endDate: new Date(Date.now() - 1_800_000) }],
])('%s is not computed', async (_, data) => {
  const { id } = await measured();
  await experiments.prisma.experiment.update({ where: { id }, data });
  expect(await job().refresh()).toBe(0);
});
