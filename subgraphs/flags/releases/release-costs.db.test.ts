/**
 * The costs of a release: the bytes of its events, which each vehicle of the fleet is sent, and the statements of its
 * stages.
 */
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { silent } from '../../shared/testing/asking.ts';
import { watchDatabase, type WatchedDatabase } from '../../shared/testing/watched-database.ts';
import { createFlagChanges } from '../changes/change.ts';
import { RolloutTransitions } from '../rollouts/rollout-transitions.ts';
import { ReleasesUnderTest, THREE_STAGES } from '../testing/releases-under-test.ts';
import { ReleaseStageJob } from './release-stage-job.ts';

let releases: ReleasesUnderTest;
let watched: WatchedDatabase;
beforeAll(async () => {
  releases = await ReleasesUnderTest.start();
  watched = await watchDatabase(releases.flags.database.url);
}, 120_000);
afterAll(async () => {
  await watched?.close();
  await releases?.flags.remove();
});

const UPDATE =
  'mutation ($key: String!, $input: UpdateFlagInput!) { updateFlag(key: $key, input: $input) { applied } }';

/** Gives an average flag, which all vehicles have: of two rules, one of them of a percentage. */
async function averageFlag(key: string): Promise<string> {
  await releases.setPolicy('staging', []);
  await releases.flags.create({ key, name: 'A flag', type: 'BOOLEAN', defaultValue: false, enabled: true });
  await releases.flags.addRule(key, {
    ...{ type: 'VEHICLE_TARGET', priority: 20, conditions: { models: ['Ioniq 6', 'EV9'], regions: ['KR', 'EU'] } },
  });
  await releases.flags.addRule(key, {
    ...{ type: 'PERCENTAGE_ROLLOUT', priority: 10, conditions: { rollout_percentage: 5 } },
  });
  return key;
}

/** Gives the bytes of the message that brings a flag's newest change to a vehicle (`flagChanges`, without a proof). */
async function bytesOfChange(key: string): Promise<number> {
  const { environment, revision, signedDefinition: jws } = await releases.stored(key);
  const flagChanges = {
    ...{ environment: environment.toUpperCase(), revision, previousRevision: revision - 1 },
    signed: { key, revision, removed: false, jws },
  };
  return Buffer.byteLength(JSON.stringify({ id: '1', type: 'next', payload: { data: { flagChanges } } }));
}

test('an event of a release has so many bytes more than the same change without one', async () => {
  const change = (key: string) => releases.flags.ok(UPDATE, { key, input: { defaultValue: true } });
  const canary = {
    vins: Array.from({ length: 10 }, (_, n) => `KMH${String(n).padStart(14, '0')}`),
    ...{ models: [], regions: [] },
  };
  const bytes: Record<string, number> = {};
  await change(await averageFlag('without'));
  bytes['without a release'] = await bytesOfChange('without');
  await averageFlag('staged_');
  await releases.setPolicy('staging', THREE_STAGES);
  await change('staged_');
  bytes['of a release'] = await bytesOfChange('staged_');
  await averageFlag('canary_');
  await releases.setPolicy('staging', THREE_STAGES, canary);
  await change('canary_');
  bytes['of a release with ten VINs that go first'] = await bytesOfChange('canary_');
  // The page of figures has them: docs/reference/performance.md.
  expect(bytes).toEqual({
    'without a release': 1_192,
    'of a release': 1_820,
    'of a release with ten VINs that go first': 2_043,
  });
});

test('a stage that begins costs 18 statements, in a small fleet and in a larger one, and so does the end', async () => {
  const clock = async () => new Date(releases.clock.now);
  const changes = createFlagChanges(
    ...([watched.prisma, releases.flags.signer, releases.flags.bus, silent, new RolloutTransitions(clock)] as const),
  );
  const job = new ReleaseStageJob(watched.prisma, changes, clock, silent);
  const stages = [
    { percentage: 50, soakMs: 60_000, minimumVehicles: 0 },
    { percentage: 100, soakMs: 60_000, minimumVehicles: 20 },
  ];
  /** Moves a release in a fleet to its last stage and to its end, and gives the statements of each step. */
  const costOf = async (vehicles: number): Promise<readonly number[]> => {
    await releases.flags.prisma.vehicle.deleteMany();
    const key = await averageFlag(`cost_${vehicles}`);
    await releases.setPolicy('staging', stages);
    await releases.flags.ok(UPDATE, { key, input: { defaultValue: true } });
    await releases.flags.prisma.vehicle.createMany({
      data: Array.from({ length: vehicles }, (_, n) => ({
        ...{ vin: `KMH${String(n).padStart(14, '0')}`, model: 'EV9', swVersion: '1', region: 'KR' },
        ...{ environment: 'staging', status: 'online' },
      })),
    });
    const steps: number[] = [];
    for (const _ of stages) {
      releases.clock.now += 60_000;
      // All vehicles have what there is, have evaluated it, and have said so just now.
      const revision = await releases.flags.revision();
      const lastSeenAt = new Date(releases.clock.now);
      await releases.flags.prisma.vehicle.updateMany({
        data: { appliedRevision: revision, evaluatedFlags: [`${key}:${revision}`], lastSeenAt },
      });
      const from = watched.statements.length;
      expect(await job.runDue()).toBe(1);
      steps.push(watched.statements.length - from);
    }
    return steps;
  };
  await releases.flags.prisma.release.updateMany({
    where: { endedAt: null },
    data: { status: 'halted', endedAt: new Date(), dueAt: null },
  });
  const one = await costOf(100);
  expect(one).toEqual([18, 18]);
  expect(await costOf(2_000)).toEqual(one);
});
