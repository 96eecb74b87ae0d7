import { afterAll, beforeAll, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { ENVIRONMENTS, FLAG_TYPES, SAFETY_LEVELS } from '../../../../core/model.ts';
import { isKilled } from '../../../../core/evaluation/rules/kill-switch.ts';
import { refusal, silent, user } from '../../../shared/testing/asking.ts';
import { firstPage } from '../../../../core/wire/api/pagination.ts';
import { rounds } from '../../../../core/testing/rounds.ts';
import { ENUMS } from '../../../shared/subgraph/graphql-enums.ts';
import { findFlagsById } from './flag-reads.ts';
import type { Flag, StagedRelease } from '../flag.ts';
import { stagedContent } from '../staged-release.ts';
import type { FlagFilter } from '../../generated/resolvers.ts';
import { RememberedFlags } from '../remembered/remembered-flags.ts';
import { EnvironmentSnapshots } from '../../sync/snapshots/snapshots.ts';
import { FlagsUnderTest } from '../../testing/flags-under-test.ts';

const STATUSES = [null, null, ...Object.values(ENUMS.RolloutStatus)];
const RELEASE_STATUSES = [null, 'running', null, 'holding', null];
const STAGED: StagedRelease = {
  ...{ id: '0c6f3a50-8c5e-4a5b-9d0e-3f0c8f0f7a11', percentage: 1, canary: null },
  stable: {
    ...{ disabled: false, defaultValue: false, rules: [], requires: [], excludes: [], valueSchema: null },
    activation: 'IMMEDIATE',
  },
};
const READER = user('READ');
const PREFIXES = ['', 'adas', 'adas_1', 'body.', 'BODY', 'a%', 'a_a', '\\'];

const DAY_MS = 86_400_000;
const YESTERDAY = Date.now() - DAY_MS;
/** Beside the limit of 30 days, within it, and long ago. */
const EVALUATED = [null, new Date(Date.now() - 31 * DAY_MS), new Date(Date.now() - 29 * DAY_MS), new Date(0)];

let under: FlagsUnderTest;
let memory: RememberedFlags;
let all: Flag[];
let withRollout: Set<string>;
let holding: Set<string>;

/** Gives the API's word for a stored one. */
const wordFor = (words: Record<string, string>, stored: string | null | undefined) =>
  stored ? (Object.keys(words).find((word) => words[word] === stored) ?? null) : stored;
const filterOf = (search: FlagFilter) => ({
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
    const releaseStatus = n % 11 === 10 ? null : (RELEASE_STATUSES[n % 5] ?? null);
    // Several flags share one creation time, and several one name.
    const createdAt = new Date(n % 10 < 7 ? 1_700_000_000_000 + Math.floor(n / 3) : YESTERDAY);
    const { id } = await prisma.flag.create({
      data: {
        key: `${n % 2 === 0 ? 'adas' : 'body'}${n % 4 < 2 ? '_' : '.'}${n}`,
        name: `Name ${n % 5}`,
        type,
        defaultValue: { value: false },
        enabled: n % 4 === 0,
        safetyLevel: SAFETY_LEVELS[n % 4]!,
        environment,
        createdAt,
        updatedAt: new Date(1_800_000_000_000 - Math.floor(n / 2)),
        lastEvaluationAt: EVALUATED[n % EVALUATED.length] ?? null,
        archivedAt: n % 11 === 10 ? createdAt : null,
        signedDefinition: 'a.b.c',
        ...(releaseStatus !== null && { release: stagedContent(STAGED) }),
        ...(n % 3 === 0 && {
          rules: { create: { type: 'kill_switch', priority: 1, enabled: n % 2 === 0, conditions: {} } },
        }),
      },
    });
    if (releaseStatus !== null)
      await prisma.release.create({
        data: {
          ...{ ring: STAGED.id, flagId: id, environment, status: releaseStatus, stage: 0, percentage: 1, stages: [] },
          ...{ maximumFaultyVehicles: 3, maximumFaultyPercent: 1, content: {}, revision: 1, startedRevision: 1 },
          dueAt: createdAt,
        },
      });
    if (status === null) continue;
    const rule = await prisma.rule.create({
      data: {
        flagId: id,
        type: 'percentage_rollout',
        priority: 0,
        enabled: true,
        conditions: { rollout_percentage: 5 },
      },
    });
    await prisma.rollout.create({
      data: { flagId: id, ruleId: rule.id, environment, status, scheduledById: under.writer.userId! },
    });
  }
  // A restore, too, writes rows past the services: the environments' times tell.
  await prisma.environment.updateMany({ data: { updatedAt: new Date() } });
  all = await findFlagsById(
    prisma,
    (await prisma.flag.findMany({ select: { id: true } })).map(({ id }) => id),
  );
  withRollout = new Set(
    (await prisma.rollout.findMany({ where: { status: { in: ['waiting_for_approval', 'running', 'paused'] } } })).map(
      ({ flagId }) => flagId,
    ),
  );
  holding = new Set((await prisma.release.findMany({ where: { status: 'holding' } })).map(({ flagId }) => flagId));
  memory = new RememberedFlags(prisma);
  await new EnvironmentSnapshots({ prisma, store: under.store, logger: silent, follower: memory }).refresh();
});
afterAll(() => under.remove());

