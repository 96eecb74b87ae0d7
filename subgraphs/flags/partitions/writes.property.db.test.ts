/**
 * Laws of what is stored, after any sequence of writes, two of which are made at once: no cycle of dependencies, no
 * chain that is too long, no required flag that is missing, in fewer vehicles or less safe, and no partition that has
 * both a flag and its tombstone. Checked by other code than the code under test.
 */
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { MAX_DEPENDENCY_DEPTH } from '../../../core/partitions/dependency-graph.ts';
import { rounds } from '../../../core/testing/rounds.ts';
import { SAFETY_LEVELS } from '../../../core/model.ts';
import type { SubgraphErrorJson } from '../../../core/wire/subgraph/subgraph.ts';
import { is } from '../../../core/json/shape.ts';
import { rowsOf } from '../../shared/postgres/rows.ts';
import { areRequirements } from '../flags/flag.ts';
import { FlagsUnderTest } from '../testing/flags-under-test.ts';

let flags: FlagsUnderTest;
beforeAll(async () => {
  flags = await FlagsUnderTest.start();
});
afterAll(() => flags.remove());

const POOL = 9;
const MODELS = ['A', 'B', 'C'];

type Write = (keys: readonly string[]) => { query: string; variables: Record<string, unknown> };

const index = fc.nat(POOL - 1);
const someKeys = fc.uniqueArray(index, { maxLength: 2 });
const scope = fc.option(fc.uniqueArray(fc.constantFrom(...MODELS), { minLength: 1 }), { nil: null });
const fields = fc.record(
  {
    scope,
    requires: someKeys,
    excludes: someKeys,
    safetyLevel: fc.constantFrom('NON_CRITICAL', 'SAFETY_RELEVANT', 'ASIL_B'),
    environment: fc.constantFrom('STAGING', 'PRODUCTION'),
  },
  { requiredKeys: [] },
);
type Fields = typeof fields extends fc.Arbitrary<infer T> ? T : never;

const inputOf = (keys: readonly string[], { requires, excludes, ...others }: Fields) => ({
  ...others,
  ...(requires !== undefined && { requires: requires.map((at) => ({ flagKey: keys[at] })) }),
  ...(excludes !== undefined && { excludes: excludes.map((at) => keys[at]) }),
});

const UPDATE =
  'mutation ($key: String!, $input: UpdateFlagInput!) { updateFlag(key: $key, input: $input) { changeRequest { id } } }';
const SET =
  'mutation ($changes: [ChangeInput!]!) { applyChanges(environment: STAGING, changes: $changes) { changeRequest { id } } }';
const simple = (field: string) => `mutation ($key: String!) { change: ${field} { changeRequest { id } } }`;

const write: fc.Arbitrary<Write> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.tuple(index, fields).map(([at, given]): Write => (keys) => ({
      query: UPDATE,
      variables: { key: keys[at], input: inputOf(keys, given) },
    })),
  },
  {
    weight: 3,
    arbitrary: fc
      .uniqueArray(fc.tuple(index, fields), { minLength: 2, maxLength: 4, selector: ([at]) => at })
      .map((changes): Write => (keys) => ({
        query: SET,
        variables: {
          changes: changes.map(([at, { environment: _, ...given }]) => ({
            updateFlag: { key: keys[at], input: inputOf(keys, given) },
          })),
        },
      })),
  },
  {
    weight: 2,
    arbitrary: fc
      .tuple(
        index,
        fc.constantFrom(
          'archiveFlag(key: $key)',
          'unarchiveFlag(key: $key)',
          'enableFlag(key: $key)',
          'disableFlag(key: $key)',
          'killSwitch(flagKey: $key, reason: "x")',
        ),
      )
      .map(([at, field]): Write => (keys) => ({ query: simple(field), variables: { key: keys[at] } })),
  },
  {
    weight: 1,
    arbitrary: fc.tuple(index, fc.nat(40)).map(([at, back]): Write => (keys) => ({
      query:
        'mutation ($key: String!, $revision: Int!) { change: restoreFlag(key: $key, revision: $revision) { changeRequest { id } } }',
      variables: { key: keys[at], revision: back },
    })),
  },
);

