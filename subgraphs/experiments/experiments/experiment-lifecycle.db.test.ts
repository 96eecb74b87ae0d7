import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { randomUUID } from 'node:crypto';
import type { MetricsStore } from '../../shared/stores/metrics-store.ts';
import { ANONYMOUS, refusal, user } from '../../shared/testing/asking.ts';
import { EXPERIMENT, ExperimentsUnderTest, HALF, type RuleUnderTest } from '../testing/experiments-under-test.ts';

const UPDATE = `mutation($id: ID!, $input: UpdateExperimentInput!, $seen: DateTime) { experiment: updateExperiment(id: $id, input: $input, expectedUpdatedAt: $seen) { ${EXPERIMENT} } }`;
const NOT_NOW = { code: 'CONFLICT', field: 'id' };

/** A store that has no measurements, or is down. */
let away = false;
const metrics = {
  client: {
    async query() {
      if (away) throw new Error('connect ECONNREFUSED');
      return { json: async () => [] };
    },
    command: async () => undefined,
    insert: async () => undefined,
  },
} as unknown as MetricsStore;

let experiments: ExperimentsUnderTest;

beforeAll(async () => {
  experiments = await ExperimentsUnderTest.start(metrics);
});

afterAll(() => experiments.database.drop());

describe('updating an experiment', () => {
  const update = (id: string, input: object, caller = experiments.writer, seen: Date | null = null) =>
    experiments.ask(caller, UPDATE, { id, input, seen });

  test('changes what is given, keeps the rest and records both', async () => {
    const flag = await experiments.newFlag();
    const id = await experiments.draft(flag, { description: 'Why not', endDate: '2027-01-01T00:00:00.000Z' });
    const { data, errors } = await update(id, { name: 'Slower charging', sampleSize: 20, endDate: null });
    expect(errors).toEqual([]);
    expect(data).toMatchObject({
      experiment: {
        name: 'Slower charging',
        sampleSize: 20,
        endDate: null,
        description: 'Why not',
        primaryMetric: 'charge_minutes',
        status: 'DRAFT',
      },
    });
    expect(await experiments.lastAudit()).toMatchObject({
      action: 'UPDATE_EXPERIMENT',
      flagId: flag.id,
      beforeValue: { name: 'Faster charging', sampleSize: 500, endDate: '2027-01-01T00:00:00.000Z' },
      afterValue: { name: 'Slower charging', sampleSize: 20, endDate: null },
    });
  });

  test('refuses a plan that somebody else has changed since it was seen, and keeps it', async () => {
    const id = await experiments.draft(await experiments.newFlag());
    const stored = () => experiments.prisma.experiment.findUniqueOrThrow({ where: { id } });
    const { updatedAt: seen } = await stored();
    expect((await update(id, { sampleSize: 20 }, experiments.writer, seen)).errors).toEqual([]);
    for (const input of [{ name: 'Another' }, { sampleSize: 20 }])
      expect(refusal(await update(id, input, experiments.writer, seen))).toEqual({ code: 'CONFLICT' });
    expect(await stored()).toMatchObject({ name: 'Faster charging', sampleSize: 20 });
    expect((await update(id, { name: 'Another' }, experiments.writer, (await stored()).updatedAt)).errors).toEqual([]);
  });

  test('leaves no audit row when nothing changes', async () => {
    const flag = await experiments.newFlag();
    const id = await experiments.draft(flag);
    for (const input of [{}, { sampleSize: 500 }]) expect((await update(id, input)).errors).toEqual([]);
    expect(await experiments.actions(flag)).toEqual(['CREATE_EXPERIMENT']);
  });

  test.each([
    [{ name: ' ' }, 'input.name'],
    [{ name: null }, 'input.name'],
    [{ startDate: null }, 'input.startDate'],
    [{ sampleSize: 1 }, 'input.sampleSize'],
    [{ confidenceLevel: null }, 'input.confidenceLevel'],
    [{ confidenceLevel: 1 }, 'input.confidenceLevel'],
    [{ primaryMetric: '' }, 'input.primaryMetric'],
    [{ endDate: '2026-11-30T00:00:00Z' }, 'input.endDate'],
  ])('refuses %j by its path and keeps the plan', async (input, field) => {
    const id = await experiments.draft(await experiments.newFlag());
    expect(refusal(await update(id, { sampleSize: 99, ...input }))).toEqual({ code: 'BAD_USER_INPUT', field });
    expect(await experiments.prisma.experiment.findUnique({ where: { id } })).toMatchObject({ sampleSize: 500 });
  });

  test('refuses an experiment that has been started, and an unknown one', async () => {
    const { id } = await experiments.running();
    expect(refusal(await update(id, { sampleSize: 20 }))).toEqual(NOT_NOW);
    for (const nobodys of [randomUUID(), 'nonsense'])
      expect(refusal(await update(nobodys, { sampleSize: 20 }))).toEqual({ code: 'NOT_FOUND', field: 'id' });
  });
});

