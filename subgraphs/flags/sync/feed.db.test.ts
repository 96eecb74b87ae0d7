import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { decodeJwt } from 'jose';
import type { Environment } from '../../../core/model.ts';
import { silent } from '../../shared/testing/asking.ts';
import { FLAGS_CHANGED } from '../changes/announcement.ts';
import { RememberedFlags } from '../flags/remembered/remembered-flags.ts';
import { FlagFeed, type FlagChangeEvent } from './feed.ts';
import { PositionSignatures } from '../signing/position-signatures.ts';
import { EnvironmentSnapshots } from './snapshots/snapshots.ts';
import { backUp } from '../testing/backup.ts';
import { FlagsUnderTest } from '../testing/flags-under-test.ts';
import { liveSet } from '../testing/live-set.ts';

let flags: FlagsUnderTest;
/** A feed on another instance, which learns of changes only by the bus. */
let feed: FlagFeed;

beforeAll(async () => {
  flags = await FlagsUnderTest.start();
});
afterAll(() => flags.remove());
afterEach(async () => {
  flags.bus.lost = false;
  await feed.close();
});

async function following(environment: Environment): Promise<AsyncIterableIterator<FlagChangeEvent>> {
  const { prisma, store, signer, bus } = flags;
  const remembered = new RememberedFlags(prisma);
  feed = new FlagFeed(
    (keys) => remembered.byKeys(keys),
    new EnvironmentSnapshots({ prisma, store, logger: silent, follower: remembered }),
    new PositionSignatures(signer),
    bus,
    silent,
  );
  await feed.start();
  return feed.changes(environment, null);
}

async function take(events: AsyncIterableIterator<FlagChangeEvent>): Promise<FlagChangeEvent> {
  const result = await events.next();
  if (result.done === true) throw new Error('the feed has ended');
  return result.value;
}

const archive = (key: string) => flags.ok('mutation ($key: String!) { archiveFlag(key: $key) { applied } }', { key });

