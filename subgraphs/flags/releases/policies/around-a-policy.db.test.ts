/** Ways around a policy, by which a change would reach a fleet that no stage has held back. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { refusal } from '../../../shared/testing/asking.ts';
import { HOLD_REASONS } from '../release-reasons.ts';
import type { ReleaseStageJob } from '../release-stage-job.ts';
import { ReleasesUnderTest, THREE_STAGES } from '../../testing/releases-under-test.ts';

let releases: ReleasesUnderTest;
beforeAll(async () => {
  releases = await ReleasesUnderTest.start();
});
afterAll(() => releases.flags.remove());

let key: string;
beforeEach(async () => {
  const { prisma } = releases.flags;
  await prisma.vehicleFault.deleteMany();
  await prisma.vehicle.deleteMany();
  await releases.endAll();
  await releases.setPolicy('staging', []);
  ({ key } = await releases.flags.create({ type: 'STRING', defaultValue: 'good', enabled: true }));
  await releases.setPolicy('staging', THREE_STAGES);
});

const UPDATE =
  'mutation ($key: String!, $input: UpdateFlagInput!) { updateFlag(key: $key, input: $input) { applied } }';
const PROMOTE =
  'mutation ($key: String!, $percentage: Float!) { promoteRelease(flagKey: $key, percentage: $percentage, reason: "r") { applied } }';
const DISABLE = 'mutation ($key: String!) { disableFlag(key: $key) { applied } }';
const update = (input: Record<string, unknown>) => releases.flags.ok(UPDATE, { key, input });

/** Reports the fault of vehicles under a revision, as the vehicles subgraph stores it. */
async function reportFaults(vehicles: number, revision: number): Promise<void> {
  const vins = Array.from({ length: vehicles }, (_, n) => `KMH${String(n * 7_919).padStart(14, '0')}`);
  const { prisma } = releases.flags;
  await prisma.vehicle.createMany({
    data: vins.map((vin) => ({
      ...{ vin, model: 'EV9', swVersion: '1', region: 'KR', environment: 'staging', status: 'online' },
    })),
  });
  await prisma.vehicleFault.createMany({
    data: vins.map((vin) => ({
      ...{ vin, environment: 'staging', flagKey: key, revision, kind: 'reported_by_program', message: 'Smoke' },
      occurredAt: new Date(),
    })),
  });
}

describe.each([
  ['its scope', { scope: ['EV9'] }],
  ['its environment', { environment: 'DEVELOPMENT' }],
] as const)('%s', (_, input) => {
  test('does not change while the flag is enabled under a policy', async () => {
    const before = await releases.stored(key);
    expect(refusal(await releases.flags.ask(releases.flags.writer, UPDATE, { key, input }))).toEqual({
      code: 'CONFLICT',
    });
    expect(await releases.stored(key)).toEqual(before);
  });

  test('changes once the flag is disabled', async () => {
    await releases.flags.ok(DISABLE, { key });
    await update(input);
  });

  test('changes where there is no policy', async () => {
    await releases.setPolicy('staging', []);
    await update(input);
  });
});

describe('a change that supersedes a release at all vehicles', () => {
  test.each([
    ['makes the content stable under which few vehicles are faulty', 3, 'bad'],
    ['keeps the stable content where more vehicles are faulty than the policy allows', 4, 'good'],
  ])('%s', async (_title, faulty, stable) => {
    await update({ defaultValue: 'bad' });
    await releases.flags.ok(PROMOTE, { key, percentage: 100 });
    await reportFaults(faulty, (await releases.stored(key)).revision);
    await update({ defaultValue: 'another' });
    expect((await releases.stored(key)).release?.stable.defaultValue).toBe(stable);
  });
});

test('a fault under a revision that is still to come counts under no release', async () => {
  // All but one of 100,000 vehicles are in the ring.
  await releases.setPolicy('staging', [
    { percentage: 99.999, soakMs: 60_000, minimumVehicles: 0 },
    { percentage: 100, soakMs: 60_000, minimumVehicles: 0 },
  ]);
  await update({ defaultValue: 'new' });
  await reportFaults(10, 2_147_483_647);
  expect(await releases.newHealthJob().run()).toBe(0);
  await releases.flags.prisma.vehicleFault.updateMany({ data: { revision: (await releases.stored(key)).revision } });
  expect(await releases.newHealthJob().run()).toBe(1);
});

