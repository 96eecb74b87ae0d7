/** Guards by measurement as people set them on a policy: their defaults, their limits, and who approves weaker ones. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import type { Caller } from '../../../../core/access/caller.ts';
import type { PrismaClient } from '../../../../prisma/generated/client.ts';
import { addPerson } from '../../testing/flags-under-test.ts';
import { ReleasesUnderTest } from '../../testing/releases-under-test.ts';

let releases: ReleasesUnderTest;
let prisma: PrismaClient;
let admin: Caller & { kind: 'user'; userId: string };

beforeAll(async () => {
  releases = await ReleasesUnderTest.start();
  ({ prisma } = releases.flags);
  admin = await addPerson(prisma, 'ADMIN');
  await prisma.metricDefinition.createMany({
    data: [
      { key: 'charge_minutes', kind: 'mean', minimum: 0, maximum: 60 },
      { key: 'range_km', kind: 'mean', minimum: 0 },
      { key: 'drift', kind: 'mean' },
    ],
  });
});
afterAll(() => releases.flags.remove());
beforeEach(() => prisma.releasePolicy.deleteMany());

const GUARDS = 'metric worse maxWorsePercent bound confidenceLevel minimumVehicles silence action';
const SET = `mutation ($input: ReleasePolicyInput!) { setReleasePolicy(input: $input) {
  guards { ${GUARDS} } proposal { id loosens guards { ${GUARDS} } } } }`;
const STAGES = [
  { percentage: 10, soak: 'PT1M' },
  { percentage: 100, soak: 'PT1M' },
];
const GUARD = { metric: 'charge_minutes', worse: 'HIGHER', maxWorsePercent: 5, action: 'HALT' };

interface PolicyJson {
  readonly guards: readonly object[];
  readonly proposal: { readonly id: string; readonly loosens: readonly string[]; readonly guards: object[] } | null;
}

const set = (guards: readonly object[] | null, more: object = {}) =>
  releases.flags.ask<{ setReleasePolicy: PolicyJson }>(admin, SET, {
    input: { environment: 'STAGING', stages: STAGES, guards, ...more },
  });
async function wasSet(guards: readonly object[] | null, more: object = {}): Promise<PolicyJson> {
  const { data, errors } = await set(guards, more);
  expect(errors).toEqual([]);
  return data.setReleasePolicy;
}

describe('the guards of a policy', () => {
  test('are what was set, with defaults for the rest, and in the audit log', async () => {
    const whole = {
      ...{ ...GUARD, bound: null, confidenceLevel: 0.95, minimumVehicles: 50, silence: 'PT30M' },
    };
    expect((await wasSet([GUARD])).guards).toEqual([whole]);
    const { afterValue } = await prisma.auditLog.findFirstOrThrow({ orderBy: { chainPosition: 'desc' } });
    expect(afterValue).toMatchObject({
      guards: [
        {
          ...{ metric: 'charge_minutes', worse: 'higher', maxWorsePercent: 5, action: 'halt' },
          ...{ confidenceLevel: 0.95, minimumVehicles: 50, silence: 'PT30M' },
        },
      ],
    });
  });

  test.each<[string, object[], string, string]>([
    ['a metric that nobody has declared', [GUARD, { ...GUARD, metric: 'unheard' }], 'BAD_USER_INPUT', '1.metric'],
    [
      'an upper bound of a metric without a minimum',
      [{ ...GUARD, metric: 'drift', maxWorsePercent: null, bound: 5 }],
      ...(['BAD_USER_INPUT', '0.bound'] as const),
    ],
    [
      'a lower bound of a metric without a maximum',
      [{ ...GUARD, metric: 'range_km', worse: 'LOWER', maxWorsePercent: null, bound: 5 }],
      ...(['BAD_USER_INPUT', '0.bound'] as const),
    ],
    ['the same guard twice', [GUARD, { ...GUARD, maxWorsePercent: 7 }], 'BAD_USER_INPUT', '1'],
    ['a limit that is none', [{ ...GUARD, maxWorsePercent: -1 }], 'BAD_USER_INPUT', '0.maxWorsePercent'],
    ['six', Array.from({ length: 6 }, (_, index) => ({ ...GUARD, metric: `m${index}` })), 'LIMIT_EXCEEDED', ''],
  ])('are not %s', async (_, guards, code, path) => {
    const { errors } = await set(guards);
    const field = ['input.guards', path].filter((part) => part !== '').join('.');
    expect(errors.map(({ extensions }) => [extensions?.['code'], extensions?.['field']])).toEqual([[code, field]]);
    expect(await prisma.releasePolicy.count()).toBe(0);
  });

  test('wait for a second person where they are weaker, and take effect then', async () => {
    await wasSet([GUARD]);
    const { guards, proposal } = await wasSet([{ ...GUARD, action: 'HOLD' }]);
    expect(guards).toMatchObject([{ action: 'HALT' }]);
    expect(proposal).toMatchObject({ loosens: ['WEAKER_GUARDS'], guards: [{ action: 'HOLD' }] });
    const { data, errors } = await releases.flags.ask<{ approveReleasePolicy: PolicyJson }>(
      releases.flags.reviewer,
      `mutation ($id: ID!) { approveReleasePolicy(environment: STAGING, proposalId: $id) { guards { action } } }`,
      { id: proposal?.id },
    );
    expect(errors).toEqual([]);
    expect(data.approveReleasePolicy.guards).toEqual([{ action: 'HOLD' }]);
  });

  test.each<[string, object[] | null]>([
    ['stricter', [{ ...GUARD, maxWorsePercent: 4 }]],
    ['more', [GUARD, { ...GUARD, action: 'HOLD', maxWorsePercent: 2 }]],
  ])('are set by one person where they are %s', async (_, guards) => {
    await wasSet([GUARD]);
    expect((await wasSet(guards)).proposal).toBeNull();
  });

  test('are all taken away by a policy that does not name them, which a second person has to see', async () => {
    await wasSet([GUARD]);
    expect((await wasSet(null)).proposal).toMatchObject({ loosens: ['WEAKER_GUARDS'], guards: [] });
  });
});
