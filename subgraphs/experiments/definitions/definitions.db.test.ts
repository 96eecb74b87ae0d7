import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { refusal, user } from '../../shared/testing/asking.ts';
import { createTestMetricsStore, type TestMetricsStore } from '../../shared/testing/test-metrics-store.ts';
import { ExperimentsUnderTest } from '../testing/experiments-under-test.ts';

let own: TestMetricsStore;
let experiments: ExperimentsUnderTest;

beforeAll(async () => {
  own = await createTestMetricsStore();
  experiments = await ExperimentsUnderTest.start(own.store);
});

afterAll(async () => {
  await experiments.database.drop();
  await own.drop();
});

const SHOWN = 'key kind unit minimum maximum better cap windowSeconds';
const define = (input: object) =>
  experiments.ask<{ defineMetric: object }>(
    experiments.writer,
    `mutation ($input: MetricDefinitionInput!) { defineMetric(input: $input) { ${SHOWN} } }`,
    { input },
  );
const all = async () =>
  (await experiments.ask<{ metricDefinitions: object[] }>(user('READ'), `{ metricDefinitions { ${SHOWN} } }`)).data
    .metricDefinitions;

test('a metric is declared, listed and declared again, each with its audit row', async () => {
  const nothing = { unit: null, minimum: null, maximum: null, better: null, cap: null, windowSeconds: null };
  const energy = { key: 'energy_kwh', kind: 'MEAN', unit: 'kWh', minimum: 0, maximum: 200, better: 'LOWER', cap: 90 };
  expect((await define({ ...energy, window: 'P1D' })).data.defineMetric).toEqual({ ...energy, windowSeconds: 86_400 });
  expect((await define({ key: 'aborts', kind: 'PROPORTION' })).data.defineMetric).toEqual({
    ...nothing,
    key: 'aborts',
    kind: 'PROPORTION',
    minimum: 0,
    maximum: 1,
  });
  const again = { ...nothing, key: 'energy_kwh', kind: 'COUNT', minimum: 0 };
  const { windowSeconds: _, ...asGiven } = again;
  expect((await define(asGiven)).data.defineMetric).toEqual(again);
  expect(await experiments.lastAudit()).toMatchObject({
    action: 'DEFINE_METRIC',
    beforeValue: { key: 'energy_kwh', kind: 'mean', windowSeconds: 86_400 },
    afterValue: { key: 'energy_kwh', kind: 'count', minimum: 0, windowSeconds: null },
  });
  const rows = await experiments.prisma.auditLog.count();
  await define(asGiven);
  expect(await experiments.prisma.auditLog.count()).toBe(rows);
  expect(await all()).toMatchObject([{ key: 'aborts' }, { key: 'energy_kwh', kind: 'COUNT' }]);
});

test.each([
  [{ key: '$evaluations' }, 'input.key'],
  [{ unit: '' }, 'input.unit'],
  [{ minimum: 3, maximum: 3 }, 'input.maximum'],
  [{ minimum: 3, cap: 2 }, 'input.cap'],
  [{ maximum: 3, cap: 4 }, 'input.cap'],
  [{ window: 'P31D' }, 'input.window'],
  [{ window: 'soon' }, 'input.window'],
  [{ kind: 'COUNT', minimum: -1 }, 'input.minimum'],
  [{ kind: 'PROPORTION', minimum: 1 }, 'input.minimum'],
  [{ kind: 'PROPORTION', maximum: 100 }, 'input.maximum'],
  [{ kind: 'PROPORTION', cap: 1 }, 'input.cap'],
])('%j is refused at %s', async (part, field) => {
  expect(refusal(await define({ key: 'm', kind: 'MEAN', ...part }))).toEqual({ code: 'BAD_USER_INPUT', field });
});