describe('starting an experiment', () => {
  test('makes it run from now on, stores the planned share and does not change the flag', async () => {
    const flag = await experiments.newFlag([{ conditions: { rollout_percentage: 12.345 } }]);
    const before = await experiments.prisma.flag.findUniqueOrThrow({ where: { id: flag.id } });
    const id = await experiments.draft(flag);
    const earliest = Date.now();
    const { data } = await experiments.to<{ status: string; startDate: string }>('start', id);
    expect(data.experiment).toMatchObject({ status: 'RUNNING', winnerVariant: null, pValue: null });
    expect(Date.parse(data.experiment.startDate)).toBeGreaterThanOrEqual(earliest);
    expect(Number((await experiments.prisma.experiment.findUniqueOrThrow({ where: { id } })).treatmentShare)).toBe(
      0.12345,
    );
    expect(await experiments.lastAudit()).toMatchObject({
      action: 'START_EXPERIMENT',
      flagId: flag.id,
      beforeValue: { status: 'draft', startDate: '2026-12-01T00:00:00.000Z' },
      afterValue: { status: 'running', startDate: data.experiment.startDate, treatmentShare: 0.12345 },
    });
    expect(await experiments.prisma.flag.findUniqueOrThrow({ where: { id: flag.id } })).toEqual(before);
  });

  test.each<[string, readonly RuleUnderTest[], object]>([
    ['is archived', [HALF], { archivedAt: new Date() }],
    ['is not enabled', [HALF], { enabled: false }],
    ['has a release under way', [HALF], { release: { id: randomUUID(), percentage: 1 } }],
    ['is killed', [HALF, { type: 'kill_switch', conditions: { force_disabled: true, reason: 'Smoke' } }], {}],
    ['has no rollout', [{ type: 'vehicle_target', conditions: { regions: ['EU'] } }], {}],
    ['has a rollout that is disabled', [{ ...HALF, enabled: false }], {}],
    ['has two rollouts', [HALF, HALF], {}],
    ['has a rollout at 0 %', [{ conditions: { rollout_percentage: 0 } }], {}],
    ['has a rollout that rounds to 0 %', [{ conditions: { rollout_percentage: 0.0001 } }], {}],
    ['has a rollout at 100 %', [{ conditions: { rollout_percentage: 100 } }], {}],
    ['draws its cohort again and again', [{ conditions: { rollout_percentage: 50, sticky: false } }], {}],
    ['serves another variant', [{ ...HALF, variant: 'eco' }], {}],
    [
      'picks vehicles for the treatment',
      [HALF, { type: 'vehicle_whitelist', conditions: { vins: ['KMHK281HGNU000001'] }, variant: 'treatment' }],
      {},
    ],
    [
      'picks vehicles for control',
      [HALF, { type: 'vehicle_target', conditions: { regions: ['EU'] }, variant: 'control' }],
      {},
    ],
  ])('is refused when the flag %s', async (_, rules, over) => {
    const flag = await experiments.newFlag(rules);
    const id = await experiments.draft(flag);
    await experiments.prisma.flag.update({ where: { id: flag.id }, data: over });
    expect(refusal(await experiments.to('start', id))).toEqual(NOT_NOW);
    expect(await experiments.statusOf(id)).toBe('draft');
    expect(await experiments.actions(flag)).toEqual(['CREATE_EXPERIMENT']);
  });

  test.each<[string, readonly RuleUnderTest[], object]>([
    ['is archived', [HALF], { archivedAt: new Date() }],
    ['is not enabled', [HALF], { enabled: false }],
    ['is held by its kill switch', [HALF, { type: 'kill_switch', conditions: { force_disabled: true } }], {}],
    ['has no enabled rule', [{ ...HALF, enabled: false }], {}],
  ])(
    'is refused while a flag that is required through another %s, and starts when it is on',
    async (why, rules, over) => {
      const [base, between, flag] = [
        await experiments.newFlag(rules),
        await experiments.newFlag([HALF]),
        await experiments.newFlag([HALF]),
      ];
      const requires = (key: string) => ({ requires: [{ flag: key }] });
      await experiments.prisma.flag.update({ where: { id: between.id }, data: requires(base.key) });
      await experiments.prisma.flag.update({ where: { id: flag.id }, data: requires(between.key) });
      await experiments.prisma.flag.update({ where: { id: base.id }, data: over });
      const id = await experiments.draft(flag);
      const answer = await experiments.to('start', id);
      expect(refusal(answer)).toEqual(NOT_NOW);
      expect(answer.errors[0]?.message).toContain(`${base.key}, which ${why}`);
      await experiments.prisma.rule.deleteMany({ where: { flagId: base.id } });
      await experiments.prisma.rule.create({
        data: { flagId: base.id, type: 'percentage_rollout', conditions: { rollout_percentage: 50 } },
      });
      await experiments.prisma.flag.update({ where: { id: base.id }, data: { archivedAt: null, enabled: true } });
      expect((await experiments.to('start', id)).errors).toEqual([]);
    },
  );

  test('ignores disabled rules beside the rollout, rules of another variant, and a released kill switch', async () => {
    const picking = { type: 'vehicle_target', conditions: { regions: ['EU'] } };
    const flag = await experiments.newFlag([
      HALF,
      { ...HALF, enabled: false },
      { ...picking, variant: 'treatment', enabled: false },
      { ...picking, variant: 'pilot' },
      { type: 'kill_switch', enabled: false, conditions: { force_disabled: true, reason: 'Smoke' } },
    ]);
    expect((await experiments.to('start', await experiments.draft(flag))).errors).toEqual([]);
  });

  test('is refused once the planned end is past', async () => {
    const id = await experiments.draft(await experiments.newFlag(), {
      startDate: '2020-01-01T00:00:00Z',
      endDate: '2020-02-01T00:00:00Z',
    });
    expect(refusal(await experiments.to('start', id))).toEqual(NOT_NOW);
  });

  test('is refused while another experiment of the flag runs, and allowed once that has ended', async () => {
    const { id: first, flag } = await experiments.running({ name: 'The first' });
    const second = await experiments.draft(flag);
    const answer = await experiments.to('start', second);
    expect(refusal(answer)).toEqual(NOT_NOW);
    expect(answer.errors[0]?.message).toContain('"The first"');
    await experiments.to('cancel', first, ', reason: "Enough"');
    expect((await experiments.to('start', second)).errors).toEqual([]);
  });

  test('by several callers at once on one flag starts one experiment', async () => {
    const flag = await experiments.newFlag();
    const ids = [];
    for (let draft = 0; draft < 4; draft += 1) ids.push(await experiments.draft(flag));
    const answers = await Promise.all([...ids, ...ids].map((id) => experiments.to('start', id)));
    expect(answers.map(refusal).filter((refused) => refused !== null)).toEqual(Array(7).fill(NOT_NOW));
    expect(
      (await Promise.all(ids.map((id) => experiments.statusOf(id)))).filter((status) => status === 'running'),
    ).toHaveLength(1);
    expect((await experiments.actions(flag)).filter((action) => action === 'START_EXPERIMENT')).toHaveLength(1);
  });

  test('the database itself refuses a second running experiment', async () => {
    const { flag } = await experiments.running();
    const id = await experiments.draft(flag);
    await expect(
      experiments.prisma.experiment.update({ where: { id }, data: { status: 'running' } }),
    ).rejects.toMatchObject({ code: 'P2002' });
  });
});

