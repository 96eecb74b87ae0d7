import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from '@jest/globals';
import { firstPage } from '../../../../core/wire/api/pagination.ts';
import { identityOf, silent } from '../../../shared/testing/asking.ts';
import { createFlagChanges } from '../../changes/change.ts';
import { RememberedFlags } from './remembered-flags.ts';
import { FlagService } from '../flag-service.ts';
import { EnvironmentSnapshots } from '../../sync/snapshots/snapshots.ts';
import { backUp } from '../../testing/backup.ts';
import { FlagsUnderTest } from '../../testing/flags-under-test.ts';

let flags: FlagsUnderTest;
/** The memory of another instance than `flags`; both share a database. */
let memory: RememberedFlags;
let snapshots: EnvironmentSnapshots;

beforeAll(async () => {
  flags = await FlagsUnderTest.start();
});
afterAll(() => flags.remove());
beforeEach(async () => {
  memory = new RememberedFlags(flags.prisma);
  snapshots = new EnvironmentSnapshots({ prisma: flags.prisma, store: flags.store, logger: silent, follower: memory });
  await snapshots.refresh();
});
afterEach(() => snapshots.close());

const named = (key: string) => memory.named('key', [key])?.[0];
const evaluated = (key: string) =>
  memory.definitions('staging')?.definitions.find(({ definition }) => definition.key === key)?.definition.rules;
const listed = (keyPrefix: string) => memory.page({ keyPrefix }, firstPage(10))?.totalCount;

test('an instance has its own changes in its cache when it answers, before any read of the database', async () => {
  const changes = createFlagChanges(flags.prisma, flags.signer, flags.bus, silent);
  const service = new FlagService(flags.prisma, memory.noting(changes));
  const identity = identityOf({ ...flags.writer, role: 'ADMIN' });
  const key = flags.newKey();
  const input = { key, name: 'A flag', type: 'boolean', defaultValue: false, environment: 'staging' } as const;

  await service.createFlag(identity, { ...input, safetyLevel: 'Non-Critical' });
  expect([named(key)?.rules, listed(key), evaluated(key)]).toEqual([[], 1, []]);
  await service.killSwitch(identity, key, 'Fault in the field');
  const killed = [{ type: 'kill_switch' }];
  expect([named(key)?.rules, listed(key), evaluated(key)]).toMatchObject([killed, 1, killed]);
  await service.updateFlag(identity, key, { environment: 'development' }, null);
  expect([named(key)?.environment, listed(key)]).toEqual(['development', 1]);
  // A look reads the same, and no flag twice.
  await snapshots.refresh();
  expect([named(key)?.environment, listed(key)]).toEqual(['development', 1]);
  await service.archiveFlag(identity, key, null);
  expect([named(key), listed(key), evaluated(key)]).toEqual([undefined, 0, undefined]);
});

test('a change of its own that it hears of late hides nothing newer that was read meanwhile', async () => {
  const { key } = await flags.create();
  const { key: left } = await flags.create();
  const changes = createFlagChanges(flags.prisma, flags.signer, flags.bus, silent);
  // Between the commit and its answer another instance commits as well, and a look reads both.
  const meanwhile: Record<string, () => Promise<unknown>> = {
    [key]: () => flags.addRule(key, { type: 'VEHICLE_TARGET', conditions: { regions: ['EU'] } }),
    [left]: () => flags.ok('mutation ($key: String!) { archiveFlag(key: $key) { applied } }', { key: left }),
  };
  const late: typeof changes = {
    ...changes,
    async edit(...args) {
      const change = await changes.edit(...args);
      await meanwhile[change.flag.key]?.();
      await snapshots.refresh();
      return change;
    },
  };
  const service = new FlagService(flags.prisma, memory.noting(late));
  for (const each of [key, left]) await service.updateFlag(identityOf(flags.writer), each, { name: 'Another' }, null);
  expect([named(key)?.name, named(key)?.rules]).toMatchObject(['Another', [{ type: 'vehicle_target' }]]);
  expect([named(left), listed(left)]).toEqual([undefined, 0]);
});

test('a draft is not cached', async () => {
  const changes = createFlagChanges(flags.prisma, flags.signer, flags.bus, silent);
  const service = new FlagService(flags.prisma, memory.noting(changes));
  const key = flags.newKey();
  const input = { key, name: 'A flag', type: 'boolean', defaultValue: false, environment: 'staging' } as const;
  const { applied } = await service.createFlag(identityOf(flags.writer), { ...input, safetyLevel: 'ASIL-D' });
  expect([applied, named(key), listed(key)]).toEqual([false, undefined, 0]);
});

test('a look contains the changes that others committed before it, and reads only those whole', async () => {
  const { key } = await flags.create();
  const { key: other } = await flags.create();
  await snapshots.refresh();
  const [before, untouched] = [named(key), named(other)];
  await flags.addRule(key, { type: 'VEHICLE_TARGET', conditions: { regions: ['EU'] } });
  await snapshots.refresh();
  expect([before?.rules, named(key)?.rules]).toMatchObject([[], [{ type: 'vehicle_target' }]]);
  expect(named(other)).toBe(untouched);
  await flags.move(key, 'PRODUCTION');
  await snapshots.refresh();
  expect([named(key)?.environment, listed(key)]).toEqual(['production', 1]);
  await flags.ok('mutation ($key: String!) { archiveFlag(key: $key) { applied } }', { key });
  await snapshots.refresh();
  expect([named(key), listed(key)]).toEqual([undefined, 0]);
  // Archived: only the database has it.
  expect((await memory.byKeys([key, other])).map((flag) => flag.key).sort()).toEqual([key, other].sort());
});

test('a database that was restored to the same revision with other content is read again', async () => {
  const { key } = await flags.create({ type: 'STRING', defaultValue: 'first' });
  const restore = await backUp(flags.prisma);
  const set = (value: string) =>
    flags.ok(
      'mutation ($key: String!, $value: JSON!) { updateFlag(key: $key, input: { defaultValue: $value }) { applied } }',
      { key, value },
    );
  await set('second');
  await snapshots.refresh();
  expect(named(key)?.defaultValue).toBe('second');
  await restore();
  await set('third');
  await snapshots.refresh();
  expect(named(key)?.defaultValue).toBe('third');
});

test('what becomes of one answer reaches no other', async () => {
  const { key } = await flags.create({ type: 'JSON', defaultValue: { list: [1] } });
  const read = async () => {
    const identity = identityOf(flags.writer);
    const query = `{ flag(key: "${key}") { defaultValue } }`;
    const { data } = await flags.connection.execute({ query, identity });
    return (data?.['flag'] as { defaultValue: { list: number[] } }).defaultValue;
  };
  const first = await read();
  first.list.push(2);
  expect((await read()).list).toEqual([1]);
});
