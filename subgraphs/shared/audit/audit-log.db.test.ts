import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import type { JsonValue } from '../../../core/model.ts';
import type { CallerIdentity } from '../../../core/access/caller.ts';
import type { AuditLog } from '../../../prisma/generated/client.ts';
import { appendAudit, appendAuditRows, auditHash, AUDIT_ACTIONS, type AuditEntry } from './audit-log.ts';
import { openDatabase, type Database } from '../postgres/database.ts';
import { ANONYMOUS, identityOf, user } from '../testing/asking.ts';
import { watchDatabase } from '../testing/watched-database.ts';
import { createTestDatabase, type TestDatabase } from '../testing/test-database.ts';

let testDatabase: TestDatabase;
/** Another instance of the control plane on the same database. */
let other: Database;
let start: number;

beforeAll(async () => {
  testDatabase = await createTestDatabase();
  other = await openDatabase({ url: testDatabase.url, maxConnections: 5 });
});

afterAll(async () => {
  await other.close();
  await testDatabase.drop();
});

beforeEach(async () => {
  start = Number((await testDatabase.database.prisma.auditChain.findUniqueOrThrow({ where: { id: 1 } })).position);
});

const append = (
  entry: AuditEntry,
  identity: CallerIdentity = identityOf(ANONYMOUS),
  database: Database = testDatabase.database,
) => database.prisma.$transaction((tx) => appendAudit(tx, identity, entry));

const rows = () =>
  testDatabase.database.prisma.auditLog.findMany({
    where: { chainPosition: { gt: start } },
    orderBy: { chainPosition: 'asc' },
  });

/** Computes the row's hash from the values that the database returns. */
const recomputed = (row: AuditLog) =>
  auditHash(row.previousHash, {
    id: row.id,
    position: Number(row.chainPosition),
    userId: row.userId,
    apiKeyId: row.apiKeyId,
    flagId: row.flagId,
    action: row.action,
    beforeValue: row.beforeValue as JsonValue,
    afterValue: row.afterValue as JsonValue,
    ipAddress: row.ipAddress,
    userAgent: row.userAgent,
    requestId: row.requestId,
    createdAt: row.createdAt.toISOString(),
  });

async function expectIntact(): Promise<AuditLog[]> {
  const { prisma } = testDatabase.database;
  const all = await prisma.auditLog.findMany({ orderBy: { chainPosition: 'asc' } });
  let previousHash = '0'.repeat(64);
  for (const [index, row] of all.entries()) {
    expect([Number(row.chainPosition), row.previousHash, row.hash]).toEqual([index + 1, previousHash, recomputed(row)]);
    previousHash = row.hash;
  }
  expect(await prisma.auditChain.findUniqueOrThrow({ where: { id: 1 } })).toEqual({
    id: 1,
    position: BigInt(all.length),
    hash: previousHash,
    lastAt: all.at(-1)?.createdAt ?? null,
  });
  return all;
}

test('rows record who did what and from where, and their hashes can be recomputed from the stored values', async () => {
  const { prisma } = testDatabase.database;
  const { id: userId } = await prisma.user.create({
    data: { email: 'a@example.com', name: 'A', passwordHash: '-', role: 'ADMIN' },
  });
  const { id: apiKeyId } = await prisma.apiKey.create({
    data: { name: 'K', keyHash: 'k', keyPrefix: 'k', role: 'WRITE' },
  });
  const requestId = randomUUID();
  await append(
    { action: 'UPDATE_FLAG', before: { b: 1, a: [null, 'ü', { z: 1e21, y: -0 }] }, after: { enabled: true } },
    identityOf(user('ADMIN', userId), { requestId: requestId.toUpperCase() }),
  );
  await append(
    { action: 'REGISTER_VEHICLES', after: ['KMH'] },
    identityOf({ kind: 'apiKey', apiKeyId, role: 'WRITE', rateLimitPerMin: 60 }),
  );
  await append({ action: 'SIGN_IN', userId });
  await expectIntact();
  expect(await rows()).toMatchObject([
    {
      action: 'UPDATE_FLAG',
      userId,
      apiKeyId: null,
      requestId,
      beforeValue: { a: [null, 'ü', { y: 0, z: 1e21 }], b: 1 },
      afterValue: { enabled: true },
    },
    { action: 'REGISTER_VEHICLES', userId: null, apiKeyId, beforeValue: null, afterValue: ['KMH'] },
    { action: 'SIGN_IN', userId, beforeValue: null, afterValue: null },
  ]);
});

test('any JSON keeps its hash when it is stored and read again', async () => {
  await fc.assert(
    fc.asyncProperty(fc.jsonValue(), fc.jsonValue({ stringUnit: 'grapheme' }), async (before, after) => {
      await append({ action: 'UPDATE_FLAG', before: before as JsonValue, after: after as JsonValue });
    }),
    { numRuns: 100 },
  );
  expect((await expectIntact()).length).toBe(start + 100);
});

