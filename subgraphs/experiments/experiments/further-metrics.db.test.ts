import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { createTestMetricsStore, type TestMetricsStore } from '../../shared/testing/test-metrics-store.ts';
import { ExperimentsUnderTest, type FlagUnderTest } from '../testing/experiments-under-test.ts';

let own: TestMetricsStore;
let experiments: ExperimentsUnderTest;
let flag: FlagUnderTest;

beforeAll(async () => {
  own = await createTestMetricsStore();
  experiments = await ExperimentsUnderTest.start(own.store);
  flag = await experiments.newFlag();
});

afterAll(async () => {
  await experiments.database.drop();
  await own.drop();
});

const FIELDS = 'id secondaryMetrics { metric better } guardrails { metric worse maxWorsePercent }';
const SECONDARY = [
  { metric: 'charge_kwh', better: 'HIGHER' },
  { metric: 'noise', better: 'LOWER' },
];
const GUARDRAILS = [
  { metric: 'crashes', worse: 'HIGHER' },
  { metric: 'range_km', worse: 'LOWER', maxWorsePercent: 2.5 },
];

const update = (id: string, input: object) =>
  experiments.ask(
    experiments.writer,
    `mutation($id: ID!, $input: UpdateExperimentInput!) { experiment: updateExperiment(id: $id, input: $input) { ${FIELDS} } }`,
    { id, input },
  );

test('secondary metrics and guardrails are planned with the experiment, changed with the draft and in the audit log', async () => {
  const id = await experiments.draft(flag, { secondaryMetrics: SECONDARY, guardrails: GUARDRAILS });
  const planned = {
    id,
    secondaryMetrics: SECONDARY,
    guardrails: [{ metric: 'crashes', worse: 'HIGHER', maxWorsePercent: 0 }, GUARDRAILS[1]],
  };
  const read = () => experiments.ask(experiments.writer, `{ experiment(id: "${id}") { ${FIELDS} } }`);
  expect((await read()).data).toEqual({ experiment: planned });
  expect((await experiments.lastAudit()).afterValue).toMatchObject({
    secondaryMetrics: [
      { metric: 'charge_kwh', better: 'higher' },
      { metric: 'noise', better: 'lower' },
    ],
    guardrails: [{ metric: 'crashes', worse: 'higher', maxWorsePercent: 0 }, { maxWorsePercent: 2.5 }],
  });
  // A member that is left out stays; null clears it.
  const changed = { ...planned, guardrails: [], secondaryMetrics: [{ metric: 'noise', better: 'HIGHER' }] };
  await update(id, { name: 'Another' });
  expect((await read()).data).toEqual({ experiment: planned });
  const { data } = await update(id, { guardrails: null, secondaryMetrics: changed.secondaryMetrics });
  expect(data).toEqual({ experiment: changed });
  await experiments.to('start', id);
  expect((await update(id, { guardrails: GUARDRAILS })).errors[0]).toMatchObject({ extensions: { code: 'CONFLICT' } });
  await experiments.to('cancel', id, ', reason: "done"');
});

test('an experiment without them has none', async () => {
  const id = await experiments.draft(flag);
  expect((await update(id, {})).data).toEqual({ experiment: { id, secondaryMetrics: [], guardrails: [] } });
});

const metric = (name: string, better = 'HIGHER') => ({ metric: name, better });
const guardrail = (name: string, maxWorsePercent = 0) => ({ metric: name, worse: 'HIGHER', maxWorsePercent });
const eleven = Array.from({ length: 11 }, (_, index) => `metric_${index}`);

test.each<[string, object, string, string]>([
  ['a metric without a name', { secondaryMetrics: [metric('')] }, 'input.secondaryMetrics.0.metric', 'BAD_USER_INPUT'],
  ['a reserved name', { guardrails: [guardrail('$evaluations')] }, 'input.guardrails.0.metric', 'BAD_USER_INPUT'],
  [
    'the primary metric',
    { secondaryMetrics: [metric('charge_minutes')] },
    'input.secondaryMetrics.0.metric',
    'BAD_USER_INPUT',
  ],
  [
    'a metric twice',
    { secondaryMetrics: [metric('a'), metric(' a ')] },
    'input.secondaryMetrics.1.metric',
    'BAD_USER_INPUT',
  ],
  [
    'a metric of both lists',
    { secondaryMetrics: [metric('a')], guardrails: [guardrail('b'), guardrail('a')] },
    'input.guardrails.1.metric',
    'BAD_USER_INPUT',
  ],
  [
    'a limit that nothing crosses',
    { guardrails: [{ ...guardrail('a', 100), worse: 'LOWER' }] },
    'input.guardrails.0.maxWorsePercent',
    'BAD_USER_INPUT',
  ],
  ['a limit below 0', { guardrails: [guardrail('a', -1)] }, 'input.guardrails.0.maxWorsePercent', 'BAD_USER_INPUT'],
  [
    'a limit beyond reason',
    { guardrails: [guardrail('a', 10_001)] },
    'input.guardrails.0.maxWorsePercent',
    'BAD_USER_INPUT',
  ],
  [
    'eleven secondary metrics',
    { secondaryMetrics: eleven.map((name) => metric(name)) },
    'input.secondaryMetrics',
    'LIMIT_EXCEEDED',
  ],
  ['eleven guardrails', { guardrails: eleven.map((name) => guardrail(name)) }, 'input.guardrails', 'LIMIT_EXCEEDED'],
])('%s is refused at its path', async (_, input, field, code) => {
  const id = await experiments.draft(flag);
  const { errors } = await update(id, input);
  expect(errors).toMatchObject([{ extensions: { code, field } }]);
});

test('a primary metric that is a guardrail already is refused at the guardrail', async () => {
  const id = await experiments.draft(flag, { guardrails: GUARDRAILS });
  const { errors } = await update(id, { primaryMetric: 'range_km' });
  expect(errors).toMatchObject([{ extensions: { code: 'BAD_USER_INPUT', field: 'input.guardrails.1.metric' } }]);
});
