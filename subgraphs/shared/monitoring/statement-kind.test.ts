import { expect, test } from '@jest/globals';
import { describeStatement } from './statement-kind.ts';

test.each([
  ['SELECT 1', 'read', 'SELECT', ''],
  ['/* prepared as positions */\n    SELECT name FROM environments', 'read', 'SELECT', 'environments'],
  ['SELECT "public"."flags"."id" FROM "public"."flags" WHERE 1=1', 'read', 'SELECT', 'flags'],
  ['SELECT revision FROM environments WHERE name = $1 FOR UPDATE', 'lock', 'SELECT', 'environments'],
  ['select id from rollouts for no key update', 'lock', 'SELECT', 'rollouts'],
  ['SELECT pg_advisory_xact_lock($1)', 'lock', 'SELECT', ''],
  ['INSERT INTO "public"."audit_logs" ("id") VALUES ($1)', 'write', 'INSERT', 'audit_logs'],
  ['UPDATE "public"."flags" SET "name" = $1', 'write', 'UPDATE', 'flags'],
  ['-- of the night\nDELETE FROM ONLY webhook_deliveries WHERE id = $1', 'write', 'DELETE', 'webhook_deliveries'],
  ['WITH gone AS (SELECT 1) UPDATE vehicles SET status = $1', 'write', 'UPDATE', 'vehicles'],
  ['WITH due AS (SELECT id FROM rollouts) SELECT * FROM due', 'read', 'SELECT', 'rollouts'],
  ['BEGIN', 'transaction', 'BEGIN', ''],
  ['COMMIT', 'transaction', 'COMMIT', ''],
  ['SET LOCAL lock_timeout = 1', 'other', 'OTHER', ''],
  ['', 'other', 'OTHER', ''],
])('%j is described by what it does, to which table', (sql, kind, verb, table) => {
  expect(describeStatement(sql)).toEqual({ kind, verb, table });
});

test('no value of a statement is in its description', () => {
  expect(JSON.stringify(describeStatement("SELECT * FROM vehicles WHERE vin = 'KMHK281HGNU000001'"))).not.toContain(
    'KMH',
  );
});
