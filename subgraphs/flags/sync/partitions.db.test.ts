import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { decodeJwt } from 'jose';
import type { Caller, VehicleCaller } from '../../../core/access/caller.ts';
import { readPartitionNews } from '../../../core/wire/subgraph/partition-news.ts';
import { jwsDigest, setDigest } from '../../../core/wire/vehicle/proof.ts';
import { identityOf } from '../../shared/testing/asking.ts';
import { FlagsUnderTest, type FlagJson } from '../testing/flags-under-test.ts';

const NONCE = 'AAECAwQFBgcICQoLDA0ODw';
const SYNC =
  'query ($since: Int, $nonce: String) { flagSync(environment: STAGING, since: $since, nonce: $nonce) { revision full flags { key revision removed jws } old: proof new: proof(partitioned: true) } }';
const PROOF = '{ old: flagProof(environment: STAGING) new: flagProof(environment: STAGING, partitioned: true) }';
const CHANGES =
  'subscription { flagChanges(environment: STAGING) { revision previousRevision spreadSeconds signed { key removed jws } old: proof new: proof(partitioned: true) } }';
const SCOPE =
  'mutation ($key: String!, $scope: [String!]) { updateFlag(key: $key, input: { scope: $scope }) { flag { revision } } }';
const GATEWAY: Caller = { kind: 'gateway' };

interface Signed {
  readonly key: string;
  readonly removed: boolean;
  readonly revision: number;
  readonly jws: string;
}
interface Sync {
  readonly revision: number;
  readonly full: boolean;
  readonly flags: readonly Signed[];
  readonly old: string;
  readonly new: string;
}
interface Change {
  readonly revision: number;
  readonly previousRevision: number;
  readonly spreadSeconds: number | null;
  readonly signed: Signed;
  readonly old: string;
  readonly new: string;
}

let flags: FlagsUnderTest;
let made: Record<'all' | 'ofA' | 'ofB' | 'ofBoth', FlagJson>;
const vinOf = (n: number) => `KMHK281HGNU00000${n}`;
const MODELS = ['A', 'B', 'C'];

beforeAll(async () => {
  flags = await FlagsUnderTest.start();
  await flags.prisma.vehicle.createMany({
    data: MODELS.map((model, index) => ({ vin: vinOf(index), model, swVersion: '1', region: 'EU', status: 'offline' })),
  });
  made = {
    all: await flags.create(),
    ofA: await flags.create({ scope: ['A'] }),
    ofB: await flags.create({ scope: ['B'] }),
    ofBoth: await flags.create({ scope: ['A', 'B'] }),
  };
});
afterAll(() => flags.remove());

const vehicle = (partition: string, vin: string | null = null): VehicleCaller => ({
  kind: 'vehicle',
  vin,
  environment: 'staging',
  partition,
});
const sync = async (caller: Caller, variables: Record<string, unknown> = {}) =>
  (await flags.ok<{ flagSync: Sync }>(SYNC, variables, caller)).flagSync;
const scope = async (key: string, models: readonly string[] | null) =>
  (await flags.ok<{ updateFlag: { flag: { revision: number } } }>(SCOPE, { key, scope: models })).updateFlag.flag
    .revision;
const keysOf = (entries: readonly Signed[]) => entries.map(({ key }) => key).sort();
const setOfFlags = (entries: readonly Signed[]) =>
  setDigest(entries.map(({ key, revision, jws }) => ({ key, revision, digest: jwsDigest(jws) })));

function changesFor(partition: string) {
  const stream = flags.connection.subscribe({ query: CHANGES, identity: identityOf(vehicle(partition)) });
  // The first one is asked for at once, because the subscription begins with that.
  let next = stream.next();
  return {
    established: stream.established,
    async next(): Promise<Change> {
      const item = await next;
      next = stream.next();
      if (item.done === true) throw new Error('the stream has ended');
      return (item.value.data as { flagChanges: Change }).flagChanges;
    },
    end: () => stream.return?.(),
  };
}

