/**
 * The database of the first release of the schema (docs/reference/schema-changes.md, 0.1.0), with data in every table,
 * is brought up to date: nothing is lost or changed, and today's code reads it.
 */
import { readdir } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { Client } from 'pg';
import { readPage } from '../core/wire/api/pagination.ts';
import { IntegrityChecks } from '../subgraphs/audit/log/integrity.ts';
import { ExperimentService } from '../subgraphs/experiments/experiments/experiment-service.ts';
import { findFlagsByKey } from '../subgraphs/flags/flags/reading/flag-reads.ts';
import { appendAudit } from '../subgraphs/shared/audit/audit-log.ts';
import { openDatabase, type Database } from '../subgraphs/shared/postgres/database.ts';
import { deployMigrations, migrationStatus } from '../subgraphs/shared/postgres/schema/migrations.ts';
import { createBareDatabase, dropDatabase } from '../subgraphs/shared/testing/test-database.ts';
import { findVehicles } from '../subgraphs/vehicles/registry/vehicle-store.ts';

/** The last migration of the first release, and how many it had. */
const LAST_OF_FIRST = '20261128010200_rollout_evidence';
const COUNT_OF_FIRST = 45;

const id = (n: number) => `0198f0aa-0000-7000-8000-${String(n).padStart(12, '0')}`;
const [ANNA, BEN, FLAG, DRAFT, RULE, REQUEST, ROLLOUT, EXPERIMENT, KEY, GATEWAY] = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10].map(
  id,
);
const VIN = 'KMHK281HGNU000001';

/** Results as the first release wrote them: the numbers without a prefix were those of the fixed horizon. */
const RESULTS = {
  analysis: {
    ...{ difference: 12.5, differenceInterval: [6, 19], pValue: 0.00012345, improvementPercent: 3.25 },
    ...{ confidenceInterval: [1.5, 5], sequentialPValue: 0.004, sequentialConfidenceInterval: [0.5, 6] },
    ...{ missing: [], significant: true, winner: 'treatment', variants: [], cuped: null },
  },
  computedAt: '2026-11-20T00:00:00.000Z',
  countedUntil: '2026-11-20T00:00:00.000Z',
};

