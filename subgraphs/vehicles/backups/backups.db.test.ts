import { createHash, randomBytes } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import type { Caller } from '../../../core/access/caller.ts';
import { createVehicleTokens } from '../../../core/credentials/vehicle-token.ts';
import { eventually } from '../../../core/testing/eventually.ts';
import { createInProcessBus } from '../../shared/feeds/bus.ts';
import { asking, refusal, silent, user, type Ask } from '../../shared/testing/asking.ts';
import { createTestDatabase, type TestDatabase } from '../../shared/testing/test-database.ts';
import { watchDatabase, type WatchedDatabase } from '../../shared/testing/watched-database.ts';
import { startVehicles } from '../subgraph.ts';
import { BackupCollector } from './backup-collector.ts';

const BACK_UP = 'mutation($input: VehicleBackupInput!) { backUpVehicleState(input: $input) }';
const READ = 'query($agent: String!) { vehicleBackup(agent: $agent) { content digest backedUpAt } }';

const vin = (n: number) => `KMH${String(n).padStart(14, '0')}`;
const vehicle = (n: number): Caller => ({ kind: 'vehicle', vin: vin(n), environment: 'production' });
const base64 = (bytes: Buffer | string) => Buffer.from(bytes).toString('base64');

let database: TestDatabase;
let watched: WatchedDatabase;
let ask: Ask;
let start: (sweepsPresence: boolean) => ReturnType<typeof startVehicles>;
let close: () => Promise<void>;
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
  const started = await start(false);
  close = () => started.close();
  ask = asking(started.subgraph);
});

beforeEach(async () => {
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
  await close();
  await watched.close();
  await database.drop();
});

const backUp = (n: number, content: string, agent = 'flags.db') =>
  ask<{ backUpVehicleState: boolean }>(vehicle(n), BACK_UP, { input: { agent, content } });
const read = async (n: number, agent = 'flags.db') =>
  (
    await ask<{ vehicleBackup: { content: string; digest: string; backedUpAt: string } | null }>(vehicle(n), READ, {
      agent,
    })
  ).data.vehicleBackup;
/** Makes the backups of a vehicle older, as though the time had passed. */
const age = (n: number, interval: string) =>
  prisma().$executeRaw`UPDATE vehicle_backups SET backed_up_at = NOW() - ${interval}::interval WHERE vin = ${vin(n)}`;

