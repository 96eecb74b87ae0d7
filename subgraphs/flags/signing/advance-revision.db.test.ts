import { readFile } from 'node:fs/promises';
import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals';
import { decodeJwt } from 'jose';
import type { Caller } from '../../../core/access/caller.ts';
import { jwsDigest, setDigest } from '../../../core/wire/vehicle/proof.ts';
import { appendAudit } from '../../shared/audit/audit-log.ts';
import { identityOf, user } from '../../shared/testing/asking.ts';
import { MAX_ADVANCE, advanceRevision } from './advance-revision.ts';
import { FLAGS_CHANGED } from '../changes/announcement.ts';
import { backUp } from '../testing/backup.ts';
import { FlagsUnderTest } from '../testing/flags-under-test.ts';
import { liveSet } from '../testing/live-set.ts';

const SYNC =
  'query ($since: Int) { flagSync(environment: STAGING, since: $since) { revision full proof flags { key revision removed jws } } }';
const CHANGES = 'subscription { flagChanges(environment: STAGING) { revision previousRevision signed { key } proof } }';
const VEHICLE: Caller = { kind: 'vehicle', vin: 'KMHK281HGNU000001', environment: 'staging' };

interface Signed {
  readonly key: string;
  readonly revision: number;
  readonly removed: boolean;
  readonly jws: string;
}
interface Sync {
  readonly revision: number;
  readonly full: boolean;
  readonly proof: string;
  readonly flags: readonly Signed[];
}

let flags: FlagsUnderTest;
beforeAll(async () => {
  flags = await FlagsUnderTest.start();
});
afterAll(() => flags.remove());
afterEach(async () => {
  await flags.prisma.vehicle.deleteMany();
  for (const { key } of await flags.prisma.flag.findMany({ where: { archivedAt: null } })) await archive(key);
});

const archive = (key: string) => flags.ok('mutation ($key: String!) { archiveFlag(key: $key) { applied } }', { key });
const kill = (key: string) =>
  flags.ok('mutation ($key: String!) { killSwitch(flagKey: $key, reason: "smoke") { applied } }', { key });
const sync = async (since: number) => (await flags.ok<{ flagSync: Sync }>(SYNC, { since }, VEHICLE)).flagSync;
const identity = () => identityOf(flags.writer, { userAgent: 'fleetflag-admin' });
const advance = (beyond: number, reason = 'restored the backup of Monday') =>
  advanceRevision(flags.prisma, flags.signer, identity(), { environment: 'staging', beyond, reason });
const report = (...revisions: number[]) =>
  flags.prisma.vehicle.createMany({
    data: revisions.map((appliedRevision, n) => ({
      vin: `KMH${String(n).padStart(14, '0')}`,
      model: 'EV9',
      swVersion: '1',
      region: 'EU',
      status: 'offline',
      environment: 'staging',
      appliedRevision,
    })),
  });

/**
 * A vehicle that keeps changes above its own revision, asks for everything when its set does not match, and counts how
 * often.
 */
class Vehicle {
  readonly #held = new Map<string, Signed>();
  revision = 0;
  full = 0;