describe('completing an experiment', () => {
  test('stores the results with the time of its end', async () => {
    const { id, flag } = await experiments.running({ endDate: '2999-01-01T00:00:00Z' });
    const { data, errors } = await experiments.to<{ endDate: string }>('complete', id);
    expect(errors).toEqual([]);
    expect(data.experiment).toMatchObject({
      status: 'COMPLETED',
      winnerVariant: null,
      pValue: null,
      improvementPercent: null,
    });
    expect(Date.parse(data.experiment.endDate)).toBeLessThanOrEqual(Date.now());
    expect(await experiments.lastAudit()).toMatchObject({
      action: 'COMPLETE_EXPERIMENT',
      flagId: flag.id,
      beforeValue: { status: 'running' },
      afterValue: { status: 'completed', winnerVariant: null, pValue: null },
    });
  });

  test('keeps a planned end that is past: later measurements did not count', async () => {
    const { id } = await experiments.running({}, new Date('2026-01-01T00:00:00Z'));
    const endDate = new Date('2026-02-01T00:00:00Z');
    await experiments.prisma.experiment.update({ where: { id }, data: { endDate } });
    expect((await experiments.to('complete', id)).data).toMatchObject({
      experiment: { status: 'COMPLETED', endDate: endDate.toISOString() },
    });
  });

  test('is only for running experiments, and happens once', async () => {
    const draft = await experiments.draft(await experiments.newFlag());
    expect(refusal(await experiments.to('complete', draft))).toEqual(NOT_NOW);
    const { id, flag } = await experiments.running();
    const answers = await Promise.all([1, 2, 3].map(() => experiments.to('complete', id)));
    expect(answers.map(refusal).filter((refused) => refused !== null)).toEqual([NOT_NOW, NOT_NOW]);
    expect(await experiments.actions(flag)).toEqual(['CREATE_EXPERIMENT', 'START_EXPERIMENT', 'COMPLETE_EXPERIMENT']);
  });

  test('is refused while the metrics store is down, and changes nothing; reading results gives the same error', async () => {
    const { id, flag } = await experiments.running();
    const before = await experiments.prisma.experiment.findUnique({ where: { id } });
    away = true;
    expect(refusal(await experiments.to('complete', id))).toEqual({ code: 'SERVICE_UNAVAILABLE' });
    const answer = await experiments.ask(
      user('READ'),
      '{ experiment(id: "' + id + '") { name results { significant } } }',
    );
    away = false;
    expect(answer.data).toEqual({ experiment: { name: 'Faster charging', results: null } });
    expect(refusal(answer)).toEqual({ code: 'SERVICE_UNAVAILABLE' });
    expect(await experiments.prisma.experiment.findUnique({ where: { id } })).toEqual(before);
    expect(await experiments.actions(flag)).toEqual(['CREATE_EXPERIMENT', 'START_EXPERIMENT']);
  });
});

