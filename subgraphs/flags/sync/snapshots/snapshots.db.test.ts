import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { decodeJwt } from 'jose';
import type { Caller } from '../../../../core/access/caller.ts';
import { createInProcessStore, type KeyValueStore } from '../../../shared/stores/key-value-store.ts';
import { openRedis } from '../../../shared/stores/redis.ts';
import { identityOf, refusal, silent, user } from '../../../shared/testing/asking.ts';
import { eventually } from '../../../../core/testing/eventually.ts';
import { rounds } from '../../../../core/testing/rounds.ts';
import { NONCE_LIMITS } from '../nonce-admission.ts';
import { storedUnder } from './snapshots.ts';
import { FlagsUnderTest } from '../../testing/flags-under-test.ts';
import { startWatchedInstance, type WatchedInstance } from '../../testing/watched-instance.ts';

const SYNC =
  'query ($environment: Environment!, $since: Int) { flagSync(environment: $environment, since: $since) { revision full statement flags { key revision removed jws } } }';
const NONCE_SYNC = 'query { flagSync(environment: STAGING, nonce: "AAECAwQFBgcICQoLDA0ODw") { revision proof } }';
const SWITCH = (on: boolean) =>
  `mutation ($key: String!) { ${on ? 'enableFlag' : 'disableFlag'}(key: $key) { flag { revision } } }`;

interface Sync {
  readonly revision: number;
  readonly full: boolean;
  readonly statement: string;
  readonly flags: readonly { readonly key: string; readonly revision: number; readonly removed: boolean }[];
}

let flags: FlagsUnderTest;
const open: { stop(): Promise<void> }[] = [];
beforeAll(async () => {
  flags = await FlagsUnderTest.start();
});
afterAll(() => flags.remove());
afterEach(async () => {
  for (const instance of open.splice(0)) await instance.stop();
});

async function instance(store?: KeyValueStore): Promise<WatchedInstance> {
  const started = await startWatchedInstance(flags, store);
  open.push(started);
  return started;
}

const vehicleIn = (environment: string) =>
  ({ kind: 'vehicle', vin: 'KMHK281HGNU000001', environment: environment.toLowerCase() }) as never;
const answer = (on: Pick<WatchedInstance, 'ask'>, since = 0, environment = 'STAGING') =>
  on.ask<{ flagSync: Sync }>(vehicleIn(environment), SYNC, { environment, since });
async function sync(on: Pick<WatchedInstance, 'ask'>, since = 0, environment = 'STAGING'): Promise<Sync> {
  const { data, errors } = await answer(on, since, environment);
  if (errors.length > 0) throw new Error(JSON.stringify(errors));
  return data.flagSync;
}

/** Gives the number of statements that have read whole definitions. */
const bigReads = ({ database }: WatchedInstance) =>
  database.statements.filter(({ query }) => query.includes(' AS jws')).length;

describe('1,000 vehicles that sync at once', () => {
  test.each([
    ['on an instance that has just started', false],
    ['on one that has read the environment', true],
  ])('%s cost a handful of statements and signatures, and each vehicle gets its changes', async (_, warm) => {
    for (let index = 0; index < 5; index++) await flags.create({ enabled: true });
    const it = await instance();
    if (warm) await sync(it);
    const revision = await flags.revision();
    const before = {
      statements: it.database.statements.length,
      big: bigReads(it),
      signed: it.signed.statements,
      proofs: it.signed.proofs,
    };
    const vehicles = Array.from({ length: 1_000 }, (_vehicle, index) => index % (revision + 1));
    const begun = performance.now();
    const answers = await Promise.all(vehicles.map((since) => sync(it, since)));
    // At most ten reads a second, and the feed's own, are among the statements, however slow the machine is.
    const looks = Math.ceil((11 * (performance.now() - begun)) / 1_000);
    const cost = {
      statements: it.database.statements.length - before.statements,
      big: bigReads(it) - before.big,
      signed: it.signed.statements - before.signed,
      proofs: it.signed.proofs - before.proofs,
    };
    const everything = await flags.prisma.flag.findMany({ where: { environment: 'staging', archivedAt: null } });
    for (const [index, given] of answers.entries()) {
      const since = vehicles[index] as number;
      const expected = everything.filter((flag) => flag.revision > since).map(({ key }) => key);
      expect(given).toMatchObject({ revision, full: since === 0 });
      expect(given.flags.map(({ key }) => key).sort()).toEqual(expected.sort());
    }
    expect(cost.statements).toBeGreaterThan(0);
    expect(cost.statements).toBeLessThanOrEqual(6 + looks);
    expect(cost.big).toBe(warm ? 0 : 1);
    expect(cost.signed).toBeLessThanOrEqual(3);
    expect(cost.proofs).toBeLessThanOrEqual(3);
  });

  test('and then repeatedly cost at most a small statement each 100 ms, and read only what has changed', async () => {
    const it = await instance();
    const { key, revision } = await flags.create();
    await sync(it);
    const start = { statements: it.database.statements.length, big: bigReads(it), at: performance.now() };
    const vehicle = async () => {
      for (let index = 0; index < 20; index++) await sync(it, revision);
    };
    await Promise.all(Array.from({ length: 20 }, vehicle));
    await flags.ok(SWITCH(true), { key });
    expect((await sync(it, revision)).flags).toMatchObject([{ key, revision: revision + 1 }]);
    const seconds = (performance.now() - start.at) / 1_000;
    expect(bigReads(it) - start.big).toBe(1);
    // A second has at most ten reads for syncs and one of the feed; 6 more allow for a second that has just begun. At
    // most one in ten of the 400 syncs may have a read of its own.
    expect(it.database.statements.length - start.statements).toBeLessThanOrEqual(Math.min(40, 11 * seconds + 6));
  });
});

