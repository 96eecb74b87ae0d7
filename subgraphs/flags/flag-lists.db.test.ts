import { afterAll, beforeAll, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { ENVIRONMENTS, FLAG_TYPES, SAFETY_LEVELS } from '../../core/model.ts';
import { isKilled } from '../../core/evaluation/evaluate.ts';
import { refusal, silent, user } from '../shared/testing/asking.ts';
import { rounds } from '../shared/testing/rounds.ts';
import { ENUMS } from '../shared/graphql-enums.ts';
import type { Flag } from './flag.ts';
import type { FlagSearch } from './flag-search.ts';
import { RememberedFlags } from './remembered-flags.ts';
import { findFlags } from './store.ts';
import { FlagsUnderTest } from './testing/flags-under-test.ts';

const STATUSES = [null, null, ...Object.values(ENUMS.RolloutStatus)];
const READER = user('READ');
const PREFIXES = ['', 'adas', 'adas_1', 'body.', 'BODY', 'a%', 'a_a', '\\'];

let under: FlagsUnderTest;
let memory: RememberedFlags;
let all: Flag[];
let withRollout: Set<string>;

/** The word that the API has for a stored one. */
const wordFor = (words: Record<string, string>, stored: string | null | undefined) => (stored ? (Object.keys(words).find((word) => words[word] === stored) ?? null) : stored);
const filterOf = (search: FlagSearch) => ({
  ...search,
  environment: wordFor(ENUMS.Environment, search.environment),
  safetyLevel: wordFor(ENUMS.SafetyLevel, search.safetyLevel),
  type: wordFor(ENUMS.FlagType, search.type),
});

beforeAll(async () => {
  under = await FlagsUnderTest.start();
  const { prisma } = under;
  for (let n = 0; n < 40; n++) {
    const type = FLAG_TYPES[n % FLAG_TYPES.length]!;
    const environment = ENVIRONMENTS[n % 3]!;
    const status = STATUSES[n % STATUSES.length] ?? null;
    // Several of an instant, and of a name.
    const createdAt = new Date(1_700_000_000_000 + Math.floor(n / 3));
    const { id } = await prisma.flag.create({
      data: {
        key: `${n % 2 === 0 ? 'adas' : 'body'}${n % 4 < 2 ? '_' : '.'}${n}`, name: `Name ${n % 5}`, type, defaultValue: { value: false }, enabled: n % 4 === 0, safetyLevel: SAFETY_LEVELS[n % 4]!, environment, createdAt,
        updatedAt: new Date(1_800_000_000_000 - Math.floor(n / 2)), archivedAt: n % 11 === 10 ? createdAt : null, signedDefinition: 'a.b.c',
        ...(n % 3 === 0 && { rules: { create: { type: 'kill_switch', priority: 1, enabled: n % 2 === 0, conditions: {} } } }),
      },
    });
    if (status === null) continue;
    const rule = await prisma.rule.create({ data: { flagId: id, type: 'percentage_rollout', priority: 0, enabled: true, conditions: { rollout_percentage: 5 } } });
    await prisma.rollout.create({ data: { flagId: id, ruleId: rule.id, environment, status, scheduledById: under.writer.userId! } });
  }
  all = await findFlags(prisma, {});
  withRollout = new Set((await prisma.rollout.findMany({ where: { status: { in: ['waiting_for_approval', 'running', 'paused'] } } })).map(({ flagId }) => flagId));
  memory = new RememberedFlags(prisma, silent);
  await memory.refresh();
});
afterAll(() => under.remove());

const maybe = <T>(...values: readonly T[]) => fc.option(fc.constantFrom(...values), { nil: undefined, freq: 1 });
const someSearch: fc.Arbitrary<FlagSearch> = fc.record({
  environment: maybe(...ENVIRONMENTS),
  enabled: maybe(true, false, null),
  safetyLevel: maybe(...SAFETY_LEVELS),
  archived: maybe(true, false),
  killed: maybe(true, false, null),
  type: maybe(...FLAG_TYPES),
  hasRollout: maybe(true, false, null),
  keyPrefix: maybe(...PREFIXES),
}, { requiredKeys: [] });

/** What a search is to find, in no order. */
function wanted(search: FlagSearch): Flag[] {
  const is = <T>(asked: T | null | undefined, actual: T) => asked === null || asked === undefined || asked === actual;
  return all.filter(
    (flag) =>
      is(search.environment, flag.environment) &&
      is(search.enabled, flag.enabled) &&
      is(search.safetyLevel, flag.safetyLevel) &&
      (flag.archivedAt !== null) === (search.archived ?? false) &&
      is(search.killed, isKilled(flag.rules)) &&
      is(search.type, flag.type) &&
      is(search.hasRollout, withRollout.has(flag.id)) &&
      flag.key.startsWith(search.keyPrefix ?? ''),
  );
}

const keysOf = (flags: readonly { key: string }[]) => flags.map(({ key }) => key);

test('filters give together what each of them gives, from the database and from memory', async () => {
  await fc.assert(
    fc.asyncProperty(someSearch, async (search) => {
      const found = (await under.ok<{ flags: { totalCount: number; nodes: { key: string }[] } }>('query ($filter: FlagFilter) { flags(filter: $filter, first: 100) { totalCount nodes { key } } }', { filter: filterOf(search) }, READER)).flags;
      expect(keysOf(found.nodes).sort()).toEqual(keysOf(wanted(search)).sort());
      expect(found.totalCount).toBe(found.nodes.length);
      const remembered = memory.page(search, 100, null);
      if (search.archived === true || typeof search.hasRollout === 'boolean') expect(remembered).toBeNull();
      else expect(keysOf(remembered?.flags ?? []).sort()).toEqual(keysOf(wanted(search)).sort());
    }),
    { numRuns: rounds(60, 600) },
  );
});

test.each([['a\0b'], ['k'.repeat(101)], ['\ud83d']])('refuses the prefix %j, which no key can have', async (keyPrefix) => {
  expect(refusal(await under.ask(READER, 'query ($filter: FlagFilter) { flags(filter: $filter) { totalCount } }', { filter: { keyPrefix } }))).toEqual({ code: 'BAD_USER_INPUT', field: 'filter.keyPrefix' });
});
