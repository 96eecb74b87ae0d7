import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import type { Environment } from '../../../core/model.ts';
import type { CallerIdentity } from '../../../core/access/caller.ts';
import { createInProcessBus } from '../../shared/feeds/bus.ts';
import { identityOf, silent, user } from '../../shared/testing/asking.ts';
import { ChangeRequestService } from '../changes/requests/change-request-service.ts';
import { createFlagChanges } from '../changes/change.ts';
import { parseEnvironmentFile, type FlagEntry } from '../../../core/wire/flag-files/environment-file.ts';
import { databaseClock } from '../rollouts/database-clock.ts';
import { RolloutTransitions } from '../rollouts/rollout-transitions.ts';
import { ImportService, exportEnvironment, planImport, type ImportOutcome, type ImportPlan } from './import-service.ts';
import { FlagsUnderTest } from '../testing/flags-under-test.ts';
import { is } from '../../../core/json/shape.ts';
import { rowCount, rowsOf } from '../../shared/postgres/rows.ts';
import { lockRevision } from '../flags/flag-store.ts';
import { eventually } from '../../../core/testing/eventually.ts';

const VIN = 'KMHK281HGNU000001';

let flags: FlagsUnderTest;
let elsewhere: FlagsUnderTest;

beforeAll(async () => {
  [flags, elsewhere] = await Promise.all([FlagsUnderTest.start(), FlagsUnderTest.start()]);
}, 120_000);

afterAll(async () => {
  await Promise.all([flags?.remove(), elsewhere?.remove()]);
}, 60_000);

const identity = (under: FlagsUnderTest): CallerIdentity =>
  identityOf(under.writer, { ipAddress: null, userAgent: 'fleetflag-admin' });

async function apply(under: FlagsUnderTest, plan: ImportPlan, archiveMissing = false): Promise<ImportOutcome[]> {
  const service = new ImportService(createFlagChanges(under.prisma, under.signer, createInProcessBus(), silent));
  const outcomes: ImportOutcome[] = [];
  for await (const outcome of service.apply(identity(under), plan, archiveMissing)) outcomes.push(outcome);
  return outcomes;
}

/** Approves all pending requests as a second person; gives their number. */
async function approveAll(under: FlagsUnderTest): Promise<number> {
  const { id } = await under.prisma.user.create({
    data: { email: `${randomUUID()}@example.com`, name: 'S', passwordHash: '-', role: 'SAFETY' },
  });
  const requests = new ChangeRequestService(
    under.prisma,
    under.prisma,
    createFlagChanges(under.prisma, under.signer, createInProcessBus(), silent),
    new RolloutTransitions(databaseClock),
  );
  const waiting = await requests.list({ status: 'pending' });
  for (const request of waiting) await requests.approve(identityOf(user('SAFETY', id)), request.id);
  return waiting.length;
}

const read = (text: string): readonly FlagEntry[] => {
  const { flags: entries, faults } = parseEnvironmentFile(text);
  expect(faults).toEqual([]);
  return entries;
};

const planFor = async (environment: Environment, text: string, under = flags) =>
  planImport(under.prisma, environment, read(text));
const exported = (environment: Environment, under = flags) => exportEnvironment(under.prisma, environment);

