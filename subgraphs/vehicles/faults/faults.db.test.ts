import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import type { Caller } from '../../../core/access/caller.ts';
import { createVehicleTokens } from '../../../core/credentials/vehicle-token.ts';
import type { Environment } from '../../../core/model.ts';
import { eventually } from '../../../core/testing/eventually.ts';
import { createInProcessBus } from '../../shared/feeds/bus.ts';
import { asking, refusal, silent, user, type Ask } from '../../shared/testing/asking.ts';
import { createTestDatabase, type TestDatabase } from '../../shared/testing/test-database.ts';
import { watchDatabase, type WatchedDatabase } from '../../shared/testing/watched-database.ts';
import { startVehicles } from '../subgraph.ts';
import { FAULT_LIMITS } from '../../shared/between-subgraphs/stored-faults.ts';

const REPORT = 'mutation($input: FaultReportInput!) { reportFaults(input: $input) }';
const OF_VEHICLE =
  'query($vin: String!) { vehicle(vin: $vin) { faults { environment flagKey revision kind message occurredAt receivedAt } } }';
const OF_FLAG = `query($flags: [_Any!]!) { _entities(representations: $flags) { ... on Flag {
  faults { revision kind vehicles message receivedAt } } } }`;

interface Fault {
  flagKey: string;
  revision: number;
  kind: string;
  message: string;
  occurredAt: string;
}

const vin = (n: number) => `KMH${String(n).padStart(14, '0')}`;
const vehicle = (n: number, environment: Environment = 'production'): Caller => ({
  kind: 'vehicle',
  vin: vin(n),
  environment,
});
const fault = (changes: Partial<Fault> = {}): Fault => ({
  flagKey: 'eco',
  revision: 7,
  kind: 'RESTARTS',
  message: 'It has started three times.',
  occurredAt: '2026-11-01T10:00:00.000Z',
  ...changes,
});

let database: TestDatabase;
let watched: WatchedDatabase;
let ask: Ask;
let start: (sweepsPresence: boolean) => ReturnType<typeof startVehicles>;
let started: Awaited<ReturnType<typeof startVehicles>> | null = null;
const prisma = () => database.database.prisma;

beforeAll(async () => {
  database = await createTestDatabase();
  watched = await watchDatabase(database.url);
  start = (sweepsPresence) =>
    startVehicles({
      prisma: watched.prisma,
      tokens: createVehicleTokens('a secret of at least thirty-two characters'),
      bus: createInProcessBus(),
      logger: silent,
      presenceGraceSeconds: 0.01,
      sweepsPresence,
    });
});

beforeEach(async () => {
  // Another instance counts the reports of each vehicle from the beginning.
  await started?.close();
  started = await start(false);
  ask = asking(started.subgraph);
  await prisma().vehicle.deleteMany();
  await prisma().vehicle.createMany({
    data: Array.from({ length: 20 }, (_, n) => ({
      vin: vin(n),
      model: 'EV9',
      swVersion: '2.5.0',
      region: 'EU',
      status: 'offline',
    })),
  });
});

afterAll(async () => {
  await started?.close();
  await watched.close();
  await database.drop();
});

const report = (n: number, faults: readonly Fault[], environment?: Environment) =>
  ask<{ reportFaults: boolean }>(vehicle(n, environment), REPORT, { input: { faults } });
const faultsOf = async (n: number) =>
  (
    await ask<{ vehicle: { faults: (Fault & { environment: string; receivedAt: string })[] } }>(
      user('READ'),
      OF_VEHICLE,
      { vin: vin(n) },
    )
  ).data.vehicle.faults;
const countsOf = async (...flags: readonly [environment: string, key: string][]) =>
  (
    await ask<{ _entities: { faults: object[] }[] }>(user('READ'), OF_FLAG, {
      flags: flags.map(([environment, key]) => ({ __typename: 'Flag', id: key, key, environment })),
    })
  ).data._entities.map(({ faults }) => faults);
/** Makes the faults of a vehicle older, as though the time had passed. */
const age = (n: number, interval: string) =>
  prisma().$executeRaw`UPDATE vehicle_faults SET received_at = NOW() - ${interval}::interval WHERE vin = ${vin(n)}`;