test('a vehicle that reports a revision which is still to come has not reported the stage', async () => {
  await releases.setPolicy('staging', [
    { percentage: 99.999, soakMs: 60_000, minimumVehicles: 1 },
    { percentage: 100, soakMs: 60_000, minimumVehicles: 0 },
  ]);
  await update({ defaultValue: 'new' });
  const { revision } = await releases.stored(key);
  const vehicle = { vin: 'KMHK281HGNU000001', model: 'EV9', swVersion: '1', region: 'KR', environment: 'staging' };
  releases.clock.now += 60_000;
  const lastSeenAt = new Date(releases.clock.now);
  await releases.flags.prisma.vehicle.create({
    data: { ...vehicle, status: 'online', appliedRevision: revision + 900, lastSeenAt },
  });
  expect(await releases.job.runDue()).toBe(0);
  expect((await releases.release(key))?.reason).toBe('0 of 1 vehicles report the new content');
  await releases.flags.prisma.vehicle.updateMany({ data: { appliedRevision: revision } });
  releases.clock.now += 5_000;
  expect(await releases.job.runDue()).toBe(1);
});

test.each(['killed', 'disabled'])('a release of a %s flag is not promoted', async (state) => {
  await update({ defaultValue: 'new' });
  const stop =
    state === 'killed' ? 'mutation ($key: String!) { killSwitch(flagKey: $key, reason: "r") { applied } }' : DISABLE;
  await releases.flags.ok(stop, { key });
  const answer = await releases.flags.ask(releases.flags.writer, PROMOTE, { key, percentage: 100 });
  expect(refusal(answer)).toEqual({ code: 'CONFLICT' });
  expect((await releases.release(key))?.percentage).toBe(1);
});

describe('a stage whose soak was over while nothing ran', () => {
  const pass = (ms: number) => (releases.clock.now += ms);
  const poll = (job: ReleaseStageJob) => job.runWatched(new Date(releases.clock.now));

  beforeEach(async () => {
    await update({ defaultValue: 'new' });
    pass(3_600_000);
  });

  test('waits for the reports of vehicles after the start, and says so also where an instance starts again and again', async () => {
    for (let starts = 0; starts < 3; starts++) {
      const job = releases.newJob();
      expect(await poll(job)).toBe(0);
      pass(50_000);
      expect(await poll(job)).toBe(0);
      expect(await releases.release(key)).toMatchObject({ status: 'holding', reason: HOLD_REASONS.unseen });
    }
    const job = releases.newJob();
    expect(await poll(job)).toBe(0);
    pass(59_999);
    expect(await poll(job)).toBe(0);
    pass(1);
    expect(await poll(job)).toBe(1);
    expect(await releases.release(key)).toMatchObject({ status: 'running', percentage: 10, reason: null });
  });

  test('goes on by an instance that has watched, though another one starts again and again', async () => {
    const healthy = releases.newJob();
    await poll(healthy);
    for (let second = 0; second < 60; second += 10) {
      pass(10_000);
      expect(await poll(releases.newJob())).toBe(0);
      // It is the first to have watched for a minute.
      expect(await poll(healthy)).toBe(second === 50 ? 1 : 0);
    }
    expect(await releases.release(key)).toMatchObject({ status: 'running', percentage: 10, reason: null });
    // The next stages take their soaks, and no longer.
    pass(60_000);
    expect(await poll(releases.newJob())).toBe(0);
    expect(await poll(healthy)).toBe(1);
    expect(await releases.release(key)).toMatchObject({ status: 'running', percentage: 100, reason: null });
  });
});

test('an instance moves on at once what has begun since its own start, and others leave a soak that goes on as it is', async () => {
  await releases.setPolicy('staging', [
    { percentage: 1, soakMs: 10_000, minimumVehicles: 0 },
    { percentage: 100, soakMs: 60_000, minimumVehicles: 0 },
  ]);
  const job = releases.newJob();
  const poll = (one = job) => one.runWatched(new Date(releases.clock.now));
  await poll();
  await update({ defaultValue: 'new' });
  releases.clock.now += 9_999;
  expect([await poll(), await poll(releases.newJob())]).toEqual([0, 0]);
  expect(await releases.release(key)).toMatchObject({ status: 'running', percentage: 1, reason: null });
  releases.clock.now += 1;
  expect(await poll()).toBe(1);
});