describe('a sync', () => {
  test("gives a vehicle its partition, others the whole environment, and proves each one's set in both forms", async () => {
    const { all, ofA, ofB, ofBoth } = made;
    const expected = { A: [all, ofA, ofBoth], B: [all, ofB, ofBoth], '*': [all] };
    for (const [partition, own] of Object.entries(expected)) {
      const answer = await sync(vehicle(partition));
      expect(keysOf(answer.flags)).toEqual(own.map(({ key }) => key).sort());
      const content = { environment: 'staging', revision: answer.revision, set: setOfFlags(answer.flags) };
      expect(decodeJwt(answer.old)).toMatchObject({ ...content, partition: null });
      expect(decodeJwt(answer.new)).toMatchObject({ ...content, partition });
      const proofs = await flags.ok<Pick<Sync, 'old' | 'new'>>(PROOF, {}, vehicle(partition));
      expect(decodeJwt(proofs.old)).toMatchObject({ ...content, partition: null });
      expect(decodeJwt(proofs.new)).toMatchObject({ ...content, partition });
    }
    const whole = await sync(flags.writer);
    expect(keysOf(whole.flags)).toEqual(
      Object.values(made)
        .map(({ key }) => key)
        .sort(),
    );
    expect(decodeJwt(whole.new)).toMatchObject({ partition: null, set: setOfFlags(whole.flags) });
  });

  test('with a nonce is of the registered model, whatever the gateway says, and only the new form names the VIN', async () => {
    for (const [index, model] of MODELS.entries()) {
      const answer = await sync(vehicle('A', vinOf(index)), { nonce: NONCE });
      const partition = model === 'C' ? '*' : model;
      expect(keysOf(answer.flags)).toEqual(keysOf((await sync(vehicle(partition))).flags));
      expect(decodeJwt(answer.new)).toMatchObject({ partition, vin: vinOf(index), nonce: NONCE });
      expect(decodeJwt(answer.old)).toMatchObject({ partition: null, nonce: NONCE });
      expect(decodeJwt(answer.old)).not.toHaveProperty('vin');
    }
    const { errors } = await flags.ask(vehicle('A', 'KMHK281HGNU000009'), SYNC, { nonce: NONCE });
    expect(errors[0]?.extensions).toMatchObject({ code: 'NOT_FOUND' });
    expect(decodeJwt((await sync(flags.writer, { nonce: NONCE })).new)).toMatchObject({
      partition: null,
      nonce: NONCE,
    });
  });
});