test('many rows of one change make one chain, in their order, with a few statements', async () => {
  const watched = await watchDatabase(testDatabase.url);
  const entry = (index: number): AuditEntry => ({
    action: 'UPDATE_FLAG',
    ...(index % 2 === 0 && { before: { index } }),
    after: [index, 0.1 + 0.2, null, 'Größe'],
  });
  const statementsOf = async (count: number) => {
    const from = watched.statements.length;
    await watched.prisma.$transaction((tx) =>
      appendAuditRows(
        tx,
        identityOf(ANONYMOUS),
        Array.from({ length: count }, (_, index) => entry(index)),
      ),
    );
    return watched.statements.length - from;
  };
  const [none, one, all] = [await statementsOf(0), await statementsOf(1), await statementsOf(1_201)];
  await watched.close();
  expect(all).toBeLessThanOrEqual(one + 2);
  expect(one).toBeGreaterThan(none);
  await expectIntact();
  const written = (await rows()).slice(1);
  expect(written.map(({ beforeValue, afterValue }) => [beforeValue, afterValue])).toEqual(
    Array.from({ length: 1_201 }, (_, index) => [entry(index).before ?? null, entry(index).after]),
  );
});

test('the table accepts every action', async () => {
  for (const action of AUDIT_ACTIONS) await append({ action });
  expect((await rows()).map(({ action }) => action)).toEqual([...AUDIT_ACTIONS]);
});

test('concurrent writers on two instances make one chain without a gap', async () => {
  await Promise.all(
    Array.from({ length: 40 }, (_, index) =>
      append(
        { action: 'CREATE_FLAG', after: { index } },
        identityOf(ANONYMOUS),
        index % 2 === 0 ? other : testDatabase.database,
      ),
    ),
  );
  await expectIntact();
  const written = (await rows()).map(({ afterValue }) => (afterValue as { index: number }).index);
  expect(written.sort((a, b) => a - b)).toEqual(Array.from({ length: 40 }, (_, index) => index));
});

test('a transaction that is rolled back leaves neither a row nor a gap', async () => {
  const failing = testDatabase.database.prisma.$transaction(async (tx) => {
    await appendAudit(tx, identityOf(ANONYMOUS), { action: 'CREATE_FLAG' });
    throw new Error('after all not');
  });
  await expect(failing).rejects.toThrow('after all not');
  await append({ action: 'ENABLE_FLAG' });
  expect((await rows()).map(({ action, chainPosition }) => [action, Number(chainPosition)])).toEqual([
    ['ENABLE_FLAG', start + 1],
  ]);
  await expectIntact();
});

test('time never goes back along the chain, whatever the clock does', async () => {
  const { prisma } = testDatabase.database;
  const ahead = new Date(Math.floor(Date.now()) + 3_600_000);
  await prisma.auditChain.update({ where: { id: 1 }, data: { lastAt: ahead } });
  await append({ action: 'ENABLE_FLAG' });
  await append({ action: 'DISABLE_FLAG' });
  expect((await rows()).map(({ createdAt }) => createdAt)).toEqual([ahead, ahead]);
  await expectIntact();
});

test('a row that was changed past the trigger no longer has its hash', async () => {
  await append({ action: 'KILL_SWITCH', after: { reason: 'smoke' } });
  const [row] = await rows();
  if (row === undefined) throw new Error('no row');
  expect(recomputed(row)).toBe(row.hash);
  expect(recomputed({ ...row, afterValue: { reason: 'nothing' } })).not.toBe(row.hash);
  expect(recomputed({ ...row, createdAt: new Date(row.createdAt.getTime() + 1) })).not.toBe(row.hash);
});

describe('the origin of a request', () => {
  test.each([
    ['192.0.2.7', '192.0.2.7'],
    ['2001:DB8:0:0:0:0:0:1', '2001:db8::1'],
    ['::ffff:192.0.2.7', '::ffff:192.0.2.7'],
    ['::FFFF:C000:0207', '::ffff:192.0.2.7'],
    ['fe80::1%eth0', 'fe80::1'],
    ['unix:', null],
    ['192.0.2.7, 10.0.0.1', null],
    ['192.0.2.0/24', null],
    [null, null],
  ])('the address %s is stored as %s and does not break the chain', async (ipAddress, kept) => {
    await append({ action: 'SIGN_IN' }, identityOf(ANONYMOUS, { ipAddress }));
    expect(await rows()).toMatchObject([{ ipAddress: kept }]);
    await expectIntact();
  });

  test.each([
    ['a long one', 'x'.repeat(10_000), 'x'.repeat(500)],
    ['one cut within an emoji', `${'x'.repeat(499)}🚗🚗`, `${'x'.repeat(499)}🚗`],
    ['one with characters that PostgreSQL refuses', 'a\0b\ud800c', 'a\uFFFDb\uFFFDc'],
    ['none', null, null],
  ])('of the user agent, %s is stored as far as possible', async (_, userAgent, kept) => {
    await append({ action: 'SIGN_IN' }, identityOf(ANONYMOUS, { userAgent }));
    expect(await rows()).toMatchObject([{ userAgent: kept }]);
    await expectIntact();
  });
});
