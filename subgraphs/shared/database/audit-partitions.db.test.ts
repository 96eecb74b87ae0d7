import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { Client } from 'pg';
import { appendAudit } from '../audit-trail.ts';
import { NOBODY, identityOf } from '../testing/asking.ts';
import { createTestDatabase, type TestDatabase } from '../testing/test-database.ts';
import { maintainAuditPartitions } from './audit-partitions.ts';

let testDatabase: TestDatabase;

beforeAll(async () => {
  testDatabase = await createTestDatabase();
});
afterAll(() => testDatabase.drop());

const prisma = () => testDatabase.database.prisma;
const append = (after: string) => prisma().$transaction((tx) => appendAudit(tx, identityOf(NOBODY), { action: 'UPDATE_FLAG', after }));

const partitions = async () => {
  const rows = await prisma().$queryRaw<{ name: string }[]>`SELECT inhrelid::regclass::text AS name FROM pg_inherits WHERE inhparent = 'audit_logs'::regclass ORDER BY 1`;
  return rows.map(({ name }) => name);
};

/** The first of the month, `months` after this one. */
function month(months: number, day = 1): Date {
  const now = new Date();
  return new Date(Date.UTC(now.getUTCFullYear(), now.getUTCMonth() + months, day));
}
const nameOf = (time: Date) => `audit_logs_${time.toISOString().slice(0, 7).replace('-', '_')}`;

test('as the clock moves on, partitions are made ahead of it', async () => {
  expect(await partitions()).toEqual([0, 1, 2, 3].map((months) => nameOf(month(months))));
  expect(await maintainAuditPartitions(prisma(), month(2, 15))).toEqual({ created: 2, detached: [] });
  expect(await partitions()).toEqual([0, 1, 2, 3, 4, 5].map((months) => nameOf(month(months))));
});

test('partitions wholly older than 7 years are detached with their rows, once, and the trail says what begins where', async () => {
  // Two rows this month, one the next, and none in the month after.
  for (const after of ['one', 'two']) await append(after);
  await prisma().auditChain.update({ where: { id: 1 }, data: { lastAt: month(1, 5) } });
  await append('three');
  const [first, second, third] = [0, 1, 2].map((months) => nameOf(month(months))) as [string, string, string];
  const [two] = await prisma().$queryRaw<{ hash: string }[]>`SELECT hash FROM audit_logs WHERE chain_position = 2`;

  // On the last day of the seven years of this month nothing is detached; on the day after, this month is.
  const years = 7 * 12 + 1;
  expect((await maintainAuditPartitions(prisma(), new Date(month(years).getTime() - 1))).detached).toEqual([]);
  const rounds = await Promise.all([1, 2, 3].map(() => maintainAuditPartitions(prisma(), month(years))));
  expect(rounds.flatMap(({ detached }) => detached)).toEqual([first]);
  expect(await partitions()).not.toContain(first);
  expect(await prisma().auditLog.findMany({ where: { action: 'DETACH_PARTITION' } })).toMatchObject([
    { userId: null, userAgent: 'fleetflag-partition-keeper', afterValue: { partition: first, rows: 2, firstPosition: 1, lastPosition: 2, lastHash: two?.hash } },
  ]);
  expect(await prisma().$queryRawUnsafe(`SELECT after_value FROM ${first} ORDER BY chain_position`)).toEqual([{ after_value: 'one' }, { after_value: 'two' }]);

  // The month without rows goes, too, and moves no beginning.
  await prisma().auditChain.update({ where: { id: 1 }, data: { lastAt: month(3, 5) } });
  await append('later');
  expect((await maintainAuditPartitions(prisma(), month(years + 2))).detached).toEqual([second, third]);
  const records = await prisma().auditLog.findMany({ where: { action: 'DETACH_PARTITION' }, orderBy: { chainPosition: 'asc' } });
  // The record of the first has left with its own month: the last one tells where the trail begins.
  expect(records).toMatchObject([
    { afterValue: { partition: second, firstPosition: 3, lastPosition: 4 } },
    { afterValue: { partition: third, rows: 0, firstPosition: null, lastPosition: null, lastHash: null } },
  ]);
});

test('what was detached stays append-only, also through what it refers to', async () => {
  const detached = nameOf(month(0));
  for (const statement of [`UPDATE ${detached} SET user_agent = 'x'`, `DELETE FROM ${detached}`, `TRUNCATE ${detached}`]) {
    await expect(prisma().$executeRawUnsafe(statement)).rejects.toThrow('append-only');
  }
});

test('who reads the trail for long is waited for only briefly, and nothing is torn by it', async () => {
  const reader = new Client({ connectionString: testDatabase.url });
  await reader.connect();
  try {
    const later = month(7 * 12 + 4);
    await prisma().$queryRaw`SELECT ensure_audit_log_partitions(3, ${later}::timestamptz)`;
    await reader.query('BEGIN');
    await reader.query('SELECT 1 FROM audit_logs');
    const before = await partitions();
    await expect(maintainAuditPartitions(prisma(), later)).rejects.toThrow(/lock timeout/);
    expect(await partitions()).toEqual(before);
    await expect(maintainAuditPartitions(prisma(), month(7 * 12 + 5))).rejects.toThrow(/lock timeout/);
    await reader.query('COMMIT');
    await prisma().auditChain.update({ where: { id: 1 }, data: { lastAt: month(5, 5) } });
    expect((await maintainAuditPartitions(prisma(), later)).detached).toEqual([nameOf(month(3))]);
  } finally {
    await reader.end();
  }
});