/** Rows as the first release wrote them, in the order in which they refer to each other. */
const ROWS = `
INSERT INTO users (id, email, name, password_hash, role, department, last_login_at) VALUES
  ('${ANNA}', 'anna@example.com', 'Anna', '$argon2id$x', 'WRITE', 'IT', '2026-11-20 10:00:00.123456+00'),
  ('${BEN}', 'ben@example.com', '벤', '$argon2id$y', 'SAFETY', NULL, NULL);
UPDATE environments SET revision = 41 WHERE name = 'production';
INSERT INTO flags (id, key, name, description, type, default_value, enabled, safety_level, environment, total_evaluations, active_vehicles, last_evaluation_at, created_by, updated_by, revision, signed_definition, archived_at, draft) VALUES
  ('${FLAG}', 'lane_keep', '차선 유지', 'Keeps the lane', 'number', '{"value": 3.25}', true, 'ASIL-B', 'production', 9007199254740993, 12, '2026-11-27 09:00:00+00', '${ANNA}', '${BEN}', 41, 'a.b.c', NULL, false),
  ('${DRAFT}', 'brake_assist', 'Brakes', NULL, 'json', '{"value": {"a": [1, null, "x"]}}', false, 'ASIL-D', 'production', 0, 0, NULL, '${ANNA}', '${ANNA}', 0, NULL, '2026-11-27 09:00:00+00', true);
INSERT INTO rules (id, flag_id, type, priority, enabled, conditions, value, variant) VALUES
  ('${RULE}', '${FLAG}', 'percentage_rollout', 100, true, '{"rollout_percentage": 12.5, "salt": "s"}', '{"value": 7}', 'treatment'),
  ('${id(50)}', '${FLAG}', 'kill_switch', 1000, false, '{"force_disabled": true, "reason": "Test"}', NULL, NULL);
INSERT INTO flag_tombstones (environment, key, revision, signed_definition) VALUES ('production', 'gone', 17, 'd.e.f');
INSERT INTO vehicles (vin, model, sw_version, region, status, last_seen_at, agent_version, agent_memory_mb, agent_cpu_percent, cache_size_mb, environment, applied_revision, token_generation, tokens_revoked_at, status_position, clock_offset_seconds, agent_refusals) VALUES
  ('${VIN}', 'Ioniq 6', '2.5.0.17', 'EU', 'online', '2026-11-27 09:00:00+00', '1.1.0', 61, 1.25, 0.31, 'production', 41, 2, '2026-11-01 00:00:00.5+00', 3, -0.5, '{incomplete}');
UPDATE vehicle_status_head SET position = 3;
INSERT INTO gateway_leases (gateway_id, sequence) VALUES ('${GATEWAY}', 8);
INSERT INTO vehicle_connections (gateway_id, vin) VALUES ('${GATEWAY}', '${VIN}');
INSERT INTO change_requests (id, flag_id, action, flag_revision, before_value, after_value, proposed, status, requested_by, reviewed_by, comment, reviewed_at) VALUES
  ('${REQUEST}', '${FLAG}', 'UPDATE_FLAG', 40, '{"a": 1}', '{"a": 2}', '{"key": "lane_keep"}', 'approved', '${ANNA}', '${BEN}', 'Seen', '2026-11-27 09:00:00+00');
INSERT INTO experiments (id, flag_id, name, status, start_date, end_date, sample_size, confidence_level, primary_metric, treatment_share, winner_variant, p_value, improvement_percent, results) VALUES
  ('${EXPERIMENT}', '${FLAG}', 'Range', 'completed', '2026-11-01 00:00:00+00', '2026-11-20 00:00:00+00', 1000, 0.95, 'range_km', 0.125, 'treatment', 0.00012345, 3.25, '${JSON.stringify(RESULTS)}'),
  ('${id(80)}', '${FLAG}', 'Still running', 'running', '2026-11-01 00:00:00+00', NULL, 5000, 0.99, 'range_km', 0.125, NULL, NULL, NULL, NULL);
INSERT INTO experiment_disturbances (experiment_id, action, user_id) VALUES ('${EXPERIMENT}', 'UPDATE_RULE', '${ANNA}');
INSERT INTO metric_definitions (key, kind, unit, minimum, maximum, better, cap, window_ms) VALUES ('range_km', 'mean', 'km', 0, 900, 'higher', 700, 86400000);
INSERT INTO rollouts (id, flag_id, rule_id, environment, status, next_step_at, scheduled_by, approved_by, change_request_id) VALUES
  ('${ROLLOUT}', '${FLAG}', '${RULE}', 'production', 'running', '2199-01-01 00:00:00+00', '${ANNA}', '${BEN}', '${REQUEST}');
INSERT INTO rollout_steps (rollout_id, position, percentage, delay_ms, due_at, applied_at, revision) VALUES
  ('${ROLLOUT}', 0, 12.5, NULL, '2026-11-20 00:00:00+00', '2026-11-20 00:00:01+00', 41), ('${ROLLOUT}', 1, 100, 86400000, '2199-01-01 00:00:00+00', NULL, NULL);
INSERT INTO rollout_guards (rollout_id, metric, worse, max_worse_percent, confidence_level, minimum_vehicles, silence_ms, watch_for_ms, initial_percentage) VALUES
  ('${ROLLOUT}', 'range_km', 'lower', 5, 0.95, 100, 3600000, 86400000, 1.5);
INSERT INTO rollout_verdicts (rollout_id, watch, verdict, figures, computed_at) VALUES ('${ROLLOUT}', 0, 'holding', '{"n": 5}', '2026-11-27 09:00:00+00');
INSERT INTO rollout_evidence (rollout_id, state, updated_at) VALUES ('${ROLLOUT}', '{"epochs": []}', '2026-11-27 09:00:00+00');
INSERT INTO api_keys (id, name, key_hash, key_prefix, role, rate_limit_per_min, last_used_at, expires_at, created_by) VALUES
  ('${KEY}', 'Tier1_CompanyA', repeat('a', 64), 'ff_abcdef', 'READ', 600, '2026-11-27 09:00:00+00', '2199-01-01 00:00:00+00', '${ANNA}');
INSERT INTO persisted_operations (id, sha256, name, type, body, created_by) VALUES ('acme/flag@1', repeat('b', 64), 'Flag', 'query', 'query Flag { flag(key: "lane_keep") { key } }', '${ANNA}');
INSERT INTO persisted_operation_keys (operation_id, api_key_id) VALUES ('acme/flag@1', '${KEY}');
`;

/** Tables, columns and rows of a database; rows as text, in order. */
type Content = Map<string, { readonly columns: readonly string[]; readonly rows: readonly string[] }>;

let url: string;
let client: Client;
let database: Database;
let before: Content;

/**
 * Reads every table but the migrations' own.
 *
 * @param columns of each table; by default all that there are now
 */
