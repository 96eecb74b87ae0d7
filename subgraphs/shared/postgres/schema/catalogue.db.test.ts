import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { Client } from 'pg';
import { EXTENSIONS, FUNCTIONS, OWNER_COMMENTS, TABLES } from '../../../../prisma/specification/specification.ts';
import { readCatalogue, type Catalogue } from '../../testing/catalogue.ts';
import { createTestDatabase, type TestDatabase } from '../../testing/test-database.ts';

let testDatabase: TestDatabase;
let client: Client;
let catalogue: Catalogue;

beforeAll(async () => {
  testDatabase = await createTestDatabase();
  client = new Client({ connectionString: testDatabase.url });
  await client.connect();
  catalogue = await readCatalogue(client);
});

afterAll(async () => {
  await client.end();
  await testDatabase.drop();
});

test('the database has the specified tables and no other', () => {
  expect(Object.keys(catalogue.tables).sort()).toEqual(Object.keys(TABLES).sort());
  expect(catalogue.others).toEqual([]);
});

describe.each(Object.entries(TABLES))('table %s', (name, specified) => {
  test('has exactly the specified columns, with their types, limits, nullability and defaults', () => {
    expect(catalogue.tables[name]?.columns).toEqual(specified.columns);
  });

  test('has exactly the specified keys, unique constraints, checks and foreign keys', () => {
    expect(catalogue.tables[name]?.constraints).toEqual(specified.constraints);
  });

  test('has exactly the specified indexes beside those of its constraints', () => {
    expect(catalogue.tables[name]?.indexes).toEqual(specified.indexes);
  });

  test('has a comment, and so have exactly the specified columns', () => {
    expect(catalogue.tables[name]?.comment).toMatch(/\p{L}/u);
    expect([...(catalogue.tables[name]?.commented ?? [])].sort()).toEqual([...specified.commented].sort());
  });

  test('has exactly the specified triggers', () => {
    expect([...(catalogue.tables[name]?.triggers ?? [])].sort()).toEqual([...(specified.triggers ?? [])].sort());
  });
});

test("the data specification's comments are stored word for word", async () => {
  const { rows } = await client.query<{ name: string; comment: string }>(`
    SELECT relname || COALESCE('.' || attname, '') AS name, description AS comment
    FROM pg_description JOIN pg_class ON pg_class.oid = objoid LEFT JOIN pg_attribute ON attrelid = objoid AND attnum = objsubid AND objsubid > 0
    WHERE classoid = 'pg_class'::regclass AND relnamespace = 'public'::regnamespace`);
  const comments = Object.fromEntries(rows.map(({ name, comment }) => [name, comment]));
  expect(comments).toMatchObject(OWNER_COMMENTS);
});

test('the database has the specified functions and no other', () => {
  expect(catalogue.functions).toEqual(FUNCTIONS);
});

test('the database has the specified extensions and no other', async () => {
  const { rows } = await client.query<{ extname: string }>('SELECT extname FROM pg_extension ORDER BY extname');
  expect(rows.map(({ extname }) => extname)).toEqual(EXTENSIONS);
});

test('audit_logs is partitioned by the range of created_at', async () => {
  const { rows } = await client.query(`SELECT pg_get_partkeydef('audit_logs'::regclass) AS key`);
  expect(rows).toEqual([{ key: 'RANGE (created_at)' }]);
});

test('no two indexes of a table have the same columns, classes, expressions and predicate', async () => {
  const { rows } = await client.query(`
    SELECT indrelid::regclass::text AS table, array_agg(indexrelid::regclass::text) AS indexes
    FROM pg_index JOIN pg_class ON pg_class.oid = indrelid
    WHERE relnamespace = 'public'::regnamespace
    GROUP BY indrelid, indkey, indclass, indoption, coalesce(indexprs::text, ''), coalesce(indpred::text, '')
    HAVING count(*) > 1`);
  expect(rows).toEqual([]);
});

test('the chain of audit rows begins at position 0 with 64 zeros', async () => {
  const head = await testDatabase.database.prisma.auditChain.findMany();
  expect(head).toEqual([{ id: 1, position: 0n, hash: '0'.repeat(64), lastAt: null }]);
});
