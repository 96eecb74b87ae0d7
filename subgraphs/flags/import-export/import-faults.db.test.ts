/** The report of a dry run: all faults for which the import itself would be refused, with code and path. */
import { afterAll, beforeAll, beforeEach, expect, test } from '@jest/globals';
import { createInProcessBus } from '../../shared/feeds/bus.ts';
import { identityOf, silent } from '../../shared/testing/asking.ts';
import type { FlagEntry } from '../../../core/wire/flag-files/environment-file.ts';
import { createFlagChanges } from '../changes/change.ts';
import { MAX_FLAGS } from '../flags/limits.ts';
import { FlagsUnderTest } from '../testing/flags-under-test.ts';
import { ImportService, planImport } from './import-service.ts';

let flags: FlagsUnderTest;
beforeAll(async () => {
  flags = await FlagsUnderTest.start();
  await flags.ok(
    'mutation { saveSegment(key: "tagged", name: "Tagged", conditions: { tags: ["pilot"] }) { applied } }',
  );
});
afterAll(() => flags.remove());
beforeEach(async () => {
  await flags.prisma.flag.updateMany({ data: { archivedAt: new Date(), enabled: false } });
});

const entry = (key: string, over: Partial<FlagEntry> = {}): FlagEntry => ({
  ...{ key, name: key, description: null, type: 'boolean', defaultValue: false, safetyLevel: 'Non-Critical' },
  ...{
    enabled: false,
    scope: null,
    requires: [],
    excludes: [],
    valueSchema: null,
    activation: 'IMMEDIATE',
    killActivation: 'IMMEDIATE',
    rules: [],
  },
  ...over,
});

const inSegment = (segment: string): FlagEntry['rules'] => [
  {
    ...{ type: 'vehicle_target', priority: 100, enabled: true, conditions: { segment }, value: null, variant: null },
  },
];

const requires = (flag: string, ...variants: string[]) => [variants.length === 0 ? { flag } : { flag, variants }];

const plan = (entries: readonly FlagEntry[], archiveMissing = false) =>
  planImport(flags.prisma, 'staging', entries, archiveMissing);

/** Gives why an import is refused that is made all the same. */
async function refusedWith(entries: readonly FlagEntry[], archiveMissing: boolean): Promise<(string | undefined)[]> {
  const service = new ImportService(createFlagChanges(flags.prisma, flags.signer, createInProcessBus(), silent));
  const outcomes = [];
  const planned = { ...(await plan(entries, archiveMissing)), faults: [] };
  for await (const outcome of service.apply(identityOf(flags.writer), planned, archiveMissing)) outcomes.push(outcome);
  expect(outcomes.map(({ done }) => done)).toEqual(outcomes.map(() => 'failed'));
  return outcomes.map(({ message }) => message);
}

const many = (count: number, scope: FlagEntry['scope']) =>
  Array.from({ length: count }, (_, index) => entry(`many_${String(index).padStart(3, '0')}`, { scope }));

test.each<[string, readonly FlagEntry[], string, string]>([
  [
    'a segment that is missing',
    [entry('a', { rules: inSegment('none') })],
    'BAD_USER_INPUT',
    'flags.a.rules.0.conditions.segment',
  ],
  [
    'tags in a segment of an ASIL-D flag',
    [entry('a', { rules: inSegment('tagged'), safetyLevel: 'ASIL-D' })],
    ...(['CONFLICT', 'flags.a.rules.0.conditions.segment'] as const),
  ],
  [
    'a required flag that is missing',
    [entry('a', { requires: requires('none') })],
    'BAD_USER_INPUT',
    'flags.a.requires.0.flag',
  ],
  ['an excluded flag that is missing', [entry('a', { excludes: ['none'] })], 'BAD_USER_INPUT', 'flags.a.excludes.0'],
  [
    'a variant that no rule serves',
    [entry('a', { requires: requires('b', 'on') }), entry('b')],
    ...(['BAD_USER_INPUT', 'flags.a.requires.0.variants.0'] as const),
  ],
  [
    'a cycle',
    [entry('a', { requires: requires('b') }), entry('b', { excludes: ['a'] })],
    ...(['BAD_USER_INPUT', 'flags.a.requires.0.flag'] as const),
  ],
  [
    'a required flag that not all vehicles have',
    [entry('a', { requires: requires('b') }), entry('b', { scope: ['Model A'] })],
    ...(['BAD_USER_INPUT', 'flags.a.requires.0.flag'] as const),
  ],
  ['a partition that is full', many(MAX_FLAGS + 1, ['Model A']), 'LIMIT_EXCEEDED', 'flags.many_000.scope'],
  ['an environment that is full', many(MAX_FLAGS + 1, null), 'LIMIT_EXCEEDED', 'flags.many_000.scope'],
])('the check of a file names %s, as the import would', async (_, entries, code, path) => {
  const before = await flags.everything();
  const { faults } = await plan(entries);
  expect(faults[0]).toEqual({ code, path, message: expect.any(String) });
  expect(await refusedWith(entries, false)).toContain(faults[0]?.message);
  expect(await flags.everything()).toEqual(before);
});

test('the check of a file names what is archived although others need it, and nothing of what fits', async () => {
  const base = await flags.create();
  const { key } = await flags.create({ requires: [{ flagKey: base.key }] });
  const kept = entry(key, { name: 'Another name', requires: requires(base.key) });
  expect((await plan([kept])).faults).toEqual([]);
  const { faults } = await plan([kept], true);
  expect(faults).toContainEqual({ code: 'CONFLICT', path: `flags.${base.key}`, message: expect.stringContaining(key) });
  expect(await refusedWith([kept], true)).toContain(faults.at(-1)?.message);
});

test('the check names all faults of a file at once', async () => {
  const { faults } = await plan([
    entry('a', { rules: inSegment('none') }),
    entry('b', { requires: requires('none') }),
    entry('c', { excludes: ['none'] }),
  ]);
  expect(faults.map(({ path }) => path)).toEqual([
    'flags.a.rules.0.conditions.segment',
    'flags.b.requires.0.flag',
    'flags.c.excludes.0',
  ]);
});

test('the check lets a file pass that fills a partition where as many are archived', async () => {
  for (let index = 0; index < 2; index++) await flags.create({ scope: ['Model A'] });
  const entries = many(MAX_FLAGS, ['Model A']);
  expect((await plan(entries)).faults).toMatchObject([{ code: 'LIMIT_EXCEEDED' }]);
  expect((await plan(entries, true)).faults).toEqual([]);
});
