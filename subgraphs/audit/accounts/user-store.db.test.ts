import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { createTestDatabase, type TestDatabase } from '../../shared/testing/test-database.ts';
import { findUsers } from './user-store.ts';

let database: TestDatabase;
beforeAll(async () => {
  database = await createTestDatabase();
});
afterAll(() => database.drop());

test('users are found with all that is known of them, by a prepared statement and within a transaction alike', async () => {
  const { prisma } = database.database;
  await prisma.$executeRaw`
    INSERT INTO users (email, name, password_hash, role, department, is_active, last_login_at, created_at, updated_at)
    SELECT 'u' || n || '@example.com', 'Name é ' || n, 'x', 'READ', CASE WHEN n % 2 = 0 THEN 'ADAS' END, n % 3 > 0,
      CASE WHEN n % 2 = 1 THEN '2026-11-28T10:00:00Z'::timestamptz + n * interval '1.001 milliseconds' END,
      '1969-12-31T23:59:59Z'::timestamptz + n * interval '1 millisecond', '2026-11-28T10:00:00.999999Z'
    FROM generate_series(1, 1000) n`;
  const stored = await prisma.user.findMany({ omit: { passwordHash: true }, orderBy: { id: 'asc' } });
  expect(stored).toHaveLength(1_000);
  const ids = [...stored.map(({ id }) => id), '0198f0aa-0000-7000-8000-000000000001'];
  const byId = (a: { id: string }, b: { id: string }) => (a.id < b.id ? -1 : 1);
  expect((await findUsers(prisma, ids)).sort(byId)).toEqual(stored);
  expect((await prisma.$transaction((tx) => findUsers(tx, ids))).sort(byId)).toEqual(stored);
});