const maybe = <T>(...values: readonly T[]) => fc.option(fc.constantFrom(...values), { nil: undefined, freq: 1 });
const someSearch: fc.Arbitrary<FlagFilter> = fc.record(
  {
    environment: maybe(...ENVIRONMENTS),
    enabled: maybe(true, false, null),
    safetyLevel: maybe(...SAFETY_LEVELS),
    archived: maybe(true, false),
    killed: maybe(true, false, null),
    type: maybe(...FLAG_TYPES),
    hasRollout: maybe(true, false, null),
    hasRelease: maybe(true, false, null),
    releaseHolds: maybe(true, false, null),
    keyPrefix: maybe(...PREFIXES),
    stale: maybe(true, false, null),
  },
  { requiredKeys: [] },
);

/** Whether the newest of a flag's creation and its last evaluation is longer ago than 30 days. */
const isStale = ({ createdAt, lastEvaluationAt }: Flag) =>
  Date.now() - Math.max(createdAt.getTime(), lastEvaluationAt?.getTime() ?? 0) > 30 * DAY_MS;

/** Gives the flags that a search must find, in no order. */
function wanted(search: FlagFilter): Flag[] {
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
      is(search.hasRelease, flag.release !== null) &&
      is(search.releaseHolds, holding.has(flag.id)) &&
      is(search.stale, isStale(flag)) &&
      flag.key.startsWith(search.keyPrefix ?? ''),
  );
}

const keysOf = (flags: readonly { key: string }[]) => flags.map(({ key }) => key);

test('combined filters give the intersection of the single ones, from the database and from memory', async () => {
  await fc.assert(
    fc.asyncProperty(someSearch, async (search) => {
      const found = (
        await under.ok<{ flags: { totalCount: number; nodes: { key: string }[] } }>(
          'query ($filter: FlagFilter) { flags(filter: $filter, first: 100) { totalCount nodes { key } } }',
          { filter: filterOf(search) },
          READER,
        )
      ).flags;
      expect(keysOf(found.nodes).sort()).toEqual(keysOf(wanted(search)).sort());
      expect(found.totalCount).toBe(found.nodes.length);
      const remembered = memory.page(search, firstPage(100));
      const { hasRollout, releaseHolds, stale } = search;
      if (search.archived === true || [hasRollout, releaseHolds, stale].some((asked) => typeof asked === 'boolean'))
        expect(remembered).toBeNull();
      else expect(keysOf(remembered?.flags ?? []).sort()).toEqual(keysOf(wanted(search)).sort());
    }),
    { numRuns: rounds(60, 600) },
  );
});

interface Connection {
  readonly totalCount: number;
  readonly edges: readonly { readonly cursor: string; readonly node: { readonly key: string } }[];
  readonly pageInfo: {
    readonly hasNextPage: boolean;
    readonly hasPreviousPage: boolean;
    readonly startCursor: string | null;
    readonly endCursor: string | null;
  };
}
const LIST = `query ($filter: FlagFilter, $orderBy: FlagOrder, $first: Int, $after: String, $last: Int, $before: String) {
  flags(filter: $filter, orderBy: $orderBy, first: $first, after: $after, last: $last, before: $before) { totalCount edges { cursor node { key } } pageInfo { hasNextPage hasPreviousPage startCursor endCursor } }
}`;
const list = async (variables: Record<string, unknown>) =>
  (await under.ok<{ flags: Connection }>(LIST, variables, READER)).flags;
const FIELDS = Object.keys(ENUMS.FlagOrderField);
const SORTED_BY: Record<string, (flag: Flag) => string | number> = {
  CREATED_AT: ({ createdAt }) => createdAt.getTime(),
  UPDATED_AT: ({ updatedAt }) => updatedAt.getTime(),
  KEY: ({ key }) => key,
  NAME: ({ name }) => name,
};

/** Reads all pages in one direction; gives the keys in the order of the list. */
async function walk(variables: object, size: number, backwards: boolean): Promise<string[]> {
  const seen: string[] = [];
  for (let cursor: string | null = null, pages = 0; ; pages++) {
    expect(pages).toBeLessThan(60);
    const { edges, pageInfo }: Connection = await list({
      ...variables,
      ...(backwards ? { last: size, before: cursor } : { first: size, after: cursor }),
    });
    expect([pageInfo.startCursor, pageInfo.endCursor]).toEqual([
      edges[0]?.cursor ?? null,
      edges.at(-1)?.cursor ?? null,
    ]);
    expect(backwards ? pageInfo.hasNextPage : pageInfo.hasPreviousPage).toBe(cursor !== null);
    const keys = keysOf(edges.map(({ node }) => node));
    if (backwards) seen.unshift(...keys);
    else seen.push(...keys);
    if (!(backwards ? pageInfo.hasPreviousPage : pageInfo.hasNextPage)) return seen;
    cursor = backwards ? pageInfo.startCursor : pageInfo.endCursor;
  }
}