test('an environment that was exported, imported elsewhere and exported again gives the same bytes', async () => {
  await flags.create({ environment: 'DEVELOPMENT', key: 'plain' });
  await flags.create({
    environment: 'DEVELOPMENT',
    key: 'tricky',
    type: 'JSON',
    description: 'one\n  two\n\nthree: yes',
    defaultValue: {
      yes: 'no',
      '2024-01-31': null,
      n: [0.1, 1e-21, -5e-324, 9007199254740991],
      '': { 漢字: '🚗\u2028' },
      __proto: 'x',
      10: 1,
      9: 2,
    },
    safetyLevel: 'ASIL_D',
    enabled: true,
  });
  await flags.create({ environment: 'DEVELOPMENT', key: 'ruled', type: 'NUMBER', defaultValue: 0.1 });
  await flags.addRule('ruled', {
    type: 'VEHICLE_WHITELIST',
    priority: 3,
    conditions: { vins: [VIN] },
    value: 0.30000000000000004,
    variant: 'pilot',
  });
  await flags.addRule('ruled', {
    type: 'PERCENTAGE_ROLLOUT',
    priority: 30,
    enabled: false,
    conditions: { rollout_percentage: 12.5 },
  });
  await flags.addRule('ruled', {
    type: 'KILL_SWITCH',
    priority: 3,
    conditions: { force_disabled: true, reason: 'off' },
  });

  const file = await exported('development');
  const outcomes = await apply(elsewhere, await planFor('development', file, elsewhere));
  expect(outcomes.map(({ key, done }) => [key, done])).toEqual([
    ['plain', 'created'],
    ['ruled', 'created'],
    ['tricky', 'created'],
  ]);
  // A second person must also approve that the ASIL-D flag exists, and with it the set.
  expect(outcomes.map(({ waits }) => waits)).toEqual([true, true, true]);
  expect(await approveAll(elsewhere)).toBe(1);
  expect(await exported('development', elsewhere)).toBe(file);
  expect((await planFor('development', file, elsewhere)).differences).toEqual([]);

  // Each flag is one change in the requester's name, made where the reviewer is; a kill switch is recorded separately.
  const rows = await elsewhere.prisma.auditLog.findMany({ where: { flag: { key: 'ruled' } } });
  expect(rows.map(({ action, userId, userAgent }) => ({ action, userId, userAgent }))).toEqual(
    ['CREATE_FLAG', 'KILL_SWITCH'].map((action) => ({
      action,
      userId: elsewhere.writer.userId,
      userAgent: 'test/1.0',
    })),
  );
  const { flagSync } = await elsewhere.ok<{ flagSync: { revision: number; flags: { key: string }[] } }>(
    '{ flagSync(environment: DEVELOPMENT) { revision flags { key } } }',
  );
  expect(flagSync.flags.map(({ key }) => key).sort()).toEqual(['plain', 'ruled', 'tricky']);
});

test('making a plan writes nothing', async () => {
  const before = await flags.everything();
  const plan = await planFor('development', 'fleetflag: 1\nflags: {}');
  expect(plan.differences.map(({ kind }) => kind)).toEqual(['only-here', 'only-here', 'only-here']);
  expect(await flags.everything()).toEqual(before);
});

test('flags of one file may depend on each other in any order, and come back with their scopes and dependencies', async () => {
  const base = { environment: 'DEVELOPMENT', scope: ['Model B', 'Model A'] };
  const last = await flags.create({ ...base, key: 'z_base' });
  await flags.addRule(last.key, { type: 'PERCENTAGE_ROLLOUT', conditions: { rollout_percentage: 5 }, variant: 'v' });
  await flags.create({ ...base, key: 'z_other' });
  await flags.create({
    ...{ ...base, key: 'a_top', requires: [{ flagKey: 'z_base', variants: ['v'] }], excludes: ['z_other'] },
  });
  const file = await exported('development');
  expect(file).toContain('scope:');
  const outcomes = await apply(elsewhere, await planFor('development', file, elsewhere));
  expect(outcomes.map(({ key, done, waits }) => [key, done, waits])).toEqual(
    ['a_top', 'z_base', 'z_other'].map((key) => [key, 'created', false]),
  );
  expect(await exported('development', elsewhere)).toBe(file);
  // A file that breaks a dependency is refused whole.
  const without = file.slice(0, file.indexOf('  z_base:')) + file.slice(file.indexOf('  z_other:'));
  const broken = await apply(elsewhere, await planFor('development', without, elsewhere), true);
  expect(new Set(broken.map(({ done }) => done))).toEqual(new Set(['failed']));
  expect(await exported('development', elsewhere)).toBe(file);
});