describe('a backup', () => {
  test('comes back byte for byte with its digest, and the next one takes its place', async () => {
    expect(await read(0)).toBe(null);
    for (const bytes of [randomBytes(65_536), randomBytes(1)]) {
      expect((await backUp(0, base64(bytes))).data.backUpVehicleState).toBe(true);
      const stored = await read(0);
      expect(stored).toMatchObject({
        content: base64(bytes),
        digest: createHash('sha256').update(bytes).digest('hex'),
      });
      expect(Math.abs(Date.parse(stored!.backedUpAt) - Date.now())).toBeLessThan(60_000);
    }
    expect(await prisma().vehicleBackup.count()).toBe(1);
  });

  test('is read by its own vehicle alone, and under the name of its agent', async () => {
    await backUp(0, base64('of vehicle 0'));
    await backUp(1, base64('of vehicle 1'));
    expect(await read(2)).toBe(null);
    expect(await read(1)).toMatchObject({ content: base64('of vehicle 1') });
    expect(await read(0, 'program.db')).toBe(null);
    for (const [query, variables] of [
      [BACK_UP, { input: { agent: 'flags.db', content: 'YQ==' } }],
      [READ, { agent: 'flags.db' }],
    ] as const)
      expect(refusal(await ask(user('ADMIN'), query, variables))).toMatchObject({ code: 'FORBIDDEN' });
  });

  test('of a vehicle that is not registered is not stored', async () => {
    expect((await backUp(99, base64('a'))).data.backUpVehicleState).toBe(false);
    expect(await prisma().vehicleBackup.count()).toBe(0);
  });

  test.each([
    ['one byte too many', base64(randomBytes(65_537)), 'LIMIT_EXCEEDED', 65_536],
    ['nothing', '', 'BAD_USER_INPUT', undefined],
    ['text that is not base64', 'a backup', 'BAD_USER_INPUT', undefined],
    ['base64 without its padding', 'YQ', 'BAD_USER_INPUT', undefined],
  ])('is refused for %s', async (_case, content, code, limit) => {
    const { errors } = await backUp(0, content);
    expect(errors[0]?.extensions).toMatchObject({
      code,
      field: 'input.content',
      ...(limit !== undefined && { limit }),
    });
    expect(await prisma().vehicleBackup.count()).toBe(0);
  });

  test('is refused of a fifth agent of the vehicle, whether they come one by one or together', async () => {
    const names = ['a', 'b', 'c', 'd', 'e', 'f'];
    const outcomes = await Promise.all(names.map((agent) => backUp(0, base64(agent), agent)));
    expect(outcomes.filter((answer) => refusal(answer) === null)).toHaveLength(4);
    expect(await prisma().vehicleBackup.count()).toBe(4);
    expect((await backUp(0, base64('z'), 'z')).errors[0]?.extensions).toMatchObject({
      code: 'LIMIT_EXCEEDED',
      field: 'input.agent',
      limit: 4,
    });
    // Those that have one go on, and other vehicles have their own count.
    expect((await backUp(0, base64('again'), 'a')).data.backUpVehicleState).toBe(true);
    expect((await backUp(1, base64('e'), 'e')).data.backUpVehicleState).toBe(true);
  });

  test('of a whole fleet at once takes a statement or two', async () => {
    const from = watched.statements.length;
    await Promise.all(Array.from({ length: 20 }, (_, n) => backUp(n, base64(`of ${n}`))));
    const written = watched.statements.slice(from).filter(({ query }) => query.includes('INTO vehicle_backups'));
    expect(written.length).toBeLessThan(4);
    expect(await prisma().vehicleBackup.count()).toBe(20);
    expect(await read(7)).toMatchObject({ content: base64('of 7') });
  });

  test('is not given after 7 days, is deleted by the sweep, and lives longer when it is sent again', async () => {
    for (const n of [0, 1, 2]) await backUp(n, base64('a'));
    await age(0, '6 days 23 hours');
    await age(1, '7 days');
    await age(2, '8 days');
    expect([await read(0), await read(1), await read(2)]).toEqual([expect.anything(), null, null]);
    await backUp(2, base64('a'));
    const sweeping = await start(true);
    try {
      await eventually(
        async () => (await prisma().vehicleBackup.findMany({ orderBy: { vin: 'asc' } })).length === 2,
        'the old backup is deleted',
      );
    } finally {
      await sweeping.close();
    }
    expect([await read(0), await read(2)]).toEqual([expect.anything(), expect.anything()]);
  });

  test('goes with its vehicle', async () => {
    await backUp(0, base64('a'));
    await prisma().vehicle.delete({ where: { vin: vin(0) } });
    expect(await prisma().vehicleBackup.count()).toBe(0);
  });
});

test('while the database does not take backups they are refused with a time to come back, and of one agent one waits', async () => {
  const written: string[][] = [];
  let fails = true;
  const collector = new BackupCollector(
    (backups) => {
      written.push(backups.map(({ content }) => content));
      return fails
        ? Promise.reject(new Error('away'))
        : Promise.resolve(new Map([[`${vin(0)} flags.db`, 'stored' as const]]));
    },
    { windowMs: 0, batchBytes: 100, timeoutMs: 1_000, heldBytes: 8 },
  );
  const add = (content: string) => collector.add({ vin: vin(0), agent: 'flags.db', content });
  await expect(add('YQ==')).rejects.toMatchObject({ code: 'SERVICE_UNAVAILABLE', details: { retryAfter: 30 } });
  fails = false;
  written.length = 0;
  expect(await Promise.all([add('YQ=='), add('Yg==')])).toEqual(['stored', 'stored']);
  expect(written).toEqual([['Yg==']]);
  await expect(add('YWFhYWFhYWE=')).rejects.toMatchObject({ code: 'SERVICE_UNAVAILABLE' });
  await collector.close();
  await expect(add('YQ==')).rejects.toMatchObject({ code: 'SERVICE_UNAVAILABLE' });
});
