import { afterAll, beforeAll, expect, jest, test } from '@jest/globals';
import { once } from 'node:events';
import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client } from 'pg';
import { FleetFlagError } from '../../../core/errors.ts';
import { boundAddress } from '../../../core/wire/network/http-server.ts';
import { createTestDatabase, type TestDatabase } from '../testing/test-database.ts';
import { proxyDatabase } from '../testing/watched-database.ts';
import { openDatabase } from './database.ts';
import { startEmbeddedPostgres } from './embedded/embedded-postgres.ts';
import { is } from '../../../core/json/shape.ts';
import { prepared, readPrepared } from './prepared-statements.ts';
import { asServiceError } from './service-error.ts';
import type { Reader } from './transaction.ts';

let testDatabase: TestDatabase;

beforeAll(async () => {
  testDatabase = await createTestDatabase();
});
afterAll(() => testDatabase.drop());

/** Gives the code of a failed query in an answer. */
async function codeOf(query: Promise<unknown>): Promise<string | undefined> {
  const error = await query.then(() => null, asServiceError);
  return error instanceof FleetFlagError ? error.code : (error as { code?: string } | null)?.code;
}

test.each([
  ['refuses connections', 'postgresql://nobody@127.0.0.1:1/none'],
  ['has no socket', 'postgresql://nobody@localhost/none?host=/nonexistent'],
  ['has a name that does not resolve', 'postgresql://nobody@host.invalid/none'],
])('opening a server that %s is SERVICE_UNAVAILABLE, with the reason kept for the log only', async (_, url) => {
  const opening = openDatabase({ url });
  await expect(opening).rejects.toMatchObject({
    code: 'SERVICE_UNAVAILABLE',
    message: 'The database is not available; a retry is safe.',
    details: {},
  });
  await expect(opening).rejects.toHaveProperty('cause');
});

test('while a server is down, queries, transactions and pings are SERVICE_UNAVAILABLE, and they work again when it is back', async () => {
  const dataDir = mkdtempSync(join(tmpdir(), 'fleetflag-database-'));
  chmodSync(dataDir, 0o711);
  try {
    const server = await startEmbeddedPostgres({ dataDir, log: () => {} });
    const database = await openDatabase({ url: server.url });
    const select = () => database.prisma.$queryRaw`SELECT 1 AS n`;
    const transaction = () => database.prisma.$transaction(async (tx) => tx.$queryRaw`SELECT 1 AS n`);
    // A transaction that loses its server on the way.
    let began!: () => void;
    const begun = new Promise<void>((resolve) => (began = resolve));
    const sleeping = codeOf(
      database.prisma.$transaction(
        async (tx) => {
          await tx.$queryRaw`SELECT 1 AS n`;
          began();
          await tx.$queryRaw`SELECT 1 AS n FROM pg_sleep(60)`;
        },
        { timeout: 60_000 },
      ),
    );
    await begun;
    await server.stop();
    expect(await sleeping).toBe('SERVICE_UNAVAILABLE');
    expect(await codeOf(select())).toBe('SERVICE_UNAVAILABLE');
    expect(await codeOf(transaction())).toBe('SERVICE_UNAVAILABLE');
    await expect(database.ping()).rejects.toMatchObject({ code: 'SERVICE_UNAVAILABLE' });

    const again = await startEmbeddedPostgres({ dataDir, log: () => {} });
    expect(again.url).toBe(server.url);
    await expect(database.ping()).resolves.toBeUndefined();
    expect(await transaction()).toEqual([{ n: 1 }]);
    await database.close();
    await again.stop();
  } finally {
    rmSync(dataDir, { recursive: true, force: true });
  }
});

test('a session that the server ends is SERVICE_UNAVAILABLE', async () => {
  expect(
    await codeOf(testDatabase.database.prisma.$queryRaw`SELECT 1 AS n FROM pg_terminate_backend(pg_backend_pid())`),
  ).toBe('SERVICE_UNAVAILABLE');
});

test('a server that accepts a connection and never answers is SERVICE_UNAVAILABLE', async () => {
  const accepted: Socket[] = [];
  const mute = createServer((socket) => accepted.push(socket)).listen(0, '127.0.0.1');
  await once(mute, 'listening');
  const client = new Client({
    connectionString: `postgresql://nobody@127.0.0.1:${boundAddress(mute).port}/none`,
    connectionTimeoutMillis: 50,
  });
  client.on('error', () => {});
  expect(await codeOf(client.connect())).toBe('SERVICE_UNAVAILABLE');
  await client.end().catch(() => {});
  for (const socket of accepted) socket.destroy();
  mute.close();
  await once(mute, 'close');
});

test('errors of the database about the data pass unchanged', async () => {
  const { prisma } = testDatabase.database;
  const user = { email: 'timeout exceeded when trying to connect', name: 'A', passwordHash: 'x', role: 'READ' };
  await prisma.user.create({ data: user });
  expect(await codeOf(prisma.user.create({ data: user }))).toBe('P2002');
  expect(await codeOf(prisma.user.create({ data: { ...user, email: 'b', role: 'connection terminated' } }))).not.toBe(
    'SERVICE_UNAVAILABLE',
  );
  expect(asServiceError('text')).toBe('text');
  const refusal = new FleetFlagError('NOT_FOUND', 'x');
  expect(asServiceError(refusal)).toBe(refusal);
});

