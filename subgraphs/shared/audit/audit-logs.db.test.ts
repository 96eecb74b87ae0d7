import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { randomUUID } from 'node:crypto';
import { Client } from 'pg';
import { maintainAuditPartitions } from './audit-partitions.ts';
import { createTestDatabase, type TestDatabase } from '../testing/test-database.ts';

let testDatabase: TestDatabase;
let client: Client;

beforeAll(async () => {
  testDatabase = await createTestDatabase();
  client = new Client({ connectionString: testDatabase.url });
  await client.connect();
});

afterAll(async () => {
  await client.end();
  await testDatabase.drop();
});

async function one<T>(sql: string, values: unknown[] = []): Promise<T> {
  const { rows } = await client.query<{ value: T }>(sql, values);
  return rows[0]!.value;
}

/** Gives the name of the partition `months` after the server's month in UTC. */
async function partitionName(months: number): Promise<string> {
  return one(
    `SELECT to_char((now() AT TIME ZONE 'UTC') + make_interval(months => $1), '"audit_logs_"YYYY_MM') AS value`,
    [months],
  );
}

async function partitions(): Promise<string[]> {
  return one(
    `SELECT array_agg(inhrelid::regclass::text ORDER BY inhrelid::regclass::text) AS value FROM pg_inherits WHERE inhparent = 'audit_logs'::regclass`,
  );
}

async function insertRow(createdAt: string): Promise<string> {
  return one(
    `INSERT INTO audit_logs (action, created_at, chain_position, previous_hash, hash)
     VALUES ('SIGN_IN', $1, 1, repeat('0', 64), repeat('a', 64)) RETURNING id AS value`,
    [createdAt],
  );
}

/** Gives the months of this year and the next, whose partitions always exist. */
async function twoYears(): Promise<string[]> {
  const year = await one<number>(`SELECT date_part('year', now() AT TIME ZONE 'UTC') AS value`);
  return [year, year + 1].flatMap((each) =>
    Array.from({ length: 12 }, (_, month) => `audit_logs_${each}_${String(month + 1).padStart(2, '0')}`),
  );
}

test('a migrated database has partitions for this year and the next', async () => {
  expect(await partitions()).toEqual(await twoYears());
  for (const months of [0, 1, 2, 3]) expect(await partitions()).toContain(await partitionName(months));
});

test("create_audit_log_partition creates next month's missing partition, in any time zone, and does nothing when it exists", async () => {
  const next = await partitionName(1);
  const before = await partitions();
  await client.query(`DROP TABLE ${next}`);
  expect(await partitions()).not.toContain(next);

  await client.query(`SET timezone = 'Pacific/Auckland'`);
  await client.query('SELECT create_audit_log_partition()');
  await client.query('SELECT create_audit_log_partition()');
  await client.query('RESET timezone');
  expect(await partitions()).toEqual(before);
  const bounds = await one<string>(`SELECT pg_get_expr(relpartbound, oid) AS value FROM pg_class WHERE relname = $1`, [
    next,
  ]);
  const [year, month] = next.slice('audit_logs_'.length).split('_').map(Number) as [number, number];
  const following = new Date(Date.UTC(year, month, 1)).toISOString().slice(0, 10);
  expect(bounds).toBe(
    `FOR VALUES FROM ('${year}-${String(month).padStart(2, '0')}-01 00:00:00+00') TO ('${following} 00:00:00+00')`,
  );
});

test('instances that create partitions at the same time create each once', async () => {
  const clients = await Promise.all(
    [1, 2, 3, 4].map(async () => {
      const other = new Client({ connectionString: testDatabase.url });
      await other.connect();
      return other;
    }),
  );
  // Five beyond the end of the next year.
  const ahead = (await twoYears()).length - (await twoYears()).indexOf(await partitionName(0)) - 1 + 5;
  try {
    const created = await Promise.all(
      clients.map(
        async (other) =>
          (await other.query<{ n: number }>('SELECT ensure_audit_log_partitions($1) AS n', [ahead])).rows[0]!.n,
      ),
    );
    expect(created.reduce((a, b) => a + b)).toBe(5);
    expect(await partitions()).toHaveLength(24 + 5);
  } finally {
    await Promise.all(clients.map((other) => other.end()));
  }
});