test('a changed flag is one revision and one audit row; rules that stay keep their ids, and unchanged ones their times', async () => {
  const { key } = await flags.create();
  await flags.addRule(key, { type: 'VEHICLE_WHITELIST', conditions: { vins: [VIN] } });
  await flags.addRule(key, { type: 'VEHICLE_TARGET', conditions: { models: ['A'] } });
  await flags.addRule(key, { type: 'PERCENTAGE_ROLLOUT', conditions: { rollout_percentage: 5 } });
  const rules = async () =>
    new Map((await flags.prisma.rule.findMany({ where: { flag: { key } } })).map((rule) => [rule.type, rule]));
  const [before, revision] = [await rules(), await flags.revision()];

  const file = (await exported('staging'))
    .replace(/name: A flag\n/, 'name: Another name\n')
    .replace('- A\n', '- B\n')
    .replace('type: percentage_rollout\n        priority: 100', 'type: percentage_rollout\n        priority: 7');
  const plan = await planFor('staging', file);
  expect(plan.faults).toEqual([]);
  expect(await apply(flags, plan)).toEqual([{ key, done: 'changed', waits: false }]);

  const after = await rules();
  expect(after.get('vehicle_whitelist')).toEqual(before.get('vehicle_whitelist'));
  expect(after.get('vehicle_target')).toMatchObject({
    id: before.get('vehicle_target')?.id,
    conditions: { models: ['B'] },
  });
  expect(after.get('percentage_rollout')).toMatchObject({ id: before.get('percentage_rollout')?.id, priority: 7 });
  expect(await flags.revision()).toBe(revision + 1);
  const [row] = await flags.prisma.auditLog.findMany({
    where: { flag: { key } },
    orderBy: { chainPosition: 'desc' },
    take: 1,
  });
  expect(row).toMatchObject({
    action: 'UPDATE_FLAG',
    userId: flags.writer.userId,
    beforeValue: { name: 'A flag' },
    afterValue: { name: 'Another name' },
  });
  expect(await exported('staging')).toBe(file);
});

test('a flag that the file lacks stays, or is archived when that is requested', async () => {
  const { key } = await flags.create({ environment: 'PRODUCTION' });
  const plan = await planFor('production', 'fleetflag: 1\nflags: {}');
  expect(plan.differences).toEqual([{ kind: 'only-here', key }]);
  expect(await apply(flags, plan)).toEqual([]);
  expect(await apply(flags, plan, true)).toEqual([{ key, done: 'archived', waits: false }]);
  expect((await flags.prisma.flag.findUniqueOrThrow({ where: { key } })).archivedAt).not.toBeNull();
});

const one = (key: string, more = '', type = 'boolean, defaultValue: false') =>
  `fleetflag: 1\nflags:\n  ${key}: {name: A flag, type: ${type}, safetyLevel: Non-Critical, enabled: false${more}}\n`;

test('everything that does not fit the environment is reported with its path, and then nothing is written', async () => {
  const [there, gone, typed, killed] = [
    await flags.create({ environment: 'STAGING' }),
    await flags.create(),
    await flags.create({ environment: 'PRODUCTION' }),
    await flags.create({ environment: 'PRODUCTION' }),
  ];
  await flags.ok('mutation ($key: String!) { archiveFlag(key: $key) { applied } }', { key: gone.key });
  await flags.ok('mutation ($key: String!) { killSwitch(flagKey: $key, reason: "fault in the field") { applied } }', {
    key: killed.key,
  });
  const body = (text: string) => text.split('\n').slice(2).join('\n');
  const file =
    one('fresh_key') +
    body(one(there.key)) +
    body(one(gone.key)) +
    body(one(typed.key, '', 'string, defaultValue: x')) +
    body(one(killed.key));
  const plan = await planFor('production', file);
  expect(new Map(plan.faults.map(({ path, message }) => [path, message]))).toEqual(
    new Map([
      [`flags.${there.key}`, expect.stringContaining('already exists in staging')],
      [`flags.${gone.key}`, expect.stringContaining('archived')],
      [`flags.${typed.key}.type`, expect.stringContaining('of type boolean')],
      [`flags.${killed.key}.rules`, expect.stringContaining('kill switch is pulled')],
    ]),
  );
  const before = await flags.everything();
  await expect(apply(flags, plan, true)).rejects.toMatchObject({ code: 'BAD_USER_INPUT' });
  expect(await flags.everything()).toEqual(before);
});