async function content(columnsOf?: Content): Promise<Content> {
  const { rows: tables } = await client.query<{ name: string; columns: string[] }>(`
    SELECT c.relname AS name, array_agg(a.attname::text ORDER BY a.attnum) AS columns
    FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relname <> '_prisma_migrations'
    GROUP BY 1`);
  const found: Content = new Map();
  for (const { name, columns: present } of tables) {
    const columns = columnsOf === undefined ? present : columnsOf.get(name)?.columns;
    if (columns === undefined) continue;
    const list = columns.map((column) => `"${column}"`).join(', ');
    const { rows } = await client.query<{ row: string }>(
      `SELECT row_to_json(old)::text AS row FROM (SELECT ${list} FROM "${name}") old ORDER BY 1`,
    );
    found.set(name, { columns, rows: rows.map(({ row }) => row) });
  }
  return found;
}

beforeAll(async () => {
  url = await createBareDatabase();
  const all = (await readdir(new URL('../prisma/migrations', import.meta.url))).filter((name) => /^\d/.test(name));
  const only = all.filter((name) => name <= LAST_OF_FIRST);
  expect(only).toHaveLength(COUNT_OF_FIRST);
  expect(all.length).toBeGreaterThan(COUNT_OF_FIRST);
  await deployMigrations({ url, only });
  client = new Client({ connectionString: url });
  await client.connect();
  await client.query(ROWS);
  database = await openDatabase({ url });
  const identity = {
    caller: { kind: 'user', userId: ANNA ?? '', role: 'WRITE', sessionKey: null },
    origin: { ipAddress: '192.0.2.7', userAgent: 'curl', requestId: id(99) },
  } as const;
  await database.prisma.$transaction((tx) =>
    appendAudit(tx, identity, { action: 'CREATE_FLAG', flagId: FLAG ?? null, after: { key: 'lane_keep' } }),
  );
  before = await content();
}, 120_000);

afterAll(async () => {
  await database?.close();
  await client?.end();
  await dropDatabase(url);
});

describe('the database of the first release', () => {
  test('has data in every table', () => {
    expect([...before].filter(([, { rows }]) => rows.length === 0).map(([name]) => name)).toEqual([]);
  });

  test('is brought up to date, and nothing of it is lost or changed', async () => {
    const applied = await deployMigrations({ url });
    expect(applied.length).toBeGreaterThan(0);
    expect(applied.every((name) => name > LAST_OF_FIRST)).toBe(true);
    expect(await migrationStatus({ url })).toMatchObject({ pending: [], edited: [], failed: [], unknown: [] });
    expect(await content(before)).toEqual(before);
  });

  test('is read by the code of today', async () => {
    const { prisma } = database;
    expect(await findFlagsByKey(prisma, ['lane_keep', 'brake_assist'])).toEqual(
      expect.arrayContaining([
        expect.objectContaining({
          ...{ key: 'lane_keep', name: '차선 유지', defaultValue: 3.25, revision: 41, draft: false },
          rules: [
            expect.objectContaining({ type: 'kill_switch', enabled: false }),
            expect.objectContaining({ type: 'percentage_rollout', value: 7, variant: 'treatment' }),
          ],
        }),
        expect.objectContaining({ key: 'brake_assist', draft: true, defaultValue: { a: [1, null, 'x'] } }),
      ]),
    );
    expect(await findVehicles(prisma, [VIN])).toMatchObject([{ vin: VIN, appliedRevision: 41, tokenGeneration: 2 }]);
    const { experiments } = await new ExperimentService(prisma).search({}, readPage({ first: 10 }));
    expect(experiments.map(({ name, status }) => [name, status]).sort()).toEqual([
      ['Range', 'completed'],
      ['Still running', 'running'],
    ]);
    expect(experiments.find(({ status }) => status === 'completed')).toMatchObject({
      winnerVariant: 'treatment',
      results: { analysis: { pValue: 0.004, confidenceInterval: [0.5, 6], improvementPercent: 3.25 } },
    });
    expect(await new IntegrityChecks(prisma).check({ from: null, to: null })).toMatchObject({ intact: true });
  });

  test('goes on from what it had: running experiments have evidence, and living flags a version', async () => {
    const { rows: evidence } = await client.query('SELECT experiment_id AS id FROM experiment_evidence');
    expect(evidence).toEqual([{ id: id(80) }]);
    const { rows: versions } = await client.query('SELECT flag_id AS id, revision FROM flag_versions');
    expect(versions).toEqual([{ id: FLAG, revision: '41' }]);
  });
});