describe('cancelling an experiment', () => {
  test.each(['draft', 'running'])('ends an experiment that is %s, with the reason', async (from) => {
    const { id, flag } =
      from === 'running'
        ? await experiments.running()
        : await experiments.newFlag().then(async (of) => ({ flag: of, id: await experiments.draft(of) }));
    const { data } = await experiments.to('cancel', id, ', reason: " The metric is broken "');
    expect(data.experiment).toMatchObject({ status: 'CANCELLED', cancelReason: 'The metric is broken' });
    expect(await experiments.lastAudit()).toMatchObject({
      action: 'CANCEL_EXPERIMENT',
      flagId: flag.id,
      beforeValue: { status: from },
      afterValue: { status: 'cancelled', reason: 'The metric is broken' },
    });
    expect(
      (await experiments.ask(user('READ'), `{ experiment(id: "${id}") { results { significant } } }`)).data,
    ).toEqual({ experiment: { results: null } });
  });

  test('is refused for an experiment that has ended: that status is final', async () => {
    const { id } = await experiments.running();
    await experiments.to('complete', id);
    expect(refusal(await experiments.to('cancel', id, ', reason: "Too late"'))).toEqual(NOT_NOW);
    expect(refusal(await experiments.to('start', id))).toEqual(NOT_NOW);
    expect(await experiments.statusOf(id)).toBe('completed');
  });

  test.each(['', '   ', 'x'.repeat(1_001)])('needs a reason that is not blank', async (reason) => {
    const { id } = await experiments.running();
    expect(refusal(await experiments.to('cancel', id, `, reason: "${reason}"`))).toEqual({
      code: 'BAD_USER_INPUT',
      field: 'reason',
    });
    expect(await experiments.statusOf(id)).toBe('running');
  });
});

test('only callers who may write can change the status of experiments', async () => {
  const { id } = await experiments.running();
  for (const what of ['start', 'complete'] as const) {
    for (const caller of [user('READ'), user('SAFETY')])
      expect(refusal(await experiments.to(what, id, '', caller))).toEqual({ code: 'FORBIDDEN' });
  }
  expect(refusal(await experiments.to('cancel', id, ', reason: "No"', ANONYMOUS))).toEqual({ code: 'UNAUTHENTICATED' });
  expect(refusal(await experiments.ask(user('READ'), UPDATE, { id, input: {} }))).toEqual({ code: 'FORBIDDEN' });
  expect(await experiments.statusOf(id)).toBe('running');
});

test('an error of the store is not shown to callers', async () => {
  const { id } = await experiments.running();
  away = true;
  const { errors } = await experiments.to('complete', id);
  away = false;
  expect(errors).toHaveLength(1);
  expect(JSON.stringify(errors)).not.toContain('ECONNREFUSED');
});
