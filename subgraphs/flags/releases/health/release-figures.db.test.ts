import { afterAll, beforeAll, beforeEach, expect, test } from '@jest/globals';
import { compileFlag } from '../../../../core/evaluation/evaluate.ts';
import type { PrismaClient } from '../../../../prisma/generated/client.ts';
import { refusal } from '../../../shared/testing/asking.ts';
import { vehicleForm } from '../../flags/vehicle-form.ts';
import { ReleasesUnderTest } from '../../testing/releases-under-test.ts';
import type { FlagRelease } from '../flag-release.ts';
import { MAX_COUNTED_RELEASES, ReleaseFigures } from './release-figures.ts';

const FLEET = 200;
const vinOf = (n: number) => `KMH${String(n * 7_919).padStart(14, '0')}`;
const STAGES = [20, 100].map((percentage) => ({ percentage, soakMs: 60_000, minimumVehicles: 0 }));
const FIGURES =
  'faultFigures { ring { vehicles faulty } rest { vehicles faulty } maximumFaultyVehicles maximumFaultyPercent }';
const OF_FLAG = `query ($key: String!) { flag(key: $key) { release { ${FIGURES} } } }`;

let releases: ReleasesUnderTest;
let prisma: PrismaClient;
let key: string;
let ring: string[];
let rest: string[];

beforeAll(async () => {
  releases = await ReleasesUnderTest.start();
  ({ prisma } = releases.flags);
});
afterAll(() => releases.flags.remove());

async function startRelease(): Promise<string> {
  await releases.setPolicy('staging', []);
  const flag = await releases.flags.create({ type: 'STRING', defaultValue: 'old', enabled: true });
  await releases.setPolicy('staging', STAGES);
  await releases.flags.ok(
    'mutation ($key: String!) { updateFlag(key: $key, input: { defaultValue: "new" }) { applied } }',
    { key: flag.key },
  );
  return flag.key;
}

async function under(): Promise<FlagRelease> {
  const release = await releases.release(key);
  if (release === null) throw new Error('No release is under way');
  return release;
}

beforeEach(async () => {
  await prisma.vehicle.deleteMany();
  key = await startRelease();
  const { startedRevision } = await under();
  const vins = Array.from({ length: FLEET }, (_, n) => vinOf(n));
  await prisma.vehicle.createMany({
    data: vins.map((vin) => ({
      ...{ vin, model: 'EV9', swVersion: '2.5.0', region: 'EU', status: 'online', environment: 'staging' },
      appliedRevision: BigInt(startedRevision),
    })),
  });
  const { release } = compileFlag(vehicleForm(await releases.stored(key)));
  ring = vins.filter((vin) => release!.isIn({ vin, model: 'EV9', region: 'EU' }));
  rest = vins.filter((vin) => !ring.includes(vin));
});

async function report(vins: readonly string[]): Promise<void> {
  const { startedRevision } = await under();
  await prisma.vehicleFault.createMany({
    data: vins.map((vin) => ({
      ...{ vin, environment: 'staging', flagKey: key, kind: 'restarts', message: 'm', occurredAt: new Date() },
      revision: BigInt(startedRevision),
    })),
  });
}

const asked = async () =>
  (await releases.flags.ok<{ flag: { release: { faultFigures: object } | null } }>(OF_FLAG, { key })).flag.release
    ?.faultFigures;

const LIMITS = { maximumFaultyVehicles: 3, maximumFaultyPercent: 1 };

test('a release within its limits gives the figures of the whole fleet, which the gate does not need', async () => {
  await report(ring.slice(0, 2));
  await report(rest.slice(0, 1));
  expect(await asked()).toEqual({
    ...LIMITS,
    ring: { vehicles: ring.length, faulty: 2 },
    rest: { vehicles: rest.length, faulty: 1 },
  });
});

test('the figures are those by which the gate halts, and there are none after that', async () => {
  await report(ring.slice(0, 4));
  await report(rest.slice(0, 1));
  const figures = await asked();
  expect(await releases.newHealthJob().run()).toBe(1);
  const [row] = await prisma.auditLog.findMany({ where: { action: 'HALT_RELEASE' }, orderBy: { createdAt: 'desc' } });
  expect(row!.afterValue).toMatchObject({ faults: figures });
  const { releases: ended } = await releases.flags.ok<{ releases: { nodes: object[] } }>(
    `query ($key: String!) { releases(flagKey: $key) { nodes { status ${FIGURES} } } }`,
    { key },
  );
  expect(ended.nodes).toEqual([{ status: 'HALTED', faultFigures: null }]);
});

test('callers at the same time or soon after share a count, until the release is at another stage', async () => {
  let nowMs = 0;
  const figures = new ReleaseFigures(prisma, () => nowMs);
  const faulty = async () => (await figures.of([await under()]))[0]?.ring.faulty;
  const release = await under();
  const [one, other] = await Promise.all([figures.of([release]), figures.of([release])]);
  expect(one[0]).toBe(other[0]);
  await report(ring.slice(0, 1));
  nowMs += 4_999;
  expect(await faulty()).toBe(0);
  nowMs += 1;
  expect(await faulty()).toBe(1);
  await report(ring.slice(1, 3));
  expect(await faulty()).toBe(1);
  releases.clock.now += 60_000;
  expect(await releases.job.runDue()).toBeGreaterThan(0);
  expect(await faulty()).toBe(3);
});

test('a count that took long is given again for longer', async () => {
  let nowMs = 0;
  // Each reading of the clock is a second later: a count takes one.
  const figures = new ReleaseFigures(prisma, () => (nowMs += 1_000));
  const [first] = await figures.of([await under()]);
  nowMs += 8_000;
  expect((await figures.of([await under()]))[0]).toBe(first);
  nowMs += 10_000;
  expect((await figures.of([await under()]))[0]).not.toBe(first);
});

test('a count that fails is refused once, and the next one is made', async () => {
  let fails = true;
  const failing = new Proxy(prisma, {
    get: (target, name) => {
      if (fails) throw new Error('The database is away');
      return Reflect.get(target, name) as unknown;
    },
  });
  const figures = new ReleaseFigures(failing);
  const release = await under();
  await expect(figures.of([release])).rejects.toThrow('The database is away');
  fails = false;
  expect((await figures.of([release]))[0]?.ring.vehicles).toBe(ring.length);
});

test('one operation may ask for those of ten releases under way, and of any number that have ended', async () => {
  const query = `{ releases(first: 100) { nodes { ${FIGURES} } } }`;
  const others: string[] = [];
  const running = () => prisma.release.count({ where: { endedAt: null } });
  while ((await running()) < MAX_COUNTED_RELEASES) others.push(await startRelease());
  expect((await releases.flags.ask(releases.flags.writer, query)).errors).toEqual([]);
  others.push(await startRelease());
  const refused = await releases.flags.ask(releases.flags.writer, query);
  expect(refusal(refused)).toMatchObject({ code: 'LIMIT_EXCEEDED' });
});