test('paging forwards and backwards gives the same ordered list, for every order and filter', async () => {
  const someOrder = fc.option(
    fc.record({ field: fc.constantFrom(...FIELDS), direction: fc.constantFrom('ASC', 'DESC') }),
    { nil: null, freq: 5 },
  );
  await fc.assert(
    fc.asyncProperty(someSearch, someOrder, fc.integer({ min: 1, max: 15 }), async (search, orderBy, size) => {
      const variables = { filter: filterOf(search), orderBy };
      const forwards = await walk(variables, size, false);
      expect(await walk(variables, size, true)).toEqual(forwards);
      const { field, direction } = orderBy ?? { field: 'CREATED_AT', direction: 'DESC' };
      const value = SORTED_BY[field]!;
      const sorted = wanted(search).sort((a, b) =>
        value(a) < value(b) ? -1 : value(a) > value(b) ? 1 : a.id < b.id ? -1 : 1,
      );
      expect(forwards).toEqual(keysOf(direction === 'ASC' ? sorted : sorted.reverse()));
      const remembered = memory.page(
        search,
        { limit: size, cursor: null, backwards: true },
        { field: ENUMS.FlagOrderField[field as 'KEY'], direction: ENUMS.OrderDirection[direction as 'ASC'] },
      );
      if (remembered !== null) expect(keysOf(remembered.flags)).toEqual(forwards.slice(-size));
    }),
    { numRuns: rounds(25, 300) },
  );
});

test('pages by name and by time of change keep their places while flags move in the list', async () => {
  for (const field of ['NAME', 'UPDATED_AT']) {
    const keys = await walk({ filter: { keyPrefix: 'adas' }, orderBy: { field, direction: 'ASC' } }, 100, false);
    const page = await list({ filter: { keyPrefix: 'adas' }, orderBy: { field, direction: 'ASC' }, first: 3 });
    // The flag that the cursor names moves to the end, as a rename or a change would move it.
    const moved = await under.prisma.flag.findUniqueOrThrow({ where: { key: keys[2]! } });
    const put = (data: { name: string; updatedAt: Date }) =>
      under.prisma.$transaction([
        under.prisma.flag.update({ where: { id: moved.id }, data }),
        under.prisma.environment.update({ where: { name: moved.environment }, data: { revision: { increment: 1 } } }),
      ]);
    await put({ name: 'Z', updatedAt: new Date(2_000_000_000_000) });
    const rest = await list({
      filter: { keyPrefix: 'adas' },
      orderBy: { field, direction: 'ASC' },
      first: 100,
      after: page.pageInfo.endCursor,
    });
    expect(keysOf(rest.edges.map(({ node }) => node))).toEqual([...keys.slice(3), keys[2]]);
    await put({ name: moved.name, updatedAt: moved.updatedAt });
  }
});

test('a list refuses a cursor of another order, and a made-up one', async () => {
  const id = all[0]!.id;
  for (const text of [
    id,
    `key:${id}:x`,
    `updated_at:${id}:`,
    `updated_at:${id}:1e9`,
    `updated_at:${id}:${'9'.repeat(17)}`,
    `name:${'-'.repeat(36)}:x`,
    `name:${id}:a\0b`,
  ]) {
    for (const field of ['UPDATED_AT', 'NAME']) {
      const after = Buffer.from(text).toString('base64url');
      expect([
        text,
        field,
        refusal(await under.ask(READER, LIST, { orderBy: { field, direction: 'ASC' }, after })),
      ]).toEqual([text, field, { code: 'BAD_USER_INPUT', field: 'after' }]);
    }
  }
  const last = Buffer.from(`updated_at:${id}:${'9'.repeat(16)}`).toString('base64url');
  expect((await list({ orderBy: { field: 'UPDATED_AT', direction: 'ASC' }, after: last })).edges).toEqual([]);
});

test.each([['a\0b'], ['k'.repeat(101)], ['\ud83d']])(
  'refuses the prefix %j, which no key can have',
  async (keyPrefix) => {
    expect(
      refusal(
        await under.ask(READER, 'query ($filter: FlagFilter) { flags(filter: $filter) { totalCount } }', {
          filter: { keyPrefix },
        }),
      ),
    ).toEqual({ code: 'BAD_USER_INPUT', field: 'filter.keyPrefix' });
  },
);
