/**
 * Reverting the migration of scopes on a database that has them. The former release must find nothing that would turn a
 * feature on where it was off.
 */
import { readdirSync } from 'node:fs';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { Client } from 'pg';
import { deployMigrations, rollBackMigrations } from '../../shared/postgres/schema/migrations.ts';
import { createBareDatabase, dropDatabase } from '../../shared/testing/test-database.ts';

const SCOPES = '20261129000000_scopes';
const MIGRATIONS = readdirSync('prisma/migrations').filter((name) => /^\d/.test(name));
const SINCE = MIGRATIONS.filter((name) => name >= SCOPES).length;

let url: string;
let client: Client;
beforeEach(async () => {
  url = await createBareDatabase(process.env['FLEETFLAG_TEST_TEMPLATE']);
  client = new Client({ connectionString: url });
  await client.connect();
});
afterEach(async () => {
  await client.end();
  await dropDatabase(url);
});

const flag = (key: string, columns: Record<string, string> = {}) => {
  const row = {
    ...{ key: `'${key}'`, name: `'A'`, type: `'boolean'`, default_value: `'{"value": false}'` },
    ...{ safety_level: `'ASIL-D'`, environment: `'staging'`, enabled: 'true' },
    ...columns,
  };
  return client.query(`INSERT INTO flags (${Object.keys(row).join(', ')}) VALUES (${Object.values(row).join(', ')})`);
};
const tombstone = (key: string, partition: string, revision: number) =>
  client.query(
    `INSERT INTO flag_tombstones (environment, key, partition, revision, signed_definition) VALUES ('staging', $1, $2, $3, 'x')`,
    [key, partition, revision],
  );

test('going back to before scopes takes flags for some models away, disables those with dependencies, and keeps one tombstone of each gone flag', async () => {
  await flag('plain');
  await flag('scoped', { scope: `'{Model A}'` });
  await flag('requiring', { requires: `'[{"flag": "plain"}]'` });
  await flag('excluding', { excludes: `'{plain}'` });
  await flag('gone', { archived_at: 'now()', scope: `'{Model A,Model B}'` });
  await client.query(
    `INSERT INTO users (email, name, password_hash, role) VALUES ('a@example.com', 'A', 'x', 'WRITE')`,
  );
  await client.query(`INSERT INTO change_requests (flag_id, action, flag_revision, proposed, requested_by)
    SELECT f.id, 'UPDATE_FLAG', 1, p::jsonb, u.id FROM users u, flags f,
      unnest(ARRAY['{"scope": ["A"]}', '{"scope": null, "requires": [], "excludes": []}', '{"requires": [{"flag": "a"}]}', '{}']) p
    WHERE f.key = 'plain'`);
  await flag('new', { archived_at: 'now()', draft: 'true' });
  await client.query(`INSERT INTO change_requests (flag_id, action, flag_revision, proposed, requested_by)
    SELECT f.id, 'CREATE_FLAG', 0, '{"scope": ["A"]}', u.id FROM users u, flags f WHERE f.key = 'new'`);
  await tombstone('gone', 'Model A', 5);
  await tombstone('gone', 'Model B', 7);
  await tombstone('left', '', 6);
  await tombstone('plain', 'Model A', 4);

  await rollBackMigrations({ url }, SINCE);
  const { rows: flags } = await client.query(
    `SELECT split_part(key, '~', 1) || CASE WHEN key LIKE '%~%' THEN '~' ELSE '' END AS key, enabled, archived_at IS NOT NULL AS archived FROM flags ORDER BY key`,
  );
  expect(flags).toEqual([
    { key: 'excluding', enabled: false, archived: false },
    { key: 'gone', enabled: true, archived: true },
    { key: 'new~', enabled: false, archived: true },
    { key: 'plain', enabled: true, archived: false },
    { key: 'requiring', enabled: false, archived: false },
    { key: 'scoped', enabled: false, archived: true },
  ]);
  const { rows: tombstones } = await client.query('SELECT key, revision::int FROM flag_tombstones ORDER BY key');
  expect(tombstones).toEqual([
    { key: 'gone', revision: 7 },
    { key: 'left', revision: 6 },
  ]);
  const { rows: requests } = await client.query<{ proposed: unknown }>(
    `SELECT proposed FROM change_requests WHERE status = 'pending'`,
  );
  expect(requests.map(({ proposed }) => proposed)).toEqual(
    expect.arrayContaining([{ scope: null, requires: [], excludes: [] }, {}]),
  );
  expect(requests).toHaveLength(2);

  await deployMigrations({ url });
  const { rows: again } = await client.query(
    `SELECT key FROM flags WHERE scope IS NULL AND requires = '[]' AND excludes = '{}'`,
  );
  expect(again).toHaveLength(6);
});