  async sync(): Promise<void> {
    if (this.#take(await sync(this.revision))) return;
    this.full += 1;
    this.#held.clear();
    if (!this.#take(await sync(0))) throw new Error('everything does not agree with its proof');
  }

  /** Applies the answer; gives whether the set then matches the proof. */
  #take(answer: Sync): boolean {
    if (answer.revision < this.revision) return true;
    for (const signed of answer.flags) {
      if (signed.removed) this.#held.delete(signed.key);
      else this.#held.set(signed.key, signed);
    }
    this.revision = answer.revision;
    return (
      setDigest(
        [...this.#held.values()].map(({ key, revision, jws }) => ({ key, revision, digest: jwsDigest(jws) })),
      ) === decodeJwt(answer.proof)['set']
    );
  }

  holds(key: string): string | undefined {
    return this.#held.get(key)?.jws;
  }
}

test('vehicles ahead of a restored database accept changes again, receive a kill switch, and their sets match', async () => {
  const [kept, left, killed] = [
    await flags.create({ enabled: true }),
    await flags.create(),
    await flags.create({ enabled: true }),
  ];
  const offline = new Vehicle();
  await offline.sync();
  await archive(left.key);
  const restore = await backUp(flags.prisma);
  // Changes that the backup lacks, and a flag.
  const lost = await flags.create({ enabled: true });
  for (const verb of ['disableFlag', 'enableFlag', 'disableFlag'])
    await flags.ok(`mutation ($key: String!) { ${verb}(key: $key) { applied } }`, { key: kept.key });
  const ahead = new Vehicle();
  await ahead.sync();
  await restore();
  await kill(killed.key);
  await ahead.sync();
  expect([ahead.holds(lost.key), ahead.revision > (await flags.revision())]).toEqual([expect.any(String), true]);

  const { from, to, flags: signed, serving } = await advance(ahead.revision);
  // Killed flags are not among them; a flag that the restore has re-enabled is.
  expect(serving).toEqual([kept.key]);
  expect([from, to, signed]).toEqual([expect.any(Number), ahead.revision + 2, 2]);
  const events = [];
  for (const vehicle of [ahead, offline]) {
    await vehicle.sync();
    events.push([vehicle.revision, vehicle.holds(lost.key), vehicle.holds(left.key)]);
    expect(decodeJwt(vehicle.holds(killed.key) ?? '')).toMatchObject({
      removed: false,
      flag: { rules: [{ type: 'kill_switch', enabled: true }] },
    });
    // The restore has lost two disablings, behind which no vehicle may go back.
    const { revision, ...rest } = decodeJwt(vehicle.holds(kept.key) ?? '');
    expect(rest).toMatchObject({ flag: { enabled: true, noReturnBelow: revision } });
  }
  expect(events).toEqual([
    [to, undefined, undefined],
    [to, undefined, undefined],
  ]);
  // Only a vehicle with changes that the control plane has lost asks for everything, and only once.
  expect([ahead.full, offline.full]).toEqual([1, 0]);
  expect(decodeJwt((await sync(to)).proof)).toMatchObject(await liveSet(flags.prisma, 'staging'));
});

test("the new revision exceeds what vehicles have reported and the environment's own, whatever was given", async () => {
  await flags.create();
  const at = await flags.revision();
  await report(at + 40, at + 70, 3);
  expect(await advance(at + 50)).toEqual({
    from: at,
    to: at + 71,
    reported: at + 70,
    unbelieved: 0,
    flags: 1,
    serving: [],
  });
  expect(await advance(0)).toMatchObject({ from: at + 71, to: at + 72 });
  expect(await advance(at + 100)).toMatchObject({ to: at + 101 });
});

test('a vehicle that reports what no environment can have is not believed', async () => {
  const at = await flags.revision();
  await report(2_147_483_647, MAX_ADVANCE + 1, at + 5);
  expect(await advance(0)).toMatchObject({ to: at + 6, reported: at + 5, unbelieved: 2 });
});

test('the page on restoring quotes this refusal word for word', async () => {
  const page = await readFile(new URL('../../../docs/operations/restoring.md', import.meta.url), 'utf8');
  const form = (text: string) =>
    text
      .replace(/\b(production|staging)\b/, 'E')
      .replace(/KMH\S+ \(\d+\)/, 'V')
      .replace(/\d+/g, 'N')
      .trim();
  await report((await flags.revision()) + 1_000_001);
  const refusal = await advance(0).then(String, ({ message }: Error) => message);
  expect(
    page
      .split('\n')
      .filter((line) => line.includes('Vehicles of '))
      .map(form),
  ).toEqual([form(refusal)]);
});

test("a vehicle that reports a far higher revision changes nothing by itself: it is named, and the operator's revision decides", async () => {
  const at = await flags.revision();
  const far = at + 1_000_001;
  await report(at + 5, far, 1_999_999_999);
  const before = await flags.everything();
  for (const beyond of [0, at]) {
    await expect(advance(beyond)).rejects.toMatchObject({
      code: 'BAD_USER_INPUT',
      details: { field: 'beyond' },
      message: expect.stringMatching(new RegExp(`KMH0*2 \\(1999999999\\), KMH0*1 \\(${far}\\)`)),
    });
  }
  expect(await flags.everything()).toEqual(before);
  expect(await advance(at + 1)).toMatchObject({ to: at + 6, reported: at + 5, unbelieved: 2 });
  // The operator's revision counts, however high it is.
  await flags.prisma.vehicle.deleteMany({ where: { appliedRevision: 1_999_999_999n } });
  expect(await advance(at + 2_000_000)).toMatchObject({ to: at + 2_000_001, reported: far, unbelieved: 0 });
});

test('an environment without living flags advances, too', async () => {
  const at = await flags.revision();
  expect(await advance(at + 10)).toMatchObject({ to: at + 11, flags: 0 });
  expect(await sync(0)).toMatchObject({ revision: at + 11, flags: [] });
});

test('the whole advance is one audit entry with the reason, and changes nothing of a flag except its revisions', async () => {
  const [first, second] = [await flags.create(), await flags.create()];
  const archived = await flags.create();
  await archive(archived.key);
  const {
    flags: rows,
    rules,
    tombstones,
    audit,
  } = (await flags.everything()) as { flags: { key: string }[]; rules: unknown; tombstones: unknown; audit: number };
  const { from, to } = await advance(7_000);
  const after = (await flags.everything()) as {
    flags: { key: string }[];
    rules: unknown;
    tombstones: unknown;
    audit: number;
  };
  expect(after).toMatchObject({ rules, tombstones, audit: audit + 1 });
  const withoutPlace = (flag: object) => ({ ...flag, revision: null, signedDefinition: null, noReturnBelow: null });
  expect(after.flags.map(withoutPlace)).toEqual(rows.map(withoutPlace));
  expect(after.flags.find(({ key }) => key === archived.key)).toEqual(rows.find(({ key }) => key === archived.key));
  const [entry] = await flags.prisma.auditLog.findMany({ orderBy: { chainPosition: 'desc' }, take: 1 });
  expect(entry).toMatchObject({
    action: 'ADVANCE_REVISION',
    userId: flags.writer.userId,
    userAgent: 'fleetflag-admin',
    beforeValue: {
      environment: 'staging',
      revision: from,
      flags: { [first.key]: first.revision, [second.key]: second.revision },
    },
    afterValue: {
      environment: 'staging',
      revision: to,
      beyond: 7_000,
      reported: 0,
      reason: 'restored the backup of Monday',
      flags: { [first.key]: to - 1, [second.key]: to },
    },
  });
});

test('subscribers to the stream receive everything, with the final proof', async () => {
  const created = [await flags.create(), await flags.create()];
  const stream = flags.connection.subscribe({ query: CHANGES, identity: identityOf(VEHICLE) });
  await stream.established;
  const { to } = await advance(await flags.revision());
  await flags.bus.publish(FLAGS_CHANGED, 'staging');
  const events: { revision: number; signed: { key: string }; proof: string }[] = [];
  while (events.at(-1)?.revision !== to)
    events.push(
      ((await stream.next()) as { value: { data: { flagChanges: (typeof events)[number] } } }).value.data.flagChanges,
    );
  await stream.return?.();
  expect(events.slice(-2).map(({ signed }) => signed.key)).toEqual(created.map(({ key }) => key));
  for (const { proof } of events.slice(-2))
    expect(decodeJwt(proof)).toMatchObject(await liveSet(flags.prisma, 'staging'));
});

test.each([
  [-1, 'r', 'beyond'],
  [0.5, 'r', 'beyond'],
  [MAX_ADVANCE + 1, 'r', 'beyond'],
  [1, ' ', 'reason'],
  [1, 'x'.repeat(1_001), 'reason'],
])('beyond %j for %j is refused, and nothing changes', async (beyond, reason, field) => {
  await flags.create();
  const before = await flags.everything();
  await expect(advance(beyond, reason)).rejects.toMatchObject({ code: 'BAD_USER_INPUT', details: { field } });
  expect(await flags.everything()).toEqual(before);
});

test('concurrent changes come before it or after it, and none is lost', async () => {
  const created = [await flags.create(), await flags.create(), await flags.create()];
  const flip = async (key: string) => {
    for (let times = 0; times < 6; times++)
      await flags.ok(
        `mutation ($key: String!) { ${times % 2 === 0 ? 'enableFlag' : 'disableFlag'}(key: $key) { applied } }`,
        { key },
      );
  };
  const advances = async () => {
    for (let times = 0; times < 4; times++)
      await advance(0).catch((error: unknown) => expect(error).toMatchObject({ code: 'CONFLICT' }));
  };
  const creating = async () => {
    for (let times = 0; times < 4; times++) created.push(await flags.create());
  };
  await Promise.all([...created.map(({ key }) => flip(key)), advances(), creating()]);
  const rows = await flags.prisma.flag.findMany({ where: { environment: 'staging', archivedAt: null } });
  expect(new Set(rows.map(({ revision }) => revision)).size).toBe(rows.length);
  expect(Math.max(...rows.map(({ revision }) => Number(revision)))).toBe(await flags.revision());
  for (const { key, revision, signedDefinition, enabled } of rows)
    expect(decodeJwt(signedDefinition ?? '')).toMatchObject({ key, revision: Number(revision), flag: { enabled } });
  const vehicle = new Vehicle();
  await vehicle.sync();
  expect([vehicle.full, rows.every(({ key }) => vehicle.holds(key) !== undefined)]).toEqual([0, true]);
});

test('nothing changes when the audit row cannot be written', async () => {
  await flags.create();
  const before = await flags.everything();
  // The audit log accepts no further row: the constraint stands for any failure at the end.
  await flags.prisma
    .$executeRaw`ALTER TABLE audit_logs ADD CONSTRAINT nothing_more CHECK (action <> 'ADVANCE_REVISION') NOT VALID`;
  await expect(advance(9_000)).rejects.toThrow();
  await flags.prisma.$executeRaw`ALTER TABLE audit_logs DROP CONSTRAINT nothing_more`;
  expect(await flags.everything()).toEqual(before);
  await flags.prisma.$transaction((tx) =>
    appendAudit(tx, identityOf(user('ADMIN')), { action: 'ADVANCE_REVISION', after: { environment: 'staging' } }),
  );
});
