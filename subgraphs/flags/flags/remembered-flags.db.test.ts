import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals';
import { firstPage } from '../../shared/subgraph/pagination.ts';
import { identityOf, silent } from '../../shared/testing/asking.ts';
import { eventually } from '../../../core/testing/eventually.ts';
import { createFlagChanges } from '../changes/change.ts';
import { RememberedFlags } from './remembered-flags.ts';
import { FlagService } from './flag-service.ts';
import { FlagsUnderTest } from '../testing/flags-under-test.ts';

/** Longer than any test. */
const NEVER_MS = 3_600_000;

let flags: FlagsUnderTest;
/** Of another instance than `flags`, which shares its database and its bus. */
let memory: RememberedFlags;

beforeAll(async () => {
  flags = await FlagsUnderTest.start();
});
afterAll(() => flags.remove());
afterEach(async () => {
  await memory.close();
  flags.bus.lost = false;
});

async function remembering(pollIntervalMs: number): Promise<void> {
  memory = new RememberedFlags(flags.prisma, silent);
  await memory.start(flags.bus, pollIntervalMs);
}
const named = (key: string) => memory.named('key', [key])?.[0];
const evaluated = (key: string) =>
  memory.definitions('staging')?.definitions.find(({ definition }) => definition.key === key)?.definition.rules;
const listed = (keyPrefix: string) => memory.page({ keyPrefix }, firstPage(10))?.totalCount;

test('an instance has its own changes in its cache when it answers, before any announcement', async () => {
  flags.bus.lost = true;
  await remembering(NEVER_MS);
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
  // A further refresh reads the same, and no flag twice.
  await memory.refresh();
  expect([named(key)?.environment, listed(key)]).toEqual(['development', 1]);
  await service.archiveFlag(identity, key, null);
  expect([named(key), listed(key), evaluated(key)]).toEqual([undefined, 0, undefined]);
});

test('a draft is not cached', async () => {
  flags.bus.lost = true;
  await remembering(NEVER_MS);
  const changes = createFlagChanges(flags.prisma, flags.signer, flags.bus, silent);
  const service = new FlagService(flags.prisma, memory.noting(changes));
  const key = flags.newKey();
  const input = { key, name: 'A flag', type: 'boolean', defaultValue: false, environment: 'staging' } as const;
  const { applied } = await service.createFlag(identityOf(flags.writer), { ...input, safetyLevel: 'ASIL-D' });
  expect([applied, named(key), listed(key)]).toEqual([false, undefined, 0]);
});

test("an instance learns of another's changes by announcements", async () => {
  await remembering(NEVER_MS);
  const { key } = await flags.create();
  await eventually(() => named(key) !== undefined);
});

test('a change whose announcement was lost is found by the poll', async () => {
  flags.bus.lost = true;
  await remembering(10);
  const { key } = await flags.create();
  await eventually(() => named(key) !== undefined);
});
