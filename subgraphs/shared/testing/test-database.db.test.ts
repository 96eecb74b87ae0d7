import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { createTestDatabase, type TestDatabase } from './test-database.ts';

let first: TestDatabase;
let second: TestDatabase;

beforeAll(async () => {
  [first, second] = await Promise.all([createTestDatabase(), createTestDatabase()]);
});

afterAll(async () => {
  await Promise.all([first.drop(), second.drop()]);
});

test('a test database is migrated and has the three environments at revision 0', async () => {
  const environments = await first.database.prisma.environment.findMany({ orderBy: { name: 'asc' } });
  expect(environments.map(({ name, revision }) => [name, revision])).toEqual([
    ['development', 0n],
    ['production', 0n],
    ['staging', 0n],
  ]);
});

test('rows in one test database do not appear in another', async () => {
  await first.database.prisma.environment.update({ where: { name: 'staging' }, data: { revision: 7n } });
  const other = await second.database.prisma.environment.findUniqueOrThrow({ where: { name: 'staging' } });
  expect(other.revision).toBe(0n);
});
