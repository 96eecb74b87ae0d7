import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { compileFlag } from '../../../../core/evaluation/evaluate.ts';
import { newWebhookSeed } from '../../../../core/credentials/webhook-secret.ts';
import type { PrismaClient } from '../../../../prisma/generated/client.ts';
import { vehicleForm } from '../../flags/vehicle-form.ts';
import { ReleasesUnderTest } from '../../testing/releases-under-test.ts';
import type { FlagRelease } from '../flag-release.ts';
import { faultFigures } from './release-faults.ts';

const FLEET = 200;
const vinOf = (n: number) => `KMH${String(n * 7_919).padStart(14, '0')}`;
const STAGES = [20, 100].map((percentage) => ({ percentage, soakMs: 60_000, minimumVehicles: 0 }));
const change = (value: string) =>
  `mutation ($key: String!) { updateFlag(key: $key, input: { defaultValue: "${value}" }) { applied } }`;

let releases: ReleasesUnderTest;
let prisma: PrismaClient;
let key: string;
/** The vehicles of the release's ring, and all others. */
let ring: string[];
let rest: string[];

beforeAll(async () => {
  releases = await ReleasesUnderTest.start();
  ({ prisma } = releases.flags);
});
afterAll(() => releases.flags.remove());

async function under(): Promise<FlagRelease> {
  const release = await releases.release(key);
  if (release === null) throw new Error('No release is under way');
  return release;
}

/** Divides a fleet that has the release's definition by the release's ring. */
async function divide(vins: readonly string[]): Promise<void> {
  const { release } = compileFlag(vehicleForm(await releases.stored(key)));
  ring = vins.filter((vin) => release!.isIn({ vin, model: 'EV9', region: 'EU' }));
  rest = vins.filter((vin) => !ring.includes(vin));
}

beforeEach(async () => {
  await prisma.vehicle.deleteMany();
  await releases.setPolicy('staging', []);
  ({ key } = await releases.flags.create({ type: 'STRING', defaultValue: 'old', enabled: true }));
  await releases.setPolicy('staging', STAGES);
  await releases.flags.ok(change('new'), { key });
  const { startedRevision } = await under();
  const vins = Array.from({ length: FLEET }, (_, n) => vinOf(n));
  await prisma.vehicle.createMany({
    data: vins.map((vin) => ({
      ...{ vin, model: 'EV9', swVersion: '2.5.0', region: 'EU', status: 'online', environment: 'staging' },
      appliedRevision: BigInt(startedRevision),
    })),
  });
  await divide(vins);
  expect(ring.length).toBeGreaterThan(10);
});

async function report(
  vins: readonly string[],
  over: { revision?: number; flagKey?: string; environment?: string; kind?: string } = {},
): Promise<void> {
  const { startedRevision } = await under();
  await prisma.vehicleFault.createMany({
    data: vins.map((vin) => ({
      ...{ vin, environment: 'staging', flagKey: key, kind: 'restarts', message: 'm', occurredAt: new Date() },
      ...over,
      revision: BigInt(over.revision ?? startedRevision),
    })),
  });
}

