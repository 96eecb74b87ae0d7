/**
 * Rollouts of a flag whose two contents have come to different shares: a person has changed the rule under a policy.
 */
import { afterAll, beforeAll, beforeEach, expect, test } from '@jest/globals';
import { ReleasesUnderTest, THREE_STAGES } from '../testing/releases-under-test.ts';
import { percentageOf } from './rollout.ts';

const HOUR = 3_600_000;
const GUARD = { metric: 'charge_minutes', worse: 'HIGHER', maxWorsePercent: 5 };

let releases: ReleasesUnderTest;
let key: string;
let ruleId: string;
beforeAll(async () => {
  releases = await ReleasesUnderTest.start();
  await releases.flags.prisma.metricDefinition.create({
    data: { key: 'charge_minutes', kind: 'mean', minimum: 0, maximum: 600 },
  });
});
afterAll(() => releases.flags.remove());
beforeEach(async () => {
  await releases.setPolicy('staging', []);
  const status = 'cancelled';
  await releases.flags.prisma.rollout.updateMany({ where: { status: 'running' }, data: { status, nextStepAt: null } });
});

const setPercentage = (percentage: number) =>
  releases.flags.ok(
    'mutation ($id: ID!, $conditions: JSON!) { updateRule(id: $id, input: { conditions: $conditions }) { applied } }',
    { id: ruleId, conditions: { rollout_percentage: percentage } },
  );

/** Schedules a rollout of a new flag, lets a release give the rule another share, and gives the rollout's id. */
async function scheduled(
  shares: { stable: number; released: number },
  steps: number[],
  guard?: object,
): Promise<string> {
  const flag = await releases.flags.create({ type: 'STRING', defaultValue: 'old', enabled: true });
  ({ key } = flag);
  const { rules } = await releases.flags.addRule(key, {
    ...{ type: 'PERCENTAGE_ROLLOUT', value: 'new', conditions: { rollout_percentage: 5 } },
  });
  ruleId = rules[0]?.id ?? '';
  const { scheduleRollout } = await releases.flags.ok<{ scheduleRollout: { rollout: { id: string } } }>(
    `mutation ($key: String!, $rule: ID!, $steps: [RolloutStepInput!]!, $guard: RolloutGuardInput) {
      scheduleRollout(flagKey: $key, ruleId: $rule, steps: $steps, guard: $guard) { rollout { id } } }`,
    { key, rule: ruleId, steps: steps.map((percentage) => ({ percentage, after: 'PT1H' })), guard },
  );
  if (shares.stable > 5) await setPercentage(shares.stable);
  await releases.setPolicy('staging', THREE_STAGES);
  await setPercentage(shares.released);
  expect(await sharesNow()).toEqual(shares);
  return scheduleRollout.rollout.id;
}

async function sharesNow(): Promise<{ stable: number | undefined; released: number | undefined }> {
  const { rules, release } = await releases.stored(key);
  const shareIn = (list: typeof rules) =>
    list.filter(({ id }) => id === ruleId).map(({ conditions }) => percentageOf(conditions))[0];
  return { stable: shareIn(release?.stable.rules ?? []), released: shareIn(rules) };
}

test('a step that the released content has reached already reaches the stable one', async () => {
  await scheduled({ stable: 5, released: 60 }, [50, 100]);
  releases.clock.now += HOUR;
  expect(await releases.newScheduler().runDue()).toBe(1);
  expect(await sharesNow()).toEqual({ stable: 50, released: 60 });
});

test('a step takes no vehicle out of the stable content', async () => {
  const id = await scheduled({ stable: 40, released: 10 }, [25, 50]);
  await releases.flags.ok('mutation ($id: ID!) { resumeRollout(id: $id) { status } }', { id });
  releases.clock.now += HOUR;
  expect(await releases.newScheduler().runDue()).toBe(1);
  expect(await sharesNow()).toEqual({ stable: 40, released: 25 });
  releases.clock.now += HOUR;
  expect(await releases.newScheduler().runDue()).toBe(1);
  expect(await sharesNow()).toEqual({ stable: 50, released: 50 });
});

test.each([
  [
    { stable: 40, released: 60 },
    { stable: 5, released: 5 },
  ],
  [
    { stable: 40, released: 5 },
    { stable: 5, released: 5 },
  ],
  [
    { stable: 40, released: 2 },
    { stable: 5, released: 2 },
  ],
])('a guard pulls both contents back: %j', async (shares, back) => {
  const id = await scheduled(shares, [25, 100], GUARD);
  const { prisma } = releases.flags;
  const { watch } = await prisma.rolloutGuard.findUniqueOrThrow({ where: { rolloutId: id } });
  await prisma.rolloutVerdict.create({
    data: {
      ...{ rolloutId: id, watch, verdict: 'crossed', computedAt: new Date(releases.clock.now) },
      figures: {
        ...{ controlVehicles: 61, treatmentVehicles: 54, vehiclesInBothArms: 0, controlMean: 40, treatmentMean: 46 },
        ...{ worsePercent: 15, worsePercentAtLeast: 10, detectablePercent: 9.5, pValue: 0.0004, significance: 0.05 },
        ...{ outOfRange: { control: 0, treatment: 0 }, neverReported: { control: 0, treatment: 0 } },
        lastMeasurementAt: '2027-01-04T08:59:00.000Z',
      },
    },
  });
  await releases.newScheduler().runDue();
  expect(await prisma.rollout.findUniqueOrThrow({ where: { id } })).toMatchObject({ status: 'pulled_back' });
  expect(await sharesNow()).toEqual(back);
});
