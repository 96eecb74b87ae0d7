import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { bucketing } from '../../../../core/evaluation/bucket.ts';
import { createTestMetricsStore, type TestMetricsStore } from '../../../shared/testing/test-metrics-store.ts';
import { ExposureRecorder } from '../../exposures/exposure-recorder.ts';
import { clickHouseTime, METRIC_COLUMNS } from '../../metrics/metric-batch.ts';
import { MetricTables } from '../../metrics/metric-store.ts';
import { storedComparedVehicles } from '../../settled/compared-vehicles.ts';
import { storedSettledVehicles } from '../../settled/settled-vehicles.ts';
import { ExperimentsUnderTest } from '../../testing/experiments-under-test.ts';
import { findExperiments } from '../experiment-store.ts';
import { FurtherLooks, type FurtherResults } from './further-looks.ts';
import { ExperimentLooks } from './look.ts';

let own: TestMetricsStore;
let experiments: ExperimentsUnderTest;

beforeAll(async () => {
  own = await createTestMetricsStore();
  await new MetricTables(own.store.client).make();
  experiments = await ExperimentsUnderTest.start(own.store);
  const metric = (key: string) => ({ key, kind: 'proportion', minimum: 0, maximum: 1 });
  await experiments.prisma.metricDefinition.createMany({
    data: ['charge_minutes', 'liked', 'noticed', 'crashed', 'hung'].map(metric),
  });
});

afterAll(async () => {
  await experiments.database.drop();
  await own.drop();
});

const RESULTS = `secondaryMetrics { metric better pValue adjustedPValue finding effect { vehicles { control treatment } improvementPercent confidenceInterval } }
  guardrails { metric worse maxWorsePercent verdict vehicles { control treatment } worsePercentAtLeast pValue outOfRange { treatment } neverReported { treatment } }`;

interface Results {
  readonly secondaryMetrics: readonly {
    readonly pValue: number | null;
    readonly adjustedPValue: number | null;
    readonly finding: string;
  }[];
  readonly guardrails: readonly { readonly verdict: string; readonly pValue: number | null }[];
}

const PLAN = {
  secondaryMetrics: [
    { metric: 'liked', better: 'HIGHER' },
    { metric: 'noticed', better: 'LOWER' },
  ],
  guardrails: [
    { metric: 'crashed', worse: 'HIGHER', maxWorsePercent: 10 },
    { metric: 'hung', worse: 'HIGHER' },
  ],
};

async function resultsOf(id: string): Promise<Results> {
  const query = `{ experiment(id: "${id}") { results { ${RESULTS} } } }`;
  const { data, errors } = await experiments.ask<{ experiment: { results: Results } }>(experiments.writer, query);
  if (errors.length > 0) throw new Error(JSON.stringify(errors));
  return data.experiment.results;
}

/** Stores measurements of vehicles of both arms; values by metric, of control and of the treatment. */
async function measured(key: string, values: Record<string, readonly [number, number]>, from = 0): Promise<void> {
  const at = clickHouseTime(new Date(Date.now() - 1_000));
  const rows = Array.from({ length: 160 }, (_, index) => `KMH${String(from + index).padStart(14, '0')}`).flatMap(
    (vin) => {
      const treated = bucketing(key)(vin) < 50_000;
      const variant = treated ? 'treatment' : 'control';
      return Object.entries(values).map(([metric, [control, treatment]], position) => [
        ...[key, metric, at, vin, 'b', position, variant, treated ? treatment : control, '', at],
      ]);
    },
  );
  const insert = { table: 'metric_rows', columns: [...METRIC_COLUMNS] as [string, ...string[]], values: rows };
  await own.store.client.insert({ ...insert, format: 'JSONCompactEachRow' });
}