describe('the feed', () => {
  test('delivers each change once, in order, each following the one before', async () => {
    const events = await following('staging');
    let previousRevision = await flags.revision();
    for (let round = 0; round < 5; round++) {
      const { key, revision } = await flags.create();
      expect(await take(events)).toMatchObject({
        environment: 'staging',
        revision,
        previousRevision,
        signed: { key, revision, removed: false },
        flag: { key },
      });
      previousRevision = revision;
    }
  });

  test('chains concurrent changes of many writers without a gap', async () => {
    const events = await following('staging');
    let at = await flags.revision();
    const created = await Promise.all(Array.from({ length: 20 }, () => flags.create()));
    const seen: string[] = [];
    while (seen.length < created.length) {
      const { previousRevision, revision, signed } = await take(events);
      expect(previousRevision).toBe(at);
      expect(revision).toBe(at + 1);
      at = revision;
      seen.push(signed.key);
    }
    expect(seen.sort()).toEqual(created.map(({ key }) => key).sort());
  });

  test('finds changes without an announcement by itself', async () => {
    const events = await following('staging');
    flags.bus.lost = true;
    const { key, revision } = await flags.create();
    expect(await take(events)).toMatchObject({ revision, signed: { key } });
  });

  test('delivers only the last state of a flag that changed twice before the poll, and nothing is missed by that', async () => {
    const events = await following('production');
    const at = await flags.revision('production');
    flags.bus.lost = true;
    const { key } = await flags.create({ environment: 'PRODUCTION' });
    // The subgraph's own instance polls every second, too; this one refreshes now.
    await flags.ok('mutation ($key: String!) { enableFlag(key: $key) { applied } }', { key });
    await feed.refresh();
    let event = await take(events);
    if (event.revision === at + 1) event = await take(events);
    expect(event).toMatchObject({ revision: at + 2, flag: { enabled: true } });
    expect([at, at + 1]).toContain(event.previousRevision);
  });

  test('notifies once, and at once, that a flag is held', async () => {
    const events = await following('staging');
    const { key } = await flags.create();
    expect(await take(events)).toMatchObject({ isKill: false });
    const kill = 'mutation ($key: String!) { killSwitch(flagKey: $key, reason: "Fault in the field") { applied } }';
    const describe = 'mutation ($key: String!) { updateFlag(key: $key, input: { description: "Held" }) { applied } }';
    const release = 'mutation ($key: String!) { releaseKillSwitch(flagKey: $key, reason: "Mended") { applied } }';
    for (const [mutation, isKill] of [
      [kill, true],
      [describe, false],
      [release, false],
      [kill, true],
    ] as const) {
      await flags.ok(mutation, { key });
      expect(await take(events)).toMatchObject({ signed: { key }, isKill });
    }
  });

  test('announces a held flag at once in each environment that it comes to, and not in the one that it leaves', async () => {
    const [left, entered] = [await following('production'), await following('staging')];
    const { key } = await flags.create({ environment: 'PRODUCTION' });
    await take(left);
    const kill = 'mutation ($key: String!) { killSwitch(flagKey: $key, reason: "Fault in the field") { applied } }';
    await flags.ok(kill, { key });
    expect(await take(left)).toMatchObject({ signed: { key }, isKill: true });
    await flags.ok('mutation ($key: String!) { updateFlag(key: $key, input: { environment: STAGING }) { applied } }', {
      key,
    });
    expect(await take(left)).toMatchObject({ signed: { key }, isKill: false });
    expect(await take(entered)).toMatchObject({ signed: { key }, isKill: true });
  });

  test('delivers a burst of changes of one flag in few events, the last of them its last state', async () => {
    const events = await following('staging');
    const { key } = await flags.create();
    await take(events);
    const from = performance.now();
    let revision = 0;
    for (let n = 0; n < 30; n++) {
      const answer = await flags.ok<{ updateFlag: { flag: { revision: number } } }>(
        'mutation ($key: String!, $to: String!) { updateFlag(key: $key, input: { description: $to }) { flag { revision } } }',
        { key, to: `Change ${n}` },
      );
      revision = answer.updateFlag.flag.revision;
    }
    let count = 0;
    for (let event = await take(events); ; event = await take(events)) {
      count += 1;
      if (event.revision === revision) break;
    }
    // One look in a tenth of a second, and the poll of each second beside them.
    const seconds = (performance.now() - from) / 1_000;
    expect(count).toBeLessThanOrEqual(2 + Math.ceil(seconds * 11));
  });

  test('delivers the tombstone of a flag that came and left before the first poll, for vehicles that have it from a sync', async () => {
    const events = await following('development');
    expect(await flags.revision('development')).toBe(0);
    flags.bus.lost = true;
    const { key } = await flags.create({ environment: 'DEVELOPMENT' });
    await archive(key);
    await feed.refresh();
    let event = await take(events);
    if (!event.signed.removed) event = await take(events);
    expect(event).toMatchObject({ revision: 2, signed: { key, removed: true } });
  });

  test('follows a restored database, whose changes show a gap to vehicles that are ahead', async () => {
    const { key } = await flags.create();
    const restore = await backUp(flags.prisma);
    const at = await flags.revision();
    const events = await following('staging');
    for (const { revision } of [await flags.create(), await flags.create()])
      expect((await take(events)).revision).toBe(revision);
    await restore();
    await feed.refresh();
    await flags.ok('mutation ($key: String!) { enableFlag(key: $key) { applied } }', { key });
    const event = await take(events);
    expect(event).toMatchObject({ revision: at + 1, previousRevision: at, flag: { key } });
    expect(decodeJwt(await event.proof())).toMatchObject(await liveSet(flags.prisma, 'staging'));
  });

  test('gives the changes of one poll the proof of the last of them', async () => {
    const events = await following('staging');
    flags.bus.lost = true;
    const created = [await flags.create(), await flags.create(), await flags.create()];
    await feed.refresh();
    const seen = [await take(events), await take(events), await take(events)];
    expect(seen.map(({ revision }) => revision)).toEqual(created.map(({ revision }) => revision));
    // Another poll may have come in between.
    const last = await liveSet(flags.prisma, 'staging');
    const proofs = await Promise.all(seen.map((event) => event.proof()));
    expect(decodeJwt(proofs.at(-1) ?? '')).toMatchObject(last);
    for (const [index, { revision }] of seen.entries())
      expect(decodeJwt(proofs[index] ?? '')['revision']).toBeGreaterThanOrEqual(revision);
    expect(new Set(proofs).size).toBeLessThanOrEqual(2);
  });

  test('delivers nothing of other environments, and a move to both', async () => {
    const staging = await following('staging');
    const production = feed.changes('production', null);
    const { key } = await flags.create({ environment: 'PRODUCTION' });
    expect(await take(production)).toMatchObject({ signed: { key, removed: false } });
    await flags.move(key, 'STAGING');
    expect(await take(production)).toMatchObject({ environment: 'production', signed: { key, removed: true } });
    expect(await take(staging)).toMatchObject({ environment: 'staging', signed: { key, removed: false } });
  });

  test('delivers nothing from before the subscription', async () => {
    const first = await following('staging');
    await flags.create();
    await take(first);
    const second = feed.changes('staging', null);
    const { revision } = await flags.create();
    expect(await take(second)).toMatchObject({ revision });
  });

  test('polls once more for announcements that arrive during a poll', async () => {
    const events = await following('staging');
    const created = [await flags.create(), await flags.create()];
    for (let times = 0; times < 10; times++) await flags.bus.publish(FLAGS_CHANGED, 'staging');
    for (const { revision } of created) expect((await take(events)).revision).toBe(revision);
    const { revision } = await flags.create();
    expect((await take(events)).revision).toBe(revision);
  });

  test('ends its streams when it closes, and polls no more', async () => {
    const events = await following('staging');
    const pending = events.next();
    await feed.close();
    expect(await pending).toEqual({ done: true, value: undefined });
    expect(await events.next()).toEqual({ done: true, value: undefined });
  });

  test('continues after the database could not be read', async () => {
    const events = await following('staging');
    // A missing column stands for any failure of a poll.
    await flags.prisma.$executeRaw`ALTER TABLE environments RENAME COLUMN revision TO elsewhere`;
    await feed.refresh();
    await flags.prisma.$executeRaw`ALTER TABLE environments RENAME COLUMN elsewhere TO revision`;
    const { revision } = await flags.create();
    expect((await take(events)).revision).toBe(revision);
  });
});