test('a flag that changed after the comparison is not overwritten, and nothing else is imported without it', async () => {
  const [a, b] = [
    await elsewhere.create({ environment: 'PRODUCTION' }),
    await elsewhere.create({ environment: 'PRODUCTION' }),
  ];
  const renamed = await exported('production', elsewhere);
  const plan = await planFor('production', renamed.replaceAll('name: A flag', 'name: Renamed'), elsewhere);
  await elsewhere.ok('mutation ($key: String!) { killSwitch(flagKey: $key, reason: "meanwhile") { applied } }', {
    key: a.key,
  });
  expect(await apply(elsewhere, plan)).toEqual([
    { key: a.key, done: 'failed', waits: false, message: expect.stringContaining('has changed since') },
    { key: b.key, done: 'failed', waits: false, message: expect.stringContaining(a.key) },
  ]);
  for (const { key } of [a, b])
    expect(await elsewhere.prisma.flag.findUniqueOrThrow({ where: { key } })).toMatchObject({ name: 'A flag' });
});

test('a new ASIL-D flag that a kill switch holds has it recorded and announced once a second person approves', async () => {
  await elsewhere.prisma.webhook.create({
    data: { name: 'W', url: 'https://receiver.invalid', kinds: ['kill_switch.pulled'], secretSeed: 's'.repeat(43) },
  });
  const rule = '{type: kill_switch, priority: 1, enabled: true, conditions: {force_disabled: true, reason: Smoke}}';
  const file = one('held_assist', `, rules: [${rule}]`).replace('Non-Critical', 'ASIL-D');
  await apply(elsewhere, await planFor('production', file, elsewhere));
  const announced = () => elsewhere.prisma.webhookDelivery.findMany({ where: { kind: 'kill_switch.pulled' } });
  expect(await announced()).toEqual([]);
  expect(await approveAll(elsewhere)).toBe(1);
  const rows = await elsewhere.prisma.auditLog.findMany({
    where: { flag: { key: 'held_assist' } },
    orderBy: { chainPosition: 'asc' },
  });
  expect(rows.map(({ action }) => action)).toEqual(['REQUEST_CHANGE', 'APPROVE_CHANGE', 'CREATE_FLAG', 'KILL_SWITCH']);
  expect(rows.at(-1)).toMatchObject({ userId: elsewhere.writer.userId, afterValue: { reason: 'Smoke' } });
  expect(await announced()).toMatchObject([{ payload: { flagKey: 'held_assist', reason: 'Smoke' } }]);
});

test('a new ASIL-D flag is a complete draft, and no vehicle receives it before a second person approves', async () => {
  const file = one(
    'brake_assist',
    ', rules: [{type: vehicle_target, priority: 1, enabled: true, conditions: {models: [A]}}]',
  ).replace('Non-Critical, enabled: false', 'ASIL-D, enabled: true');
  const [plan, revision] = [await planFor('production', file, elsewhere), await elsewhere.revision('production')];
  const outcomes = await apply(elsewhere, plan);
  expect(outcomes).toEqual([{ key: 'brake_assist', done: 'created', waits: true }]);
  const flag = () =>
    elsewhere.prisma.flag.findUniqueOrThrow({ where: { key: 'brake_assist' }, include: { rules: true } });
  expect(await flag()).toMatchObject({ draft: true, revision: 0n, enabled: true, rules: [{ type: 'vehicle_target' }] });
  expect(await elsewhere.revision('production')).toBe(revision);
  expect((await planFor('production', file, elsewhere)).faults).toEqual([
    { path: 'flags.brake_assist', message: expect.stringContaining('is waiting for its first approval') },
  ]);

  expect(await approveAll(elsewhere)).toBe(1);
  expect(await flag()).toMatchObject({
    draft: false,
    archivedAt: null,
    enabled: true,
    rules: [{ type: 'vehicle_target' }],
  });
  expect(await elsewhere.revision('production')).toBe(revision + 1);
});

