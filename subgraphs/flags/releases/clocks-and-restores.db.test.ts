/** Releases while the clock of the database jumps, and after a restore that vehicles are ahead of. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { eventually } from '../../../core/testing/eventually.ts';
import { rounds } from '../../../core/testing/rounds.ts';
import { advanceRevision } from '../signing/advance-revision.ts';
import { ReleasesUnderTest } from '../testing/releases-under-test.ts';
import type { FlagRelease } from './flag-release.ts';
import { HOLD_REASONS } from './release-reasons.ts';
import type { ReleaseStageJob } from './release-stage-job.ts';

const [MINUTE, YEAR] = [60_000, 31_536_000_000];
const STAGES = [50, 99.999, 100].map((percentage) => ({ percentage, soakMs: 2 * MINUTE, minimumVehicles: 1 }));
const START = Date.UTC(2027, 0, 4, 9);

let releases: ReleasesUnderTest;
beforeAll(async () => {
  releases = await ReleasesUnderTest.start();
});
afterAll(() => releases.flags.remove());

let key = '';
let job: ReleaseStageJob;
beforeEach(async () => {
  await releases.flags.prisma.vehicle.deleteMany();
  releases.clock.now = START;
  await begin();
  await report(0);
  job = releases.newJob();
});
afterEach(() => job.close());

async function begin(): Promise<void> {
  await releases.endAll();
  await releases.setPolicy('staging', []);
  // A vehicle stores 100 flags, and all rounds begin more often.
  if (key) await releases.flags.ok('mutation ($key: String!) { archiveFlag(key: $key) { applied } }', { key });
  ({ key } = await releases.flags.create({ type: 'STRING', defaultValue: 'old', enabled: true }));
  await releases.setPolicy('staging', STAGES);
  await releases.flags.ok(
    'mutation ($key: String!) { updateFlag(key: $key, input: { defaultValue: "new" }) { applied } }',
    { key },
  );
}

async function release(): Promise<FlagRelease> {
  const found = await releases.release(key);
  if (found === null) throw new Error('No release is under way');
  return found;
}

const vinOf = (n: number) => `KMH${String(n * 7_919).padStart(14, '0')}`;
/** Lets a hundred vehicles report a revision at the present time. */
async function report(appliedRevision: number): Promise<void> {
  const { prisma } = releases.flags;
  await prisma.vehicle.deleteMany();
  await prisma.vehicle.createMany({
    data: Array.from({ length: 100 }, (_, n) => ({
      ...{ vin: vinOf(n), model: 'EV9', swVersion: '1', region: 'KR', environment: 'staging', status: 'online' },
      ...{ appliedRevision, lastSeenAt: new Date(releases.clock.now) },
    })),
  });
}

describe('a clock that is set', () => {
  test('back by years lets a release wait for its soak, and no longer', async () => {
    releases.clock.now = START - 3 * YEAR;
    expect(await job.runDue()).toBe(0);
    releases.clock.now += 2 * MINUTE - 1;
    await report((await release()).revision);
    expect(await job.runDue()).toBe(0);
    releases.clock.now += 1;
    expect(await job.runDue()).toBe(1);
    expect((await release()).percentage).toBe(99.999);
  });

  test('back while a release holds checks it again soon', async () => {
    releases.clock.now += 2 * MINUTE;
    expect(await job.runDue()).toBe(0);
    expect(await release()).toMatchObject({ status: 'holding' });
    releases.clock.now += 5 * YEAR;
    await job.runDue();
    releases.clock.now -= 5 * YEAR;
    await job.runDue();
    await report((await release()).revision);
    releases.clock.now += MINUTE;
    expect(await job.runDue()).toBe(1);
  });

  test('forward by years moves no release on before vehicles have had a minute to report', async () => {
    await report((await release()).revision);
    job.start();
    // Wherever the clock is set while a poll runs, the poll has one time.
    releases.clock.now += YEAR;
    const held = await eventually(async () => {
      const found = await release();
      return found.status === 'running' && found.percentage === 50 ? null : found;
    });
    expect(held).toMatchObject({ percentage: 50, status: 'holding', reason: HOLD_REASONS.unseen });
    releases.clock.now += MINUTE;
    await eventually(async () => (await release()).percentage > 50);
  });

  test('at random never holds a release longer than its soak and a check, nor shortens a soak in which it stood still', async () => {
    const jump = fc.oneof(fc.integer({ min: -5 * YEAR, max: 5 * YEAR }), fc.integer({ min: -MINUTE, max: MINUTE }));
    await fc.assert(
      fc.asyncProperty(fc.array(jump, { maxLength: 6 }), async (jumps) => {
        releases.clock.now = START;
        await begin();
        await report(0);
        for (const by of jumps) {
          releases.clock.now = Math.max(0, releases.clock.now + by);
          await job.runDue();
          const { stageStartedAt, dueAt, percentage } = await release();
          // Nobody reports, so that no stage ends.
          expect(percentage).toBe(50);
          expect(stageStartedAt.getTime()).toBeLessThanOrEqual(releases.clock.now);
          const soaked = stageStartedAt.getTime() + 2 * MINUTE;
          expect(dueAt?.getTime()).toBeLessThanOrEqual(Math.max(soaked, releases.clock.now + MINUTE));
        }
        const { revision } = await release();
        releases.clock.now += 2 * MINUTE;
        await report(revision);
        expect(await job.runDue()).toBe(1);
      }),
      { numRuns: rounds(8, 75) },
    );
  });
});

test('a restore that vehicles are ahead of lets the stage begin again, and what they had does not count', async () => {
  const { prisma, signer } = releases.flags;
  const before = await release();
  const lost = (await releases.stored(key)).revision + 50;
  releases.clock.now += 2 * MINUTE;
  await report(lost);
  expect(await job.runDue()).toBe(0);
  await advanceRevision(
    ...([prisma, signer, releases.writer] as const),
    { environment: 'staging', beyond: lost + 10, reason: 'restored' },
    async () => new Date(releases.clock.now),
  );
  const { revision } = await releases.stored(key);
  expect(await release()).toMatchObject({
    ...{ id: before.id, ring: before.ring, percentage: 50, status: 'running', reason: null, revision },
    stageStartedAt: new Date(releases.clock.now),
    dueAt: new Date(releases.clock.now + 2 * MINUTE),
    startedRevision: before.startedRevision,
  });
  releases.clock.now += 2 * MINUTE;
  await report(lost);
  expect(await job.runDue()).toBe(0);
  expect((await release()).reason).toBe('0 of 1 vehicles report the new content');
  releases.clock.now += MINUTE;
  await report(revision);
  expect(await job.runDue()).toBe(1);
});