test('secondary metrics are corrected for their number, guardrails are judged alone, and the results are kept', async () => {
  const { id, flag } = await experiments.running(PLAN, new Date(Date.now() - 60_000));
  const before = await resultsOf(id);
  expect(before.secondaryMetrics.map(({ finding }) => finding)).toEqual(['NONE', 'NONE']);
  expect(before.guardrails.map(({ verdict }) => verdict)).toEqual(['WAITING', 'WAITING']);
  await measured(flag.key, { charge_minutes: [0, 0], liked: [0, 1], noticed: [0, 0], crashed: [0, 1], hung: [0, 0] });
  const found = await resultsOf(id);
  expect(found).toMatchObject({
    secondaryMetrics: [
      { metric: 'liked', better: 'HIGHER', finding: 'BETTER' },
      { metric: 'noticed', better: 'LOWER', finding: 'NONE', pValue: 1, adjustedPValue: 1 },
    ],
    guardrails: [
      { metric: 'crashed', maxWorsePercent: 10, verdict: 'CROSSED' },
      { metric: 'hung', maxWorsePercent: 0, verdict: 'HOLDING' },
    ],
  });
  const [liked] = found.secondaryMetrics;
  expect(liked?.adjustedPValue).toBeCloseTo(2 * (liked?.pValue ?? NaN), 12);
  // What a look has shown stays shown, whatever comes later.
  await measured(flag.key, { liked: [1, 0], crashed: [1, 0] }, 1_000);
  const later = await resultsOf(id);
  expect(later.secondaryMetrics[0]?.pValue).toBe(liked?.pValue);
  expect(later.guardrails[0]?.verdict).toBe('CROSSED');
  await experiments.to('complete', id);
  const stored = await resultsOf(id);
  await measured(flag.key, { liked: [0, 1], hung: [0, 1] }, 2_000);
  expect(await resultsOf(id)).toEqual(stored);
  expect(stored.secondaryMetrics[0]?.finding).toBe('BETTER');
});

test('a look holds no lock while the store is asked, and keeps what another one found meanwhile', async () => {
  const start = new Date(Date.now() - 60_000);
  const { id, flag } = await experiments.running(PLAN, start);
  await measured(flag.key, { charge_minutes: [0, 0], liked: [0, 1], noticed: [0, 0], crashed: [0, 1], hung: [0, 0] });
  const tables = new MetricTables(own.store.client);
  const exposures = new ExposureRecorder(own.store.client, tables);
  const settled = storedSettledVehicles(own.store, tables, exposures);
  const compared = storedComparedVehicles(own.store, tables, exposures);
  const [experiment] = await findExperiments(experiments.prisma, [id]);
  const watched = await new ExperimentLooks(experiments.prisma, { ...settled, ...compared }).watched(experiment!);
  const later = new FurtherLooks(experiments.prisma, settled, compared);
  const found: FurtherResults[] = [];
  const meanwhile = async () => {
    found.push(await later.look(watched, new Date()));
  };
  const early = new FurtherLooks(
    experiments.prisma,
    { ...settled, sums: (...asked) => meanwhile().then(() => settled.sums(...asked)) },
    { ...compared, sums: (...asked) => meanwhile().then(() => compared.sums(...asked)) },
  );
  // What had arrived a moment after the start: nothing.
  const kept = await early.look(watched, new Date(start.getTime() + 1));
  const verdicts = ({ secondaryMetrics, guardrails }: FurtherResults) => [
    secondaryMetrics.map(({ pValue, finding }) => [pValue, finding]),
    guardrails.map(({ verdict }) => verdict),
  ];
  expect(found).toHaveLength(4);
  expect(found[0]?.guardrails[0]?.verdict).toBe('crossed');
  expect(kept.guardrails[0]?.verdict).toBe('crossed');
  expect(verdicts(await later.look(watched, new Date()))).toEqual(verdicts(found[0]!));
});

test('a metric keeps the declaration with which the experiment began', async () => {
  const { id, flag } = await experiments.running(PLAN, new Date(Date.now() - 60_000));
  await experiments.prisma.metricDefinition.update({ where: { key: 'hung' }, data: { kind: 'mean', maximum: 50 } });
  await measured(flag.key, { hung: [0.5, 0.5] });
  const { guardrails } = await resultsOf(id);
  expect(guardrails[1]).toMatchObject({ vehicles: { control: 0, treatment: 0 }, verdict: 'WAITING' });
});