test('19,000 vehicles that sync with a nonce and read the current proof cost a bounded number of signatures and statements', async () => {
  const it = await instance();
  await sync(it);
  const before = { statements: it.database.statements.length, signed: it.signed.proofs };
  const begun = performance.now();
  const ask = async (n: number) => {
    const vehicle: Caller = { kind: 'vehicle', vin: `KMH${String(n).padStart(14, '0')}`, environment: 'staging' };
    const [proof, { errors }] = await Promise.all([
      it.ask<{ flagProof: string }>(vehicle, '{ flagProof(environment: STAGING) }'),
      it.ask(vehicle, NONCE_SYNC),
    ]);
    expect(decodeJwt(proof.data.flagProof)).toMatchObject({ v: 2, environment: 'staging' });
    const { code, retryAfter } = errors[0]?.extensions ?? {};
    if (code !== undefined) expect(retryAfter).toBeGreaterThan(0);
    return code;
  };
  // A thousand at once, as gateways let them through: more would only wait for this one process.
  const codes: unknown[] = [];
  const fleet = Array.from({ length: rounds(1_000, 19_000) }, (_, n) => n);
  for (let first = 0; first < fleet.length; first += 1_000)
    codes.push(...(await Promise.all(fleet.slice(first, first + 1_000).map(ask))));
  const seconds = (performance.now() - begun) / 1_000;
  const answered = codes.filter((code) => code === undefined).length;
  expect(new Set(codes)).toEqual(new Set([undefined, 'RATE_LIMITED']));
  expect(answered).toBeLessThanOrEqual(NONCE_LIMITS.burst + NONCE_LIMITS.perSecond * seconds);
  expect(it.signed.proofs - before.signed).toBeLessThanOrEqual(answered + Math.ceil(seconds) + 1);
  expect(it.database.statements.length - before.statements).toBeLessThanOrEqual(11 * seconds + 5);
});

test('a sync contains everything committed before its request, on this instance and on every other, even without announcements', async () => {
  const other = await instance();
  const { key } = await flags.create();
  for (let index = 0; index < 30; index++) {
    const { revision } = Object.values(
      await flags.ok<Record<string, { flag: { revision: number } }>>(SWITCH(index % 2 === 0), { key }),
    )[0]?.flag ?? { revision: 0 };
    const answers = await Promise.all([sync(flags, revision - 1), sync(other, revision - 1), sync(other, revision)]);
    expect(answers.map((given) => [given.revision, given.full, given.flags.map((flag) => flag.key)])).toEqual([
      [revision, false, [key]],
      [revision, false, [key]],
      [revision, false, []],
    ]);
  }
});