test('a transaction sends its queries one after another, in the order of the calls, even past one that fails', async () => {
  const { prisma } = testDatabase.database;
  // The number of queries that a connection has received and not answered: transactions take promises, the pool's own
  // queries none.
  let unanswered = 0;
  const most: number[] = [];
  const query = Reflect.get(Client.prototype, 'query') as (
    this: Client,
    ...args: unknown[]
  ) => Promise<unknown> | undefined;
  const watched = jest.spyOn(Client.prototype, 'query').mockImplementation(function (
    this: Client,
    ...args: unknown[]
  ): void {
    const answer = query.apply(this, args);
    if (answer !== undefined) most.push(++unanswered);
    return answer?.finally(() => unanswered--) as unknown as void;
  });
  try {
    const { id: createdById } = await prisma.user.create({
      data: { email: 'include@example.com', name: 'A', passwordHash: 'x', role: 'READ' },
    });
    const data = {
      key: 'included',
      name: 'A',
      type: 'boolean',
      defaultValue: { value: true },
      safetyLevel: 'Non-Critical',
      environment: 'staging',
      createdById,
      updatedById: createdById,
    };
    const flag = await prisma.$transaction(async (tx) => {
      const { id } = await tx.flag.create({ data });
      return tx.flag.findUniqueOrThrow({
        where: { id },
        include: { createdBy: true, updatedBy: true, rules: true, experiments: true },
      });
    });
    expect(flag).toMatchObject({
      createdBy: { id: createdById },
      updatedBy: { id: createdById },
      rules: [],
      experiments: [],
    });
    const numbers = await prisma.$transaction((tx) =>
      Promise.all([1, 2, 3, 4].map(async (n) => (await tx.$queryRaw<{ n: number }[]>`SELECT ${n}::int AS n`)[0]?.n)),
    );
    expect(numbers).toEqual([1, 2, 3, 4]);
    const outcomes = await prisma.$transaction(async (tx) => {
      await tx.$executeRaw`SAVEPOINT before`;
      return Promise.allSettled([
        tx.$queryRaw`SELECT 1/0`,
        tx.$executeRaw`ROLLBACK TO SAVEPOINT before`,
        tx.$queryRaw`SELECT 1 AS n`,
      ]);
    });
    expect(outcomes.map(({ status }) => status)).toEqual(['rejected', 'fulfilled', 'fulfilled']);
    expect(most.length).toBeGreaterThan(12);
    expect(Math.max(...most)).toBe(1);
  } finally {
    watched.mockRestore();
  }
});

test('a statement with a mark is prepared once on a connection, and no other one is', async () => {
  const database = await openDatabase({ url: testDatabase.url, maxConnections: 1 });
  try {
    const { prisma } = database;
    for (const n of [1, 2])
      expect(await prisma.$queryRaw`${prepared('sample')} SELECT ${n}::int AS n`).toEqual([{ n }]);
    await prisma.$queryRaw`SELECT ${1}::int AS n`;
    await prisma.user.findMany();
    expect(await prisma.$queryRaw`SELECT name FROM pg_prepared_statements`).toEqual([{ name: 'sample' }]);
    await expect(prisma.$queryRaw`${prepared('sample')} SELECT ${1}::int AS m`).rejects.toThrow('must be unique');
  } finally {
    await database.close();
  }
});

test('a prepared read gives the same past Prisma as through it, and is one statement on a connection', async () => {
  const database = await openDatabase({ url: testDatabase.url, maxConnections: 1 });
  const COLUMNS = { name: is.string, n: is.number, texts: is.listOf(is.string), half: is.number };
  const TEXT = 'SELECT name, $1::int AS n, $2::text[] AS texts, 0.5::float8 AS half FROM environments ORDER BY name';
  try {
    const { prisma } = database;
    const read = (db: Reader) => readPrepared(db, COLUMNS, 'sample', TEXT, [7, ['a', 'b']]);
    const rows = ['development', 'production', 'staging'].map((name) => ({ name, n: 7, texts: ['a', 'b'], half: 0.5 }));
    expect(await read(prisma)).toEqual(rows);
    expect(await read(prisma)).toEqual(rows);
    expect(await prisma.$transaction((tx) => read(tx))).toEqual(rows);
    expect(
      await readPrepared(prisma, { name: is.string }, 'held', 'SELECT name FROM pg_prepared_statements', []),
    ).toEqual(expect.arrayContaining([{ name: 'sample' }]));
    const refused = await readPrepared(
      prisma,
      {},
      'slow',
      "SELECT set_config('statement_timeout', '1', false), pg_sleep(1)",
      [],
    ).then(() => readPrepared(prisma, {}, 'slower', 'SELECT pg_sleep(5)', []).catch(asServiceError));
    expect(refused).toMatchObject({ code: 'SERVICE_UNAVAILABLE' });
  } finally {
    await database.close();
  }
});

test('a statement on a connection that has died in silence is SERVICE_UNAVAILABLE in time, alone and in a transaction', async () => {
  const { url, proxy } = await proxyDatabase(testDatabase.url);
  const database = await openDatabase({ url, maxConnections: 2, silenceMs: 500 });
  const { prisma } = database;
  const select = (db: Reader) => db.$queryRaw`SELECT 1 AS n`;
  try {
    const isLost = codeOf(
      prisma.$transaction(async (tx) => {
        await select(tx);
        // Meanwhile the connection of the transaction waits for its next statement, which is no silence of the server.
        for (const _ of [1, 2]) await prisma.$queryRaw`SELECT 1 AS n FROM pg_sleep(0.3)`;
        await select(tx);
        proxy.lose();
        expect(await codeOf(select(prisma))).toBe('SERVICE_UNAVAILABLE');
        await select(tx);
      }),
    );
    expect(await isLost).toBe('SERVICE_UNAVAILABLE');
    expect(await select(prisma)).toEqual([{ n: 1 }]);
    expect(await prisma.$transaction(select)).toEqual([{ n: 1 }]);
  } finally {
    await proxy.close();
    await database.close();
  }
});