describe('a fault', () => {
  test('is stored once for each flag, revision and kind, with its first message, and is shown with its vehicle', async () => {
    expect((await report(0, [fault(), fault({ message: 'Again.' })])).data.reportFaults).toBe(true);
    expect((await report(0, [fault({ message: 'Later.' }), fault({ revision: 8 })])).data.reportFaults).toBe(true);
    const { receivedAt: _, ...first } = (await faultsOf(0)).find(({ revision }) => revision === 7)!;
    expect(first).toEqual({ ...fault(), environment: 'PRODUCTION' });
    expect((await faultsOf(0)).map(({ revision }) => revision)).toEqual([8, 7]);
    expect(await faultsOf(1)).toEqual([]);
  });

  test('belongs to the environment of the token that its vehicle has', async () => {
    await report(0, [fault()]);
    await report(0, [fault()], 'staging');
    expect((await faultsOf(0)).map(({ environment }) => environment)).toEqual(['STAGING', 'PRODUCTION']);
    expect(await countsOf(['PRODUCTION', 'eco'], ['STAGING', 'eco'])).toEqual([
      [expect.objectContaining({ vehicles: 1 })],
      [expect.objectContaining({ vehicles: 1 })],
    ]);
  });

  test('has a time that is neither in the future nor long ago, whatever the clock of its vehicle shows', async () => {
    const before = Date.now();
    await report(0, [fault({ occurredAt: '9999-01-01T00:00:00Z' })]);
    await report(1, [fault({ occurredAt: '1970-01-01T00:00:00Z' })]);
    const [[future], [past]] = await Promise.all([faultsOf(0), faultsOf(1)]);
    expect(Math.abs(Date.parse(future!.occurredAt) - before)).toBeLessThan(60_000);
    expect(before - Date.parse(past!.occurredAt)).toBeLessThan(366 * 86_400_000);
  });

  test('of a vehicle that is not registered is not stored', async () => {
    expect((await report(99, [fault()])).data.reportFaults).toBe(false);
    expect(await prisma().vehicleFault.count()).toBe(0);
  });

  test('is reported by a vehicle alone', async () => {
    const answer = await ask(user('ADMIN'), REPORT, { input: { faults: [fault()] } });
    expect(refusal(answer)).toMatchObject({ code: 'FORBIDDEN' });
  });

  test.each<[string, readonly Fault[], object]>([
    ['no fault', [], { code: 'BAD_USER_INPUT', field: 'input.faults' }],
    [
      'more than 50',
      Array.from({ length: 51 }, (_, n) => fault({ revision: n + 1 })),
      { code: 'LIMIT_EXCEEDED', field: 'input.faults', limit: 50 },
    ],
    [
      'a key that no flag can have',
      [fault(), fault({ flagKey: 'a b' })],
      { code: 'BAD_USER_INPUT', field: 'input.faults.1.flagKey' },
    ],
    ['no revision', [fault({ revision: 0 })], { code: 'BAD_USER_INPUT', field: 'input.faults.0.revision' }],
    [
      'a message of two lines',
      [fault({ message: 'a\nb' })],
      { code: 'BAD_USER_INPUT', field: 'input.faults.0.message' },
    ],
    [
      'a message that is too long',
      [fault({ message: 'x'.repeat(301) })],
      { code: 'BAD_USER_INPUT', field: 'input.faults.0.message' },
    ],
  ])('is refused with %s, and nothing of the report is stored', async (_case, faults, extensions) => {
    expect((await report(0, faults)).errors[0]?.extensions).toMatchObject(extensions);
    expect(await prisma().vehicleFault.count()).toBe(0);
  });

  test('with the longest message is stored as it came', async () => {
    const message = '🚗'.repeat(300);
    await report(0, [fault({ message })]);
    expect((await faultsOf(0))[0]!.message).toBe(message);
  });

  test('goes with its vehicle', async () => {
    await report(0, [fault()]);
    await prisma().vehicle.delete({ where: { vin: vin(0) } });
    expect(await prisma().vehicleFault.count()).toBe(0);
  });

  test('is neither shown nor counted after 30 days, and is deleted by the sweep', async () => {
    for (const n of [0, 1]) await report(n, [fault()]);
    await age(0, '29 days 23 hours');
    await age(1, '30 days');
    expect([(await faultsOf(0)).length, (await faultsOf(1)).length]).toEqual([1, 0]);
    expect(await countsOf(['PRODUCTION', 'eco'])).toEqual([[expect.objectContaining({ vehicles: 1 })]]);
    const sweeping = await start(true);
    try {
      await eventually(async () => (await prisma().vehicleFault.count()) === 1, 'the old fault is deleted');
    } finally {
      await sweeping.close();
    }
  });
});

