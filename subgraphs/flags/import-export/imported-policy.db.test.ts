import { afterAll, beforeAll, beforeEach, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { SAFETY_LEVELS } from '../../../core/model.ts';
import { rounds } from '../../../core/testing/rounds.ts';
import { parseEnvironmentFile, type FileFault } from '../../../core/wire/flag-files/environment-file.ts';
import type { PolicyEntry } from '../../../core/wire/flag-files/policy-entry.ts';
import { FleetFlagError } from '../../../core/errors.ts';
import { identityOf, silent, user } from '../../shared/testing/asking.ts';
import { createFlagChanges } from '../changes/change.ts';
import { RolloutTransitions } from '../rollouts/rollout-transitions.ts';
import { databaseClock } from '../rollouts/database-clock.ts';
import { findPolicy } from '../releases/policies/release-policy.ts';
import { ReleasePolicyService } from '../releases/policies/release-policy-service.ts';
import { addPerson, FlagsUnderTest } from '../testing/flags-under-test.ts';
import { printEnvironmentFile } from './environment-file.ts';
import { applyPolicy, planPolicy } from './imported-policy.ts';
import { exportEnvironment } from './import-service.ts';

let flags: FlagsUnderTest;
let admin: string;
let service: ReleasePolicyService;
beforeAll(async () => {
  flags = await FlagsUnderTest.start();
  const { prisma, signer, bus } = flags;
  const changes = createFlagChanges(prisma, signer, bus, silent, new RolloutTransitions(databaseClock));
  service = new ReleasePolicyService(prisma, prisma, changes);
  admin = (await addPerson(prisma, 'ADMIN')).userId ?? '';
  await prisma.metricDefinition.createMany({ data: ['brakes', 'range_km'].map((key) => ({ key, kind: 'mean' })) });
});
afterAll(() => flags?.remove());
beforeEach(() => flags.prisma.releasePolicy.deleteMany());

const by = (role: 'ADMIN' | 'WRITE') => identityOf(role === 'ADMIN' ? user('ADMIN', admin) : flags.writer);

const read = (text: string): PolicyEntry | null => {
  const { releasePolicy, faults } = parseEnvironmentFile(text);
  expect(faults).toEqual([] satisfies FileFault[]);
  return releasePolicy;
};

/** Imports a file's policy; gives whether it is in effect, or null where nothing differs. */
async function imported(text: string, role: 'ADMIN' | 'WRITE' = 'ADMIN'): Promise<boolean | null> {
  const plan = await planPolicy(flags.prisma, 'staging', read(text));
  return plan && applyPolicy(service, by(role), plan);
}

const exported = () => exportEnvironment(flags.prisma, 'staging');
const present = async () => (await findPolicy(flags.prisma, 'staging')).policy;

const names = fc.uniqueArray(fc.constantFrom('EV9', 'KR', 'yes', '2024-01-31', '007', 'a: b', '# c', '한국'), {
  maxLength: 3,
});
const policy: fc.Arbitrary<PolicyEntry> = fc
  .record({
    shares: fc.uniqueArray(fc.integer({ min: 1, max: 99_999 }), { maxLength: 6 }),
    soakMs: fc.constantFrom(1_000, 90_061_000, 3_600_000, 31_622_400_000),
    minimumVehicles: fc.constantFrom(0, 1, 5_000),
    canary: fc.option(
      fc
        .record({ vins: fc.constantFrom([], ['KMHK281HGNU000001']), models: names, regions: names })
        .filter(({ vins, models, regions }) => vins.length + models.length + regions.length > 0),
    ),
    safetyLevels: fc.subarray([...SAFETY_LEVELS], { minLength: 1 }),
    maximumFaultyVehicles: fc.nat({ max: 1_000 }),
    maximumFaultyPercent: fc.integer({ min: 0, max: 100_000 }).map((thousandths) => thousandths / 1000),
    guards: fc.uniqueArray(
      fc.record({
        metric: fc.constantFrom('brakes', 'range_km'),
        worse: fc.constantFrom('higher' as const, 'lower' as const),
        maxWorsePercent: fc.constantFrom(0, 12.5),
        bound: fc.constant(null),
        confidenceLevel: fc.constantFrom(0.95, 0.9999),
        minimumVehicles: fc.constantFrom(2, 50),
        silence: fc.constantFrom(90_000, 604_800_000),
        action: fc.constantFrom('halt' as const, 'hold' as const),
      }),
      { maxLength: 3, selector: ({ metric, worse, action }) => [metric, worse, action].join() },
    ),
  })
  .map(({ shares, soakMs, minimumVehicles, canary, ...others }) => ({
    ...others,
    canary: canary && {
      ...{ vins: canary.vins, models: [...canary.models].sort(), regions: [...canary.regions].sort() },
    },
    stages: [...shares.sort((a, b) => a - b), 100_000].map((share) => ({
      ...{ percentage: share / 1000, soakMs, minimumVehicles },
    })),
  }));

test('a policy is exported, read, planned, set and exported again as the same bytes, whatever it says', async () => {
  await fc.assert(
    fc.asyncProperty(policy, async (entry) => {
      await flags.prisma.releasePolicy.deleteMany();
      const text = printEnvironmentFile([], entry);
      expect(read(text)).toEqual(entry);
      expect(await imported(text)).toBe(true);
      expect(await present()).toEqual({ environment: 'staging', ...entry });
      expect(await exported()).toBe(text);
      // It does not differ from itself, and a dry run writes nothing.
      expect(await planPolicy(flags.prisma, 'staging', read(text))).toBeNull();
    }),
    { numRuns: rounds(15, 150) },
  );
});

const STRICT = `fleetflag: 1
releasePolicy:
  stages:
    - percentage: 1
      soak: PT2H
      minimumVehicles: 10
    - percentage: 100
      soak: P1D
  safetyLevels:
    - ASIL-D
    - Non-Critical
  maximumFaultyVehicles: 3
  maximumFaultyPercent: 0.5
flags: {}
`;
const LOOSE = STRICT.replace('PT2H', 'PT1H');

test('a file from before policies, or without one, leaves the policy that is there', async () => {
  await imported(STRICT);
  const before = await exported();
  expect(await imported('fleetflag: 1\nflags: {}\n')).toBeNull();
  expect(await exported()).toBe(before);
});

test('a plan names each member that differs and in which ways the policy is looser, and writes nothing', async () => {
  await imported(STRICT);
  const before = await exported();
  const plan = await planPolicy(flags.prisma, 'staging', read(LOOSE.replace('0.5', '2')));
  expect(plan?.waitsFor).toEqual(['shorter-watch', 'higher-fault-limit']);
  expect(plan?.members.map(({ path }) => path)).toEqual(['stages', 'maximumFaultyPercent']);
  expect((await planPolicy(flags.prisma, 'staging', read(STRICT.replace('P1D', 'P2D'))))?.waitsFor).toEqual([]);
  expect(await exported()).toBe(before);
});

test('a looser policy for ASIL-D waits for a second person, and another one takes effect at once', async () => {
  await imported(STRICT);
  const before = await exported();
  expect(await imported(LOOSE)).toBe(false);
  expect(await exported()).toBe(before);
  const { proposal } = await findPolicy(flags.prisma, 'staging');
  expect(proposal).toMatchObject({ proposedById: admin, policy: { stages: [{ soakMs: 3_600_000 }, {}] } });
  const { userId } = await addPerson(flags.prisma, 'SAFETY');
  await service.approve(identityOf(user('SAFETY', userId)), 'staging', proposal?.id ?? '');
  expect(await imported(LOOSE)).toBeNull();
  expect(await imported(STRICT)).toBe(true);
});

test('only callers that may set release policies import one, and one that was set meanwhile is not overwritten', async () => {
  const refusalOf = (work: Promise<unknown>) =>
    work.then(
      () => null,
      (error: unknown) => (error instanceof FleetFlagError ? error.code : error),
    );
  expect(await refusalOf(imported(STRICT, 'WRITE'))).toBe('FORBIDDEN');
  expect((await present()).stages).toEqual([]);
  await imported(STRICT);
  const plan = await planPolicy(flags.prisma, 'staging', read(STRICT.replace('P1D', 'P2D')));
  await imported(STRICT.replace('P1D', 'P3D'));
  const before = await exported();
  expect(await refusalOf(applyPolicy(service, by('ADMIN'), plan!))).toBe('CONFLICT');
  expect(await exported()).toBe(before);
});
