import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { Client } from 'pg';
import { appendAudit } from './audit-log.ts';
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

/** Gives the first of the month, `months` after this one. */
function month(months: number, day = 1): Date {
  const now = new Date();
  return new Date(Date.UTC(now.getUTCFullYear(), now.getUTCMonth() + months, day));
}
const nameOf = (time: Date) => `audit_logs_${time.toISOString().slice(0, 7).replace('-', '_')}`;

/** Gives the names of the partitions of a year and the next one. */
const twoYears = (year: number) => Array.from({ length: 24 }, (_, index) => nameOf(new Date(Date.UTC(year, index, 1))));
const thisYear = new Date().getUTCFullYear();

test('the partitions of this year and the next exist, and as the clock moves on, those of the year after', async () => {
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

test("each created partition is reported, even when the database's own function created it", async () => {
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

test('a change whose month has no partition creates it in the same transaction, even several changes at once', async () => {
  const later = new Date(Date.UTC(thisYear + 20, 4, 15));
  const [head] = await prisma().$queryRaw<{ lastAt: Date | null }[]>`SELECT last_at AS "lastAt" FROM audit_chain`;
  await prisma().auditChain.update({ where: { id: 1 }, data: { lastAt: later } });
  await Promise.all(['a', 'b', 'c'].map(append));
  expect(await partitions()).toContain(nameOf(later));
  expect(await prisma().auditLog.count({ where: { createdAt: { gte: later } } })).toBe(3);
  await requireAuditPartition(prisma());

  // The rows go with their table, so that other tests do not see them.
  await prisma().$executeRawUnsafe(`DROP TABLE ${nameOf(later)}`);
  await prisma().auditChain.update({
    where: { id: 1 },
    data: { lastAt: head?.lastAt ?? null, position: 0n, hash: '0'.repeat(64) },
  });
});

test('when no partition can be created, changes are refused as unavailable and readiness fails, until one can be', async () => {
  const blocked = nameOf(month(0));
  // A table that is no partition takes its name: a detached one, for example.
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

test('partitions wholly older than 7 years are detached once, with their rows, and the audit log records where it now begins', async () => {
  // As if the database had been created this month: this year's earlier months are empty.
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

  // The month without rows is detached, too, and does not move the beginning.
  await prisma().auditChain.update({ where: { id: 1 }, data: { lastAt: month(3, 5) } });
  await append('later');
  expect((await maintainAuditPartitions(prisma(), month(years + 2))).detached).toEqual([second, third]);
  const records = await prisma().auditLog.findMany({
    where: { action: 'DETACH_PARTITION' },
    orderBy: { chainPosition: 'asc' },
  });
  // The first record was detached with its own month; the last one shows where the log begins.
  expect(records).toMatchObject([
    { afterValue: { partition: second, firstPosition: 3, lastPosition: 4 } },
    { afterValue: { partition: third, rows: 0, firstPosition: null, lastPosition: null, lastHash: null } },
  ]);
});

test('detached partitions stay append-only, even through referenced rows', async () => {
  const detached = nameOf(month(0));
  for (const statement of [
    `UPDATE ${detached} SET user_agent = 'x'`,
    `DELETE FROM ${detached}`,
    `TRUNCATE ${detached}`,
  ]) {
    await expect(prisma().$executeRawUnsafe(statement)).rejects.toThrow('append-only');
  }
});

test('the maintenance waits only briefly for long reads of the audit log, and leaves nothing half done', async () => {
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
