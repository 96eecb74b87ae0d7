import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { Caller } from '../../../core/access/caller.ts';
import { ANONYMOUS, asking, refusal, silent, user, type Ask } from '../../shared/testing/asking.ts';
import type { MetricsStore } from '../../shared/stores/metrics-store.ts';
import { createTestDatabase, type TestDatabase } from '../../shared/testing/test-database.ts';
import { startExperiments } from '../subgraph.ts';

const FIELDS = 'id name description status startDate endDate sampleSize confidenceLevel primaryMetric flag { id }';
const CREATE = `mutation($input: CreateExperimentInput!) { createExperiment(input: $input) { ${FIELDS} } }`;
const LIST =
  'query($filter: ExperimentFilter, $first: Int, $after: String) { experiments(filter: $filter, first: $first, after: $after) { totalCount nodes { name } pageInfo { hasNextPage hasPreviousPage endCursor } } }';
const ENTITIES =
  'query($representations: [_Any!]!) { _entities(representations: $representations) { ... on Flag { id experiments { name } } ... on Experiment { id name } } }';

type Created = { createExperiment: { id: string; name: string } };
type Listed = {
  experiments: {
    totalCount: number;
    nodes: { name: string }[];
    pageInfo: { hasNextPage: boolean; hasPreviousPage: boolean; endCursor: string | null };
  };
};

let database: TestDatabase;
let ask: Ask;
let writer: Caller;
const READ = user('READ');
/** These tests never use the store. */
const metrics: Pick<MetricsStore, 'close'> = { close: async () => undefined };

async function newFlag(archivedAt: Date | null = null): Promise<{ id: string; key: string }> {
  const key = `flag_${randomUUID().slice(0, 8)}`;
  const { id } = await database.database.prisma.flag.create({
    data: {
      key,
      name: key,
      type: 'boolean',
      defaultValue: { value: false },
      safetyLevel: 'Non-Critical',
      environment: 'staging',
      archivedAt,
    },
  });
  return { id, key };
}

const plan = (flagKey: string, more: object = {}) => ({
  flagKey,
  name: 'Faster charging',
  startDate: '2026-12-01T00:00:00.000Z',
  sampleSize: 500,
  primaryMetric: 'charge_minutes',
  ...more,
});

const lastAudit = () => database.database.prisma.auditLog.findFirst({ orderBy: { chainPosition: 'desc' } });

beforeAll(async () => {
  database = await createTestDatabase();
  const { id } = await database.database.prisma.user.create({
    data: { email: 'w@example.com', name: 'W', passwordHash: '-', role: 'WRITE' },
  });
  writer = user('WRITE', id);
  const started = await startExperiments({
    prisma: database.database.prisma,
    metrics: metrics as MetricsStore,
    logger: silent,
    keepsStatistics: false,
  });
  ask = asking(started.subgraph);
});

afterAll(() => database.drop());