test('the daily maintenance creates missing partitions, and does nothing the second time', async () => {
  await client.query(`DROP TABLE ${await partitionName(3)}`);
  const { prisma } = testDatabase.database;
  expect(await maintainAuditPartitions(prisma)).toEqual({ created: 1, detached: [] });
  expect(await maintainAuditPartitions(prisma)).toEqual({ created: 0, detached: [] });
});

test("a row is stored in its month's partition, to the last microsecond", async () => {
  const month = (months: number) =>
    one<string>(
      `SELECT to_char(date_trunc('month', now() AT TIME ZONE 'UTC') + make_interval(months => $1), 'YYYY-MM-DD') AS value`,
      [months],
    );
  const first = await insertRow(`${await month(1)} 00:00:00+00`);
  const last = await one<string>(
    `INSERT INTO audit_logs (action, created_at, chain_position, previous_hash, hash)
     VALUES ('SIGN_IN', $1::timestamptz - interval '1 microsecond', 2, repeat('0', 64), repeat('a', 64)) RETURNING id AS value`,
    [`${await month(1)} 00:00:00+00`],
  );
  const partitionOf = (id: string) =>
    one<string>('SELECT tableoid::regclass::text AS value FROM audit_logs WHERE id = $1', [id]);
  expect(await partitionOf(first)).toBe(await partitionName(1));
  expect(await partitionOf(last)).toBe(await partitionName(0));
});

test('a row of a month without a partition is refused', async () => {
  await expect(insertRow('1999-01-01 00:00:00+00')).rejects.toThrow(/no partition of relation "audit_logs"/);
});

test('the same id at the same time is refused by the primary key', async () => {
  const insert = `INSERT INTO audit_logs (id, action, created_at, chain_position, previous_hash, hash) VALUES ($1, 'SIGN_IN', $2, 1, repeat('0', 64), repeat('a', 64))`;
  const values = [randomUUID(), new Date()];
  await client.query(insert, values);
  await expect(client.query(insert, values)).rejects.toMatchObject({ code: '23505' });
});

test('audit rows can be neither changed nor removed, in the table or in a partition, by its owner or through what they refer to', async () => {
  const userId = await one<string>(
    `INSERT INTO users (email, name, password_hash, role) VALUES ('a@example.com', 'A', 'x', 'READ') RETURNING id AS value`,
  );
  await client.query(
    `INSERT INTO audit_logs (user_id, action, chain_position, previous_hash, hash) VALUES ($1, 'SIGN_IN', 3, repeat('0', 64), repeat('a', 64))`,
    [userId],
  );
  const count = await one<string>('SELECT count(*) AS value FROM audit_logs');
  const partition = await partitionName(0);
  const attempts = {
    UPDATE: [
      `UPDATE audit_logs SET action = 'SIGN_IN_FAILED'`,
      `UPDATE ${partition} SET hash = repeat('b', 64)`,
      `DELETE FROM users WHERE id = '${userId}'`,
    ],
    DELETE: ['DELETE FROM audit_logs', `DELETE FROM ${partition}`],
    TRUNCATE: ['TRUNCATE audit_logs', `TRUNCATE ${partition}`, 'TRUNCATE users CASCADE'],
  };
  for (const [operation, statements] of Object.entries(attempts)) {
    for (const statement of statements) {
      await expect(client.query(statement)).rejects.toThrow(`audit_logs is append-only: ${operation} is forbidden`);
    }
  }
  expect(await one('SELECT count(*) AS value FROM audit_logs')).toBe(count);
  expect(await one(`SELECT count(*) AS value FROM audit_logs WHERE user_id = '${userId}'`)).toBe('1');
});

test('a partition after which other rows may still be chained is not detached', async () => {
  const [old, young] = [await partitionName(-7 * 12 - 2), await partitionName(-7 * 12)];
  const day = (name: string) => `${name.slice(-7).replace('_', '-')}-01`;
  await client.query('SELECT create_audit_log_partition_of($1), create_audit_log_partition_of($2)', [
    day(old),
    day(young),
  ]);
  // Positions that other rows above have, too.
  await insertRow(`${day(old)} 12:00:00+00`);
  await expect(maintainAuditPartitions(testDatabase.database.prisma)).rejects.toThrow(
    `${old} is not the beginning of the chain`,
  );
  expect(await partitions()).toContain(old);
});