describe('while the database is down', () => {
  test("a sync is answered from the last known state, with that state's time", async () => {
    const it = await instance();
    const { key, revision } = await flags.create();
    const known = await sync(it, revision - 1);
    const lastKnown = decodeJwt(known.statement)['issuedAt'] as number;
    it.database.proxy.sever();
    await eventually(() =>
      it.database.prisma.$queryRaw`SELECT 1`.then(
        () => false,
        () => true,
      ),
    );
    await eventually(() => Math.floor(Date.now() / 1_000) > lastKnown + 2);
    const change = Object.values(
      await flags.ok<Record<string, { flag: { revision: number } }>>(SWITCH(true), { key }),
    )[0];
    const served = await sync(it, revision - 1);
    expect(served).toMatchObject({ revision, full: false, flags: known.flags });
    const { issuedAt } = decodeJwt(served.statement) as { issuedAt: number };
    expect(issuedAt).toBeGreaterThanOrEqual(lastKnown);
    expect(issuedAt).toBeLessThan(Math.floor(Date.now() / 1_000));
    // Only the database can answer a sync with a nonce.
    const {
      errors: [refused],
    } = await it.ask(vehicleIn('STAGING'), NONCE_SYNC);
    expect(refused?.extensions).toMatchObject({ code: 'SERVICE_UNAVAILABLE', retryAfter: expect.any(Number) });
    // Cached flags can still be evaluated, in their last known state.
    const evaluated = await it.ask<{ evaluateFlags: { flagKey: string; reason: string }[] }>(
      user('READ'),
      'query { evaluateFlags(environment: STAGING, context: {}) { flagKey reason } }',
    );
    expect(evaluated.errors).toEqual([]);
    expect(evaluated.data.evaluateFlags).toContainEqual({ flagKey: key, reason: 'DISABLED' });
    // A vehicle that is ahead must not conclude that the control plane has lost changes; and an environment that was
    // never read cannot be answered.
    expect(refusal(await answer(it, change?.flag.revision))?.code).toBe('SERVICE_UNAVAILABLE');
    expect(refusal(await answer(it, 0, 'PRODUCTION'))?.code).toBe('SERVICE_UNAVAILABLE');

    it.database.proxy.restore();
    await eventually(async () => (await sync(it, revision)).revision === change?.flag.revision);
    expect((await sync(it, revision)).flags).toMatchObject([{ key, revision: change?.flag.revision }]);
  });

  test('an answer that is only remembered is marked, so that no gateway keeps it for a state that was read', async () => {
    const it = await instance();
    const { key } = await flags.create();
    const queries = [
      'flagSync(environment: STAGING) { revision }',
      'flagProof(environment: STAGING)',
      'flags { totalCount }',
      `flag(key: "${key}") { id }`,
      `evaluateFlag(key: "${key}", context: {}) { value }`,
      'evaluateFlags(environment: STAGING, context: {}) { value }',
    ];
    const remembered = () =>
      Promise.all(
        queries.map(async (query) => {
          const identity = identityOf(user('READ'));
          const { data, extensions } = await it.connection.execute({ query: `{ ${query} }`, identity });
          return data != null && extensions?.remembered === true;
        }),
      );
    expect(await remembered()).toEqual(queries.map(() => false));
    it.database.proxy.sever();
    await eventually(async () => (await remembered()).every((says) => says));
    it.database.proxy.restore();
    await eventually(async () => (await remembered()).every((says) => !says));
  });

  test('a database that does not answer delays callers only briefly', async () => {
    const it = await instance();
    const known = await sync(it);
    let release: () => void = () => undefined;
    const released = new Promise<void>((resolve) => (release = resolve));
    let locked: () => void = () => undefined;
    const isLocked = new Promise<void>((resolve) => (locked = resolve));
    const holding = flags.prisma.$transaction(
      async (tx) => {
        await tx.$executeRaw`LOCK TABLE environments IN ACCESS EXCLUSIVE MODE`;
        locked();
        await released;
      },
      { timeout: 30_000 },
    );
    await isLocked;
    const answers = await Promise.all(Array.from({ length: 20 }, () => sync(it)));
    release();
    await holding;
    for (const given of answers) expect(given).toMatchObject({ revision: known.revision, flags: known.flags });
  });
});

describe('a snapshot that an instance has read', () => {
  const url = process.env['TEST_REDIS_URL'] ?? '';
  /** A store that two instances share: Redis where there is one. */
  const shared = async () => (url === '' ? createInProcessStore() : (await openRedis(url, silent)).store);

  test('is used by the next instance that starts, which then reads no definitions', async () => {
    const store = await shared();
    const first = await instance(store);
    const { key, revision } = await flags.create();
    await sync(first);
    await eventually(async () => (await store.get(storedUnder('staging', revision))) !== null);
    const second = await instance(store);
    expect((await sync(second)).flags.at(-1)).toMatchObject({ key, revision });
    expect(bigReads(second)).toBe(0);

    const changed = await flags.create();
    await sync(first);
    await eventually(async () => (await store.get(storedUnder('staging', changed.revision))) !== null);
    await eventually(async () => (await store.get(storedUnder('staging', revision))) === null);
    await store.delete(storedUnder('staging', changed.revision));
    await store.close();
  });

  test('is refused if it is of another history or does not match what lives there, and a failing store is ignored', async () => {
    const { key, revision } = await flags.create();
    const { updatedAt } = await flags.prisma.environment.findUniqueOrThrow({ where: { name: 'staging' } });
    const forged = (changedAtMs: number) =>
      JSON.stringify({ v: 1, environment: 'staging', position: { revision, changedAtMs }, floor: 0, entries: [] });
    const away = () => Promise.reject(new Error('away'));
    const stores = [
      { ...createInProcessStore(), get: async () => forged(1) },
      // The right history, but a flag is missing: a program that can write to the store must not decide what is signed.
      { ...createInProcessStore(), get: async () => forged(updatedAt.getTime()) },
      { ...createInProcessStore(), get: away, set: away, delete: away },
    ];
    for (const store of stores)
      expect((await sync(await instance(store))).flags.at(-1)).toMatchObject({ key, revision });
  });
});