describe('creating an experiment', () => {
  test('gives a draft with the flag by reference and records it with the flag', async () => {
    const flag = await newFlag();
    const given = { description: 'Why not', endDate: '2027-01-01T00:00:00.000Z', confidenceLevel: 0.9 };
    const { data, errors } = await ask<Created>(writer, CREATE, { input: plan(flag.key, given) });
    expect(errors).toEqual([]);
    const { flagKey: _, ...content } = { ...plan(flag.key), ...given, status: 'DRAFT' };
    expect(data.createExperiment).toEqual({ ...content, id: expect.any(String), flag: { id: flag.id } });
    expect(await lastAudit()).toMatchObject({
      action: 'CREATE_EXPERIMENT',
      flagId: flag.id,
      userId: writer.kind === 'user' ? writer.userId : '',
      afterValue: { ...content, id: data.createExperiment.id, status: 'draft' },
    });
  });

  test('has a confidence level of 95 % by default', async () => {
    const { key } = await newFlag();
    for (const confidence of [{}, { confidenceLevel: null }]) {
      const { data } = await ask(writer, CREATE, { input: plan(key, confidence) });
      expect(data).toMatchObject({ createExperiment: { confidenceLevel: 0.95, endDate: null, description: null } });
    }
  });

  test.each([
    ['a blank name', { name: ' ' }, 'input.name'],
    ['a name that is too long', { name: 'x'.repeat(201) }, 'input.name'],
    ['a name that cannot be stored', { name: 'a\0' }, 'input.name'],
    ['a sample of one', { sampleSize: 1 }, 'input.sampleSize'],
    ['certainty', { confidenceLevel: 1 }, 'input.confidenceLevel'],
    ['no confidence', { confidenceLevel: 0 }, 'input.confidenceLevel'],
    ['more decimals than are kept', { confidenceLevel: 0.955 }, 'input.confidenceLevel'],
    ['an empty metric', { primaryMetric: '' }, 'input.primaryMetric'],
    ['a metric that is too long', { primaryMetric: 'x'.repeat(101) }, 'input.primaryMetric'],
    ['an end at the start', { endDate: '2026-12-01T00:00:00Z' }, 'input.endDate'],
    ['a start before computers had time', { startDate: '0001-01-01T00:00:00Z' }, 'input.startDate'],
    ['a key that can be none', { flagKey: 'no key' }, 'input.flagKey'],
  ])('refuses %s by its path', async (_, fault, field) => {
    const { key } = await newFlag();
    expect(refusal(await ask(writer, CREATE, { input: plan(key, fault) }))).toEqual({ code: 'BAD_USER_INPUT', field });
    expect((await ask<Listed>(READ, LIST, { filter: { flagKey: key } })).data.experiments.totalCount).toBe(0);
  });

  test.each([0.01, 0.07, 0.29, 0.57, 0.9, 0.95, 0.99])(
    'accepts a confidence level of %d exactly',
    async (confidenceLevel) => {
      const { key } = await newFlag();
      expect((await ask(writer, CREATE, { input: plan(key, { confidenceLevel }) })).data).toMatchObject({
        createExperiment: { confidenceLevel },
      });
    },
  );

  test('refuses a flag that does not exist or is archived', async () => {
    const archived = await newFlag(new Date());
    for (const key of ['nobodys_flag', archived.key]) {
      expect(refusal(await ask(writer, CREATE, { input: plan(key) }))).toEqual({
        code: 'NOT_FOUND',
        field: 'input.flagKey',
      });
    }
  });

  test('is for callers who may write', async () => {
    const input = plan((await newFlag()).key);
    expect(refusal(await ask(ANONYMOUS, CREATE, { input }))).toEqual({ code: 'UNAUTHENTICATED' });
    for (const caller of [READ, user('SAFETY')])
      expect(refusal(await ask(caller, CREATE, { input }))).toEqual({ code: 'FORBIDDEN' });
  });
});