test('a kill switch in a file is pulled at once with its reason, even when the rest of the flag has to wait', async () => {
  const { key } = await elsewhere.create({ environment: 'PRODUCTION', safetyLevel: 'ASIL_D', enabled: true });
  const file = await exported('production', elsewhere);
  const at = file.indexOf(`  ${key}:`);
  const withKill = (reason: string) =>
    file.slice(0, at) +
    file
      .slice(at)
      .replace('name: A flag', 'name: Renamed')
      .replace('rules: []', `rules: [{type: kill_switch, priority: 1, conditions: {force_disabled: true${reason}}}]`);
  expect((await planFor('production', withKill(''), elsewhere)).faults.map(({ path }) => path)).toEqual([
    `flags.${key}.rules.0.conditions.reason`,
  ]);

  const outcomes = await apply(elsewhere, await planFor('production', withKill(', reason: smoke'), elsewhere));
  expect(outcomes).toContainEqual({ key, done: 'changed', waits: true });
  const shown = await elsewhere.prisma.flag.findUniqueOrThrow({
    where: { key },
    include: { rules: true, changeRequests: { where: { status: 'pending' } } },
  });
  expect(shown).toMatchObject({
    name: 'A flag',
    rules: [{ type: 'kill_switch', enabled: true }],
    changeRequests: [{ action: 'UPDATE_FLAG' }],
  });
  const trail = await elsewhere.prisma.auditLog.findMany({
    where: { flagId: shown.id },
    orderBy: { chainPosition: 'desc' },
    take: 2,
  });
  expect(trail.map(({ action, afterValue }) => [action, (afterValue as { reason?: string }).reason])).toEqual([
    ['REQUEST_CHANGE', undefined],
    ['KILL_SWITCH', 'smoke'],
  ]);
  expect(await approveAll(elsewhere)).toBe(1);
  expect(await elsewhere.prisma.flag.findUniqueOrThrow({ where: { key }, include: { rules: true } })).toMatchObject({
    name: 'Renamed',
    rules: [{ type: 'kill_switch', enabled: true }],
  });
});

test('an import that a kill switch or the database ends says so, and has written nothing', async () => {
  const plan = await planFor(
    'staging',
    'fleetflag: 1\nflags:\n  ended_import:\n    name: Ended\n    type: boolean\n    safetyLevel: Non-Critical\n    enabled: true\n    defaultValue: false\n',
  );
  const before = await flags.everything();
  const outcomes = await flags.prisma.$transaction(
    async (tx) => {
      const [session] = await rowsOf(tx, { pid: is.number })`SELECT pg_backend_pid() AS pid`;
      await lockRevision(tx, 'staging');
      const applying = apply(flags, plan);
      await eventually(
        // Outside the transaction, which would see the sessions of its first look only.
        async () =>
          (await rowCount(flags.prisma)`
            SELECT pg_terminate_backend(pid) FROM pg_stat_activity
            WHERE ${session?.pid}::int = ANY(pg_blocking_pids(pid))`) === 1,
        'the import waits for the environment',
      );
      return applying;
    },
    { timeout: 60_000 },
  );
  expect(outcomes).toEqual([
    {
      ...{ key: 'ended_import', done: 'failed', waits: false },
      message: expect.stringMatching(/nothing of it is.*a kill switch came first.*Run it again/),
    },
  ]);
  expect(await flags.everything()).toEqual(before);
});
