import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { Client } from 'pg';
import { appendAudit } from './audit-trail.ts';
import { ANONYMOUS, identityOf } from '../testing/asking.ts';
import { createTestDatabase, type TestDatabase } from '../testing/test-database.ts';
import { maintainAuditPartitions, requireAuditPartition } from './audit-partitions.ts';

let testDatabase: TestDatabase;

beforeAll(async () => {
  testDatabase = await createTestDatabase();
});
afterAll(() => testDatabase.drop());

const prisma = () => testDatabase.database.prisma;
const append = (after: string) =>
  prisma().$transaction((tx) => appendAudit(tx, identityOf(ANONYMOUS), { action: 'UPDATE_FLAG', after }));

const partitions = async () => {
  const rows = await prisma().$queryRaw<
    { name: string }[]
  >`SELECT inhrelid::regclass::text AS name FROM pg_inherits WHERE inhparent = 'audit_logs'::regclass ORDER BY 1`;
  return rows.map(({ name }) => name);
};

/** The first of the month, `months` after this one. */
function month(months: number, day = 1): Date {
  const now = new Date();
  return new Date(Date.UTC(now.getUTCFullYear(), now.getUTCMonth() + months, day));
}
const nameOf = (time: Date) => `audit_logs_${time.toISOString().slice(0, 7).replace('-', '_')}`;

/** The partitions of a year and of the next one. */
const twoYears = (year: number) => Array.from({ length: 24 }, (_, index) => nameOf(new Date(Date.UTC(year, index, 1))));
const thisYear = new Date().getUTCFullYear();

test('the whole year and the whole next one are ready, and as the clock moves on, the one after', async () => {
  expect(await partitions()).toEqual(twoYears(thisYear));
  expect(await maintainAuditPartitions(prisma(), new Date(Date.UTC(thisYear, 11, 31, 23, 59)))).toEqual({
    created: 0,
    detached: [],
  });
  expect(await maintainAuditPartitions(prisma(), new Date(Date.UTC(thisYear + 1, 0, 1)))).toEqual({
    created: 12,
    detached: [],
  });
  expect(await partitions()).toEqual([...twoYears(thisYear), ...twoYears(thisYear + 2).slice(0, 12)]);
});

test("each partition that is made is told of, by the owner's function too", async () => {
  const client = new Client({ connectionString: testDatabase.url });
  await client.connect();
  try {
    const notices: string[] = [];
    client.on('notice', ({ message }) => notices.push(message ?? ''));
    const next = nameOf(month(1));
    await client.query(`DROP TABLE ${next}`);
    await client.query('SELECT create_audit_log_partition()');
    await client.query('SELECT create_audit_log_partition()');
    expect(notices).toEqual([`Created partition: ${next}`]);
  } finally {
    await client.end();
  }
});

test('a change at a time for which no partition is ready makes it in the same transaction, several at once too', async () => {
  const later = new Date(Date.UTC(thisYear + 20, 4, 15));
  const [head] = await prisma().$queryRaw<{ lastAt: Date | null }[]>`SELECT last_at AS "lastAt" FROM audit_chain`;
  await prisma().auditChain.update({ where: { id: 1 }, data: { lastAt: later } });
  await Promise.all(['a', 'b', 'c'].map(append));
  expect(await partitions()).toContain(nameOf(later));
  expect(await prisma().auditLog.count({ where: { createdAt: { gte: later } } })).toBe(3);
  await requireAuditPartition(prisma());

  // Nothing of it stays, for the other tests: rows go with their table.
  await prisma().$executeRawUnsafe(`DROP TABLE ${nameOf(later)}`);
  await prisma().auditChain.update({
    where: { id: 1 },
    data: { lastAt: head?.lastAt ?? null, position: 0n, hash: '0'.repeat(64) },
  });
});

test('where no partition can be made, changes are refused as unavailable and readiness says so, until one can', async () => {
  const blocked = nameOf(month(0));
  // Its name is taken by a table that is no partition: one that was detached, for example.
  await prisma().$executeRawUnsafe(`ALTER TABLE audit_logs DETACH PARTITION ${blocked}`);
  await expect(requireAuditPartition(prisma())).rejects.toMatchObject({ code: 'SERVICE_UNAVAILABLE' });
  await expect(append('x')).rejects.toMatchObject({
    code: 'SERVICE_UNAVAILABLE',
    cause: { message: expect.stringContaining('another table has its name') },
  });
  await prisma().$executeRawUnsafe(`DROP TABLE ${blocked}`);
  await requireAuditPartition(prisma());
  await append('x');
  await prisma().$executeRawUnsafe(`DROP TABLE ${blocked}`);
  await prisma().$queryRaw`SELECT ensure_audit_log_partitions(3)`;
  await prisma().auditChain.update({ where: { id: 1 }, data: { lastAt: null, position: 0n, hash: '0'.repeat(64) } });
});

test('partitions wholly older than 7 years are detached with their rows, once, and the trail says what begins where', async () => {
  // As of a database that was made this month: the year's months before it are empty.
  for (const name of twoYears(thisYear).filter((name) => name < nameOf(month(0))))
    await prisma().$executeRawUnsafe(`DROP TABLE ${name}`);
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
    {
      userId: null,
      userAgent: 'fleetflag-partition-keeper',
      afterValue: { partition: first, rows: 2, firstPosition: 1, lastPosition: 2, lastHash: two?.hash },
    },
  ]);
  expect(await prisma().$queryRawUnsafe(`SELECT after_value FROM ${first} ORDER BY chain_position`)).toEqual([
    { after_value: 'one' },
    { after_value: 'two' },
  ]);

  // The month without rows goes, too, and moves no beginning.
  await prisma().auditChain.update({ where: { id: 1 }, data: { lastAt: month(3, 5) } });
  await append('later');
  expect((await maintainAuditPartitions(prisma(), month(years + 2))).detached).toEqual([second, third]);
  const records = await prisma().auditLog.findMany({
    where: { action: 'DETACH_PARTITION' },
    orderBy: { chainPosition: 'asc' },
  });
  // The record of the first has left with its own month: the last one tells where the trail begins.
  expect(records).toMatchObject([
    { afterValue: { partition: second, firstPosition: 3, lastPosition: 4 } },
    { afterValue: { partition: third, rows: 0, firstPosition: null, lastPosition: null, lastHash: null } },
  ]);
});

test('what was detached stays append-only, also through what it refers to', async () => {
  const detached = nameOf(month(0));
  for (const statement of [
    `UPDATE ${detached} SET user_agent = 'x'`,
    `DELETE FROM ${detached}`,
    `TRUNCATE ${detached}`,
  ]) {
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