describe('reading experiments', () => {
  const create = async (flagKey: string, name: string) =>
    (await ask<Created>(writer, CREATE, { input: plan(flagKey, { name }) })).data.createExperiment;

  test('pages through them newest first, each once', async () => {
    const { key } = await newFlag();
    for (const name of ['a', 'b', 'c', 'd', 'e']) await create(key, name);
    const pages: string[][] = [];
    let after: string | null = null;
    do {
      const { data }: { data: Listed } = await ask<Listed>(READ, LIST, { filter: { flagKey: key }, first: 2, after });
      expect(data.experiments.totalCount).toBe(5);
      expect(data.experiments.pageInfo.hasPreviousPage).toBe(after !== null);
      pages.push(data.experiments.nodes.map(({ name }) => name));
      after = data.experiments.pageInfo.hasNextPage ? data.experiments.pageInfo.endCursor : null;
    } while (after !== null);
    expect(pages).toEqual([['e', 'd'], ['c', 'b'], ['a']]);
  });

  test('filters by flag and status', async () => {
    const { key, id } = await newFlag();
    const { id: running } = await create(key, 'running');
    await create(key, 'draft');
    await database.database.prisma.experiment.update({ where: { id: running }, data: { status: 'running' } });
    expect(
      (await ask<Listed>(READ, LIST, { filter: { flagKey: key, status: 'RUNNING' } })).data.experiments,
    ).toMatchObject({ totalCount: 1, nodes: [{ name: 'running' }] });
    await database.database.prisma.flag.update({ where: { id }, data: { archivedAt: new Date() } });
    expect((await ask<Listed>(READ, LIST, { filter: { flagKey: key } })).data.experiments.totalCount).toBe(2);
    expect((await ask<Listed>(READ, LIST, { filter: { flagKey: 'nobodys_flag' } })).data.experiments).toMatchObject({
      totalCount: 0,
      nodes: [],
    });
  });

  test.each([
    [{ filter: { flagKey: 'no key' } }, 'filter.flagKey'],
    [{ first: 101 }, 'first'],
    [{ after: 'nonsense' }, 'after'],
  ])('refuses %j', async (variables, field) => {
    expect(refusal(await ask(READ, LIST, variables))).toEqual({ code: 'BAD_USER_INPUT', field });
  });

  test('gives one by id, and null for an invalid or unknown id', async () => {
    const { id } = await create((await newFlag()).key, 'alone');
    const query = 'query($id: ID!) { experiment(id: $id) { name } }';
    for (const known of [id, id.toUpperCase()])
      expect((await ask(READ, query, { id: known })).data).toEqual({ experiment: { name: 'alone' } });
    for (const unknown of [randomUUID(), 'nonsense'])
      expect(await ask(READ, query, { id: unknown })).toEqual({ data: { experiment: null }, errors: [] });
  });

  test("a list of flags gets each flag's experiments, newest first", async () => {
    const [one, two, none] = [await newFlag(), await newFlag(), await newFlag()];
    await create(one.key, 'first');
    const { id } = await create(two.key, 'other');
    await create(one.key, 'second');
    const representations = [
      ...[one.id, none.id, two.id].map((flag) => ({ __typename: 'Flag', id: flag })),
      { __typename: 'Experiment', id },
      { __typename: 'Experiment', id: 'nonsense' },
    ];
    const { data, errors } = await ask(READ, ENTITIES, { representations });
    expect(errors).toEqual([]);
    expect(data).toEqual({
      _entities: [
        { id: one.id, experiments: [{ name: 'second' }, { name: 'first' }] },
        { id: none.id, experiments: [] },
        { id: two.id, experiments: [{ name: 'other' }] },
        { id, name: 'other' },
        null,
      ],
    });
  });

  test('a vehicle cannot read the experiments of its flags', async () => {
    const { id } = await newFlag();
    const answer = await ask({ kind: 'vehicle', vin: 'KMH00000000000001', environment: 'staging' }, ENTITIES, {
      representations: [{ __typename: 'Flag', id }],
    });
    expect(refusal(answer)).toEqual({ code: 'FORBIDDEN' });
  });
});

describe('the required sample size', () => {
  const SIZE =
    'query($baseline: Float!, $effect: Float!, $power: Float, $relative: Boolean) { requiredSampleSize(baseline: $baseline, minimumDetectableEffect: $effect, power: $power, relative: $relative) }';

  test("is given to callers who may read, with the schema's defaults", async () => {
    expect(await ask(READ, SIZE, { baseline: 0.1, effect: 0.02 })).toEqual({
      data: { requiredSampleSize: 3839 },
      errors: [],
    });
    expect(await ask(READ, SIZE, { baseline: 0.1, effect: 0.2, relative: true, power: null })).toEqual({
      data: { requiredSampleSize: 3839 },
      errors: [],
    });
    expect(refusal(await ask(ANONYMOUS, SIZE, { baseline: 0.1, effect: 0.02 }))).toEqual({ code: 'UNAUTHENTICATED' });
    expect(
      refusal(
        await ask({ kind: 'vehicle', vin: 'KMH00000000000001', environment: 'staging' }, SIZE, {
          baseline: 0.1,
          effect: 0.02,
        }),
      ),
    ).toEqual({ code: 'FORBIDDEN' });
  });

  test('is refused at the wrong argument', async () => {
    expect(refusal(await ask(READ, SIZE, { baseline: 1.5, effect: 0.02 }))).toEqual({
      code: 'BAD_USER_INPUT',
      field: 'baseline',
    });
    expect(refusal(await ask(READ, SIZE, { baseline: 0.1, effect: 1e-9 }))).toEqual({
      code: 'LIMIT_EXCEEDED',
      field: 'minimumDetectableEffect',
    });
  });
});