describe('a vehicle', () => {
  test('has the newest 50 faults, however many it reports', async () => {
    const reported = (from: number, to: number) =>
      report(
        0,
        Array.from({ length: to - from }, (_, n) => fault({ revision: from + n })),
      );
    await reported(1, 51);
    await age(0, '1 hour');
    await reported(51, 61);
    await reported(51, 61);
    const kept = (await faultsOf(0)).map(({ revision }) => revision);
    expect(kept).toHaveLength(FAULT_LIMITS.faultsOfVehicle);
    expect(kept.slice(0, 10)).toEqual([60, 59, 58, 57, 56, 55, 54, 53, 52, 51]);
    await report(1, [fault()]);
    expect((await faultsOf(0)).length).toBe(FAULT_LIMITS.faultsOfVehicle);
  });

  test.each([7, 49])(
    'is not pushed out by another flag that fails at each of its revisions, %d at a time',
    async (at) => {
      await report(0, [fault({ flagKey: 'brakes' })]);
      await age(0, '1 hour');
      for (let from = 1; from < 120; from += at)
        await report(
          0,
          Array.from({ length: at }, (_, n) => fault({ revision: from + n })),
        );
      const kept = await faultsOf(0);
      expect(kept).toHaveLength(FAULT_LIMITS.faultsOfVehicle);
      expect(kept.filter(({ flagKey }) => flagKey === 'brakes')).toHaveLength(1);
    },
  );

  test('is not pushed out by what programs report, about however many flags, nor the other way round', async () => {
    const [own, ofProgram] = [fault({ flagKey: 'brakes' }), fault({ flagKey: 'lane', kind: 'REPORTED_BY_PROGRAM' })];
    await report(0, [own]);
    await report(1, [ofProgram]);
    for (const n of [0, 1]) await age(n, '1 hour');
    const flood = (kinds: readonly string[], from: number) =>
      Array.from({ length: 50 }, (_, n) => fault({ flagKey: `flag_${from + n}`, kind: kinds[n % kinds.length]! }));
    for (const from of [0, 50, 100]) {
      await report(0, flood(['REPORTED_BY_PROGRAM', 'EVALUATION_ERROR'], from));
      await report(1, flood(['RESTARTS', 'NOT_SERVABLE', 'OUTSIDE_CONTRACT', 'RETURNED'], from));
    }
    const kept = async (n: number, key: string) => (await faultsOf(n)).filter(({ flagKey }) => flagKey === key).length;
    expect([await kept(0, 'brakes'), await kept(1, 'lane')]).toEqual([1, 1]);
    expect(await faultsOf(0)).toHaveLength(FAULT_LIMITS.faultsOfVehicle + 1);
  });

  test('is refused after 20 reports in a minute, with a time to come back, and others are not', async () => {
    for (let n = 0; n < 20; n++) expect(refusal(await report(0, [fault({ revision: n + 1 })]))).toBeNull();
    const { errors } = await report(0, [fault()]);
    expect(errors[0]?.extensions).toMatchObject({ code: 'RATE_LIMITED' });
    const { retryAfter } = errors[0]!.extensions as { retryAfter: number };
    expect(retryAfter).toBeGreaterThan(0);
    expect(retryAfter).toBeLessThanOrEqual(60);
    expect((await report(1, [fault()])).data.reportFaults).toBe(true);
  });
});

describe('the faults of a fleet', () => {
  test('take a statement or two when they come at once', async () => {
    const from = watched.statements.length;
    const answers = await Promise.all(
      Array.from({ length: 20 }, (_, n) => report(n, [fault(), fault({ revision: 8 })])),
    );
    expect(answers.every(({ data }) => data.reportFaults)).toBe(true);
    const written = watched.statements.slice(from).filter(({ query }) => query.includes('INTO vehicle_faults'));
    expect(written.length).toBeLessThan(4);
    expect(await prisma().vehicleFault.count()).toBe(40);
  });

  test('are counted by flag, revision and kind, the newest revision first, in one statement for all flags', async () => {
    for (const n of [0, 1, 2]) await report(n, [fault(), fault({ revision: 9, message: `of ${n}` })]);
    await report(0, [fault({ kind: 'EVALUATION_ERROR', revision: 9 }), fault({ flagKey: 'sport' })]);
    for (const n of [0, 1]) await report(n, [fault({ kind: 'RETURNED', revision: 9 })]);
    await age(0, '1 hour');
    await age(2, '2 hours');
    const from = watched.statements.length;
    const counts = await countsOf(['PRODUCTION', 'sport'], ['PRODUCTION', 'eco'], ['PRODUCTION', 'none']);
    expect(watched.statements.length - from).toBe(1);
    const count = (revision: number, kind: string, vehicles: number, message: string) => ({
      revision,
      kind,
      vehicles,
      message,
      receivedAt: expect.any(String),
    });
    expect(counts).toEqual([
      [count(7, 'RESTARTS', 1, fault().message)],
      [
        count(9, 'EVALUATION_ERROR', 1, fault().message),
        count(9, 'RESTARTS', 3, 'of 1'),
        count(9, 'RETURNED', 2, fault().message),
        count(7, 'RESTARTS', 3, fault().message),
      ],
      [],
    ]);
  });
});
