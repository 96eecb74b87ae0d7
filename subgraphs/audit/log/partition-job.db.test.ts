import { afterAll, beforeAll, expect, jest, test } from '@jest/globals';
import { pino } from 'pino';
import type { PrismaClient } from '../../../prisma/generated/client.ts';
import { silent } from '../../shared/testing/asking.ts';
import { createTestDatabase, type TestDatabase } from '../../shared/testing/test-database.ts';
import { PartitionJob } from './partition-job.ts';

let database: TestDatabase;

beforeAll(async () => {
  database = await createTestDatabase();
});

afterAll(() => database.drop());

const partitions = async () => {
  const rows = await database.database.prisma.$queryRaw<{ name: string }[]>`
    SELECT inhrelid::regclass::text AS name FROM pg_inherits WHERE inhparent = 'audit_logs'::regclass ORDER BY 1`;
  return rows.map(({ name }) => name);
};

test('the partitions of this year and the next exist after the start, whichever were missing', async () => {
  const expected = await partitions();
  expect(expected).toHaveLength(24);
  await database.database.prisma.$executeRawUnsafe(`DROP TABLE ${expected[1]}, ${expected[3]}, ${expected[23]}`);
  const [one, two] = [
    new PartitionJob(database.database.prisma, silent),
    new PartitionJob(database.database.prisma, silent),
  ];
  await Promise.all([one.start(), two.start()]);
  expect(await partitions()).toEqual(expected);
  await Promise.all([one.close(), two.close()]);
});

test('it runs again every day, within the hour after a failure, and not after it was closed', async () => {
  jest.useFakeTimers();
  try {
    let runs = 0;
    let failing = false;
    const errors: unknown[] = [];
    // The job creates missing partitions first, and then reads which are to be detached.
    const prisma = {
      $transaction: (use: (tx: unknown) => unknown) => use(prisma),
      $executeRaw: async () => 0,
      async $queryRaw([statement = '']: readonly string[]) {
        if (!statement.includes('ensure_audit_log_partitions')) return [];
        runs++;
        if (failing) throw new Error('away');
        return [{ created: 0 }];
      },
    };
    const logger = pino({ level: 'error' }, { write: (line: string) => errors.push(JSON.parse(line)) });
    const job = new PartitionJob(prisma as unknown as PrismaClient, logger);
    await job.start();
    await jest.advanceTimersByTimeAsync(23 * 3_600_000);
    expect(runs).toBe(1);
    failing = true;
    await jest.advanceTimersByTimeAsync(3_600_000);
    expect([runs, errors.length]).toEqual([2, 1]);
    failing = false;
    await jest.advanceTimersByTimeAsync(3_600_000);
    expect([runs, errors.length]).toEqual([3, 1]);
    await job.close();
    await jest.advanceTimersByTimeAsync(72 * 3_600_000);
    expect(runs).toBe(3);
    expect(jest.getTimerCount()).toBe(0);
  } finally {
    jest.useRealTimers();
  }
});