describe('a release', () => {
  test('is halted past its limits, with the figures in the audit log and to webhooks, by one of the instances that see it', async () => {
    const { id } = await under();
    await prisma.webhook.create({
      data: { name: 'W', url: 'https://receiver.invalid', kinds: ['release.halted'], secretSeed: newWebhookSeed() },
    });
    await report(ring.slice(0, 4));
    await report(rest.slice(0, 1));
    const jobs = [releases.newHealthJob(), releases.newHealthJob(), releases.newHealthJob()];
    const halted = await Promise.all(jobs.map((job) => job.run()));
    expect(halted.reduce((sum, count) => sum + count)).toBe(1);
    expect(await releases.release(key)).toBeNull();
    expect((await releases.stored(key)).defaultValue).toBe('old');
    const { status, reason } = await prisma.release.findUniqueOrThrow({ where: { id } });
    expect({ status, reason }).toEqual({
      status: 'halted',
      reason: expect.stringMatching(/^Vehicles report faults: 4 of \d+ \([\d.]+%\) with the new content, 1 of \d+ /),
    });
    const announced = await prisma.webhookDelivery.findMany();
    expect(announced.map(({ payload }) => payload)).toMatchObject([{ releaseId: id, reason, userId: null }]);
    const [row] = await prisma.auditLog.findMany({ where: { action: 'HALT_RELEASE' }, orderBy: { createdAt: 'desc' } });
    expect(row!.afterValue).toMatchObject({
      release: id,
      faults: {
        ring: { vehicles: ring.length, faulty: 4 },
        rest: { vehicles: rest.length, faulty: 1 },
        maximumFaultyVehicles: 3,
        maximumFaultyPercent: 1,
      },
    });
  });

  test.each<[string, () => Promise<void>]>([
    ['as few faulty vehicles as it allows', () => report(ring.slice(0, 3))],
    ['faults in the rest alone', () => report(rest.slice(0, 30))],
    [
      'as many faults in the rest',
      async () => {
        await report(ring);
        await report(rest);
      },
    ],
    ['faults of another flag', () => report(ring, { flagKey: 'another' })],
    ['faults in another environment', () => report(ring, { environment: 'production' })],
    [
      'several faults of the same few vehicles',
      async () => {
        for (const kind of ['restarts', 'evaluation_error', 'outside_contract', 'not_servable'])
          await report(ring.slice(0, 3), { kind });
      },
    ],
    ['faults from before it began', async () => report(ring, { revision: (await under()).startedRevision - 1 })],
  ])('goes on with %s', async (_case, arrange) => {
    await arrange();
    expect(await releases.newHealthJob().run()).toBe(0);
    expect((await under()).status).toBe('running');
  });

  test('is halted by faults that came under an earlier stage of it', async () => {
    await report(ring.slice(0, 3));
    releases.clock.now += 60_000;
    await releases.job.runDue();
    expect((await under()).percentage).toBe(100);
    await divide([...ring, ...rest]);
    expect(rest).toEqual([]);
    await report(ring.slice(3, 6), { revision: (await under()).revision });
    expect(await releases.newHealthJob().run()).toBe(1);
  });

  test('holds at the end of a stage while it is past its limits, though the gate has not run', async () => {
    await report(ring.slice(0, 4));
    releases.clock.now += 60_000;
    await releases.job.runDue();
    expect(await under()).toMatchObject({ status: 'holding', reason: 'Too many vehicles report faults' });
    expect(await releases.newHealthJob().run()).toBe(1);
  });

  test('that takes the place of another begins with no faults', async () => {
    await report(ring.slice(0, 10));
    await releases.flags.ok(change('newer'), { key });
    expect(await releases.newHealthJob().run()).toBe(0);
    await report(ring.slice(0, 4));
    expect(await releases.newHealthJob().run()).toBe(1);
    expect((await releases.stored(key)).defaultValue).toBe('old');
  });
});

test('the figures leave out vehicles that do not have the definition yet, unless they report faults under it', async () => {
  await prisma.vehicle.updateMany({ where: { vin: { in: ring.slice(0, 8) } }, data: { appliedRevision: null } });
  await prisma.vehicle.updateMany({ where: { vin: { in: rest.slice(0, 50) } }, data: { environment: 'production' } });
  await report(ring.slice(0, 4));
  expect(await faultFigures(prisma, await releases.stored(key), await under())).toEqual({
    ring: { vehicles: ring.length - 4, faulty: 4 },
    rest: { vehicles: rest.length - 50, faulty: 0 },
  });
});

test('the figures leave out vehicles that report a revision which is still to come', async () => {
  const [ahead, ...others] = ring;
  const { revision } = await prisma.environment.findUniqueOrThrow({ where: { name: 'staging' } });
  await prisma.vehicle.update({ where: { vin: ahead! }, data: { appliedRevision: revision + 1n } });
  await report(others.slice(0, 5));
  expect((await faultFigures(prisma, await releases.stored(key), await under())).ring).toEqual({
    ...{ vehicles: others.length, faulty: 5 },
  });
});