describe('the stream of a partition', () => {
  test('has what concerns it, each event after the last one that did, with a proof of the whole look', async () => {
    const [ofA, ofB] = [changesFor('A'), changesFor('B')];
    await Promise.all([ofA.established, ofB.established]);
    const before = (await sync(vehicle('A'))).revision;
    const moving = await flags.create({ scope: ['A'] });
    const first = await ofA.next();
    expect(first).toMatchObject({ revision: moving.revision, signed: { key: moving.key, removed: false } });
    expect(first.previousRevision).toBeLessThanOrEqual(before);

    const left = await scope(moving.key, ['B']);
    const departure = await ofA.next();
    expect(departure).toMatchObject({ revision: left, previousRevision: first.revision, spreadSeconds: null });
    expect(decodeJwt(departure.signed.jws)).toMatchObject({ removed: true, partition: 'A' });
    const arrival = await ofB.next();
    expect(arrival).toMatchObject({ revision: left, signed: { key: moving.key, removed: false } });
    for (const [event, partition] of [[departure, 'A'] as const, [arrival, 'B'] as const]) {
      const set = setOfFlags((await sync(vehicle(partition))).flags);
      expect(decodeJwt(event.new)).toMatchObject({ partition, set, revision: left });
      expect(decodeJwt(event.old)).toMatchObject({ partition: null, set, revision: left });
    }

    // A change of B alone: A hears of nothing, and its next event follows its own last one.
    await flags.ok('mutation ($key: String!) { archiveFlag(key: $key) { applied } }', { key: moving.key });
    expect(await ofB.next()).toMatchObject({ signed: { key: moving.key, removed: true } });
    const { revision } = await flags.create();
    expect(await ofA.next()).toMatchObject({ revision, previousRevision: left });
    await Promise.all([ofA.end(), ofB.end()]);
  });

  test('announces more than 256 KB of one look by its last event, which shows a gap, and by what stops a flag', async () => {
    const ofA = changesFor('A');
    await ofA.established;
    const own = (await sync(vehicle('A'))).revision;
    flags.bus.lost = true;
    const revisions: number[] = [];
    // One transaction, so that no look comes in between.
    await flags.prisma.$transaction(async (tx) => {
      for (let index = 0; index < 4; index++) {
        const [{ revision }] = await tx.$queryRaw<[{ revision: bigint }]>`
          UPDATE environments SET revision = revision + 1, updated_at = clock_timestamp() WHERE name = 'staging' RETURNING revision`;
        revisions.push(Number(revision));
        await tx.flag.create({
          data: {
            key: `large_${index}`,
            name: 'Large',
            type: 'string',
            defaultValue: { value: 'x' },
            safetyLevel: 'Non-Critical',
            environment: 'staging',
            enabled: index !== 1,
            scope: ['A'],
            revision,
            signedDefinition: 'x'.repeat(100_000),
          },
        });
      }
    });
    flags.bus.lost = false;
    const [stop, last] = [await ofA.next(), await ofA.next()];
    expect(stop).toMatchObject({ revision: revisions[1], signed: { key: 'large_1' } });
    expect(last).toMatchObject({ revision: revisions[3], previousRevision: revisions[2] });
    expect(last.previousRevision).toBeGreaterThan(own);
    expect([stop.spreadSeconds, last.spreadSeconds]).toEqual([30, 30]);
    await ofA.end();
    await flags.prisma.flag.deleteMany({ where: { key: { startsWith: 'large_' } } });
  });
});

describe('for gateways', () => {
  const VEHICLES = 'query ($vins: [ID!]!) { vehiclePartitions(environment: STAGING, vins: $vins) }';
  const NEWS = 'query ($since: Float!, $after: ID!) { partitionNews(since: $since, after: $after) }';
  const news = async (since: number, after = '') => {
    const read = readPartitionNews(
      (await flags.ok<Record<string, unknown>>(NEWS, { since, after }, GATEWAY))['partitionNews'],
    );
    if (read === null) throw new Error('no news');
    return read;
  };

  test('vehicles have the partition of a model that a scope has named, others that of all other models', async () => {
    const answer = await flags.ok(VEHICLES, { vins: [vinOf(0), vinOf(2), 'KMHK281HGNU000009'] }, GATEWAY);
    expect(answer).toEqual({ vehiclePartitions: { [vinOf(0)]: 'A', [vinOf(2)]: '*' } });
    const { errors } = await flags.ask(GATEWAY, VEHICLES, { vins: Array.from({ length: 1_001 }, () => vinOf(0)) });
    expect(errors[0]?.extensions).toMatchObject({ code: 'BAD_USER_INPUT', field: 'vins' });
  });

  test('there is news of models that are named, and of vehicles that are registered as another one, page by page', async () => {
    const { readAt } = await news(1e15);
    expect(await news(readAt)).toMatchObject({ named: [], vehicles: [] });
    const signals = flags.connection.subscribe({
      query: 'subscription { partitionSignals }',
      identity: identityOf(GATEWAY),
    });
    const signal = signals.next();
    await signals.established;
    await flags.create({ scope: ['C'] });
    expect((await signal).value).toMatchObject({ data: { partitionSignals: true } });
    await signals.return?.();
    expect((await news(readAt)).named).toEqual([{ environment: 'staging', model: 'C' }]);
    await flags.prisma.$executeRaw`UPDATE vehicles SET model_changed_at = clock_timestamp()`;
    const { vehicles } = await news(readAt);
    expect(vehicles.map(({ vin }) => vin).sort()).toEqual(MODELS.map((_, index) => vinOf(index)));
    const last = vehicles.at(-1);
    expect((await news(last?.at ?? 0, last?.vin)).vehicles).toEqual([]);
  });
});
