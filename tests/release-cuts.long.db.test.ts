/**
 * Steps of releases whose connection to the database breaks at each of their messages, in either direction, as when the
 * process is killed there: each step is made once or not at all, and what is written belongs together.
 */
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from '@jest/globals';
import { eventually } from '../core/testing/eventually.ts';
import { rounds } from '../core/testing/rounds.ts';
import { checkIntegrity } from '../subgraphs/audit/log/integrity.ts';
import { createFlagChanges } from '../subgraphs/flags/changes/change.ts';
import { ReleaseService } from '../subgraphs/flags/releases/release-service.ts';
import { ReleaseStageJob } from '../subgraphs/flags/releases/release-stage-job.ts';
import { RolloutTransitions } from '../subgraphs/flags/rollouts/rollout-transitions.ts';
import { definitionIn } from '../subgraphs/flags/signing/signing.ts';
import { ReleasesUnderTest, THREE_STAGES } from '../subgraphs/flags/testing/releases-under-test.ts';
import { silent } from '../subgraphs/shared/testing/asking.ts';
import type { ProxyDirection } from '../subgraphs/shared/testing/severable-proxy.ts';
import { watchDatabase, type WatchedDatabase } from '../subgraphs/shared/testing/watched-database.ts';

const MINUTE = 60_000;
/** A transaction of a step has more than a dozen messages in each direction. The gate breaks at each of them. */
const EACH = rounds(5, 1);

let releases: ReleasesUnderTest;
let database: WatchedDatabase;
let key = '';
let value = 0;

beforeAll(async () => {
  releases = await ReleasesUnderTest.start();
  ({ key } = await releases.flags.create({ type: 'NUMBER', defaultValue: 0, enabled: true }));
  await releases.setPolicy('staging', THREE_STAGES);
});
beforeEach(async () => {
  database = await watchDatabase(releases.flags.database.url);
});
afterEach(() => database.close());
afterAll(() => releases.flags.remove());

/** Gives the parts of an instance whose connections can break. */
function instance() {
  const { signer, bus } = releases.flags;
  const { prisma } = database;
  const clock = async () => new Date(releases.clock.now);
  const changes = createFlagChanges(prisma, signer, bus, silent, new RolloutTransitions(clock));
  return {
    job: new ReleaseStageJob(prisma, changes, clock, silent),
    service: new ReleaseService(prisma, prisma, changes, { changes, prisma }),
  };
}

/**
 * Breaks all connections at the message `at` after the first beginning of a transaction. Says whether that was reached.
 */
function breakAt(at: number, direction: ProxyDirection): () => boolean {
  let messages = -1;
  let isBroken = false;
  database.proxy.rewrite = (bytes, way) => {
    if (messages < 0 && bytes.includes('BEGIN')) messages = 0;
    else if (messages >= 0 && way === direction) messages += 1;
    if (messages < at || isBroken || way !== direction) return bytes;
    isBroken = true;
    database.proxy.sever();
    return Buffer.alloc(0);
  };
  return () => isBroken;
}

/** Begins a release, which is due, at a percentage. */
async function begin(percentage: number): Promise<void> {
  value += 1;
  await releases.flags.ok(
    'mutation ($key: String!, $to: JSON!) { updateFlag(key: $key, input: { defaultValue: $to}) { applied } }',
    {
      ...{ key, to: value },
    },
  );
  if (percentage > 1) await releases.service.promote(releases.writer, key, percentage, 'the beginning of a test');
  releases.clock.now += 2 * MINUTE;
}

/** Gives what the step has left: the places at which the revision, the stage and the end of the release stand. */
async function standing() {
  const { prisma } = releases.flags;
  const flag = await releases.stored(key);
  const { id: flagId } = flag;
  const [newest] = await prisma.release.findMany({ where: { flagId }, orderBy: { startedRevision: 'desc' }, take: 1 });
  const steps = ['ADVANCE_RELEASE', 'PROMOTE_RELEASE', 'HALT_RELEASE', 'COMPLETE_RELEASE'];
  const recorded = await prisma.auditLog.count({ where: { flagId, action: { in: steps } } });
  const signed = definitionIn(flag.signedDefinition);
  // What belongs together was written together.
  expect(signed.revision).toBe(flag.revision);
  expect(await releases.flags.revision()).toBe(flag.revision);
  expect(signed.release?.percentage ?? null).toBe(flag.release?.percentage ?? null);
  expect(newest?.endedAt === null ? Number(newest.percentage) : null).toBe(flag.release?.percentage ?? null);
  if (newest?.endedAt === null) expect(Number(newest.revision)).toBe(flag.revision);
  expect(await checkIntegrity(prisma, { from: null, to: null })).toMatchObject({ intact: true });
  return { revision: flag.revision, recorded, status: newest?.status, percentage: Number(newest?.percentage) };
}

const steps: readonly [name: string, from: number, step: () => Promise<unknown>, after: object][] = [
  ['stage', 1, () => instance().job.runDue(), { status: 'running', percentage: 10 }],
  ['end', 100, () => instance().job.runDue(), { status: 'completed', percentage: 100 }],
  [
    'promotion',
    1,
    () => instance().service.promote(releases.writer, key, 30, 'it is calm'),
    { status: 'running', percentage: 30 },
  ],
  ['halt', 1, () => instance().service.halt(releases.writer, key, 'smoke'), { status: 'halted', percentage: 1 }],
];

for (const [name, from, step, after] of steps)
  for (const direction of ['to-server', 'to-client'] as const)
    test(`the ${name} of a release that is cut off at any message ${direction} is made once or not at all, and once by the next attempt`, async () => {
      let cuts = 0;
      for (let at = 0, isBroken = true; isBroken; at += EACH) {
        await begin(from);
        const before = await standing();
        const wasBroken = breakAt(at, direction);
        await step().catch(() => undefined);
        isBroken = wasBroken();
        cuts += isBroken ? 1 : 0;
        database.proxy.rewrite = (bytes) => bytes;
        database.proxy.restore();
        const left = await standing();
        const made = { ...after, revision: before.revision + 1, recorded: before.recorded + 1 };
        if (left.revision === before.revision) {
          expect(left).toEqual(before);
          // The server may take a moment until it notices that a session has ended, and frees what that has locked.
          await eventually(async () => {
            await step().catch(() => undefined);
            return (await standing()).revision > before.revision;
          }, 'the next attempt makes it');
        }
        expect(await standing()).toEqual(made);
        // A further attempt finds it made.
        if (name !== 'promotion') await step().catch(() => undefined);
        expect(await standing()).toEqual(made);
      }
      expect(cuts).toBeGreaterThan(1);
    }, 300_000);