const REFUSALS = ['BAD_USER_INPUT', 'CONFLICT', 'NOT_FOUND'];

/** Makes a write, and approves what waits. Whatever is refused must be refused for a reason that a client can mend. */
async function make(keys: readonly string[], writing: Write): Promise<void> {
  const expected = (errors: readonly SubgraphErrorJson[]) => {
    for (const { message, extensions } of errors)
      if (!REFUSALS.includes(String(extensions?.['code'])))
        throw new Error(`${String(extensions?.['code'])}: ${message}`);
  };
  const { query, variables } = writing(keys);
  const { data, errors } = await flags.ask<Record<string, { changeRequest: { id: string } | null } | null> | null>(
    flags.writer,
    query,
    variables,
  );
  expected(errors);
  const [payload] = Object.values(data ?? {});
  if (payload?.changeRequest == null) return;
  const approval = 'mutation ($id: ID!) { approveChangeRequest(id: $id) { id } }';
  expected((await flags.ask(flags.reviewer, approval, { id: payload.changeRequest.id })).errors);
}

async function checkLaws(): Promise<void> {
  const sums = await rowsOf(flags.prisma, { kept: is.bigint, counted: is.bigint })`
    SELECT flags_check AS kept, living_flags_check(name) AS counted FROM environments`;
  expect(sums.map(({ kept }) => kept)).toEqual(sums.map(({ counted }) => counted));
  const living = (await flags.prisma.flag.findMany({ where: { archivedAt: null } })).map(({ requires, ...flag }) => {
    if (!areRequirements(requires)) throw new Error(`${flag.key} holds no requirements`);
    // Prisma reads null as an empty list.
    return { ...flag, requires, scope: flag.scope.length === 0 ? null : flag.scope };
  });
  const byKey = new Map(living.map((flag) => [flag.key, flag]));
  for (const flag of living)
    for (const { flag: key } of flag.requires) {
      const required = byKey.get(key);
      expect([flag.key, required?.environment]).toEqual([flag.key, flag.environment]);
      const covered =
        required?.scope === null || (flag.scope?.every((model) => required?.scope?.includes(model)) ?? false);
      expect([flag.key, key, flag.scope, required?.scope, covered]).toEqual([
        flag.key,
        key,
        flag.scope,
        required?.scope,
        true,
      ]);
      const level = (of: string | undefined) => SAFETY_LEVELS.findIndex((name) => name === of);
      expect(level(required?.safetyLevel)).toBeGreaterThanOrEqual(level(flag.safetyLevel));
    }
  // Excluded flags may have left meanwhile, and then are no step. A way longer than all flags is a cycle.
  const longest = (key: string, steps: number): number => {
    const flag = byKey.get(key);
    if (flag === undefined || steps > POOL) return steps;
    const below = [...flag.requires.map(({ flag: required }) => required), ...flag.excludes].filter(
      (name) => byKey.get(name)?.environment === flag.environment,
    );
    return Math.max(steps, ...below.map((name) => longest(name, steps + 1)));
  };
  for (const { key } of living) expect([key, longest(key, 0) <= MAX_DEPENDENCY_DEPTH]).toEqual([key, true]);
  for (const { environment, partition, key } of await flags.prisma.flagTombstone.findMany()) {
    const flag = byKey.get(key);
    const isHere =
      flag?.environment === environment && (flag.scope === null || partition === '' || flag.scope.includes(partition));
    expect([key, partition, isHere]).toEqual([key, partition, false]);
  }
}

test('hold after any sequence of writes, two at once', async () => {
  let round = 0;
  await fc.assert(
    fc.asyncProperty(fc.array(fc.tuple(write, write), { minLength: 8, maxLength: 16 }), async (writes) => {
      round += 1;
      await flags.prisma.flag.updateMany({ data: { archivedAt: new Date() } });
      const keys = Array.from({ length: POOL }, (_, at) => `pool_${round}_${at}`);
      for (const key of keys) await flags.create({ key });
      for (const pair of writes) {
        await Promise.all(pair.map((one) => make(keys, one)));
        await checkLaws();
      }
    }),
    { numRuns: rounds(4, 12) },
  );
});
