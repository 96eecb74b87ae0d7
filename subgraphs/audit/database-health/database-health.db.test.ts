import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { createInProcessBus } from '../../shared/feeds/bus.ts';
import { createInProcessStore } from '../../shared/stores/key-value-store.ts';
import { createInProcessRateLimiter } from '../../shared/stores/rate-limiter.ts';
import { asking, refusal, silent, user } from '../../shared/testing/asking.ts';
import { createTestDatabase, type TestDatabase } from '../../shared/testing/test-database.ts';
import { readDatabaseHealth } from './database-health.ts';
import { startAudit } from '../subgraph.ts';
import { endNoPlans } from '../../shared/testing/no-plans.ts';
import { testWebhookSettings } from '../../shared/testing/webhook-settings.ts';

let database: TestDatabase;

beforeAll(async () => {
  database = await createTestDatabase();
});
afterAll(() => database.drop());

const prisma = () => database.database.prisma;
const run = (sql: string) => prisma().$executeRawUnsafe(sql);
const health = () => readDatabaseHealth(prisma());

test("FleetFlag's own schema has no duplicate index", async () => {
  expect((await health()).duplicateIndexes).toEqual([]);
});

test('an index that repeats another is reported with it, and no other index is', async () => {
  await run(`CREATE INDEX again ON flags (environment, enabled) WHERE archived_at IS NULL`);
  await run(`CREATE INDEX other_predicate ON flags (environment, enabled) WHERE archived_at IS NOT NULL`);
  await run(`CREATE INDEX other_order ON flags (environment DESC, enabled) WHERE archived_at IS NULL`);
  await run(`CREATE INDEX other_class ON flags (environment varchar_pattern_ops, enabled) WHERE archived_at IS NULL`);
  await run(`CREATE INDEX other_method ON rules USING hash (flag_id)`);
  await run(`CREATE INDEX covering ON rules (flag_id) INCLUDE (priority)`);
  await run(
    `CREATE INDEX search_again ON flags USING GIN (to_tsvector('english', name || ' ' || COALESCE(description, '')))`,
  );
  await run(`CREATE INDEX key_again ON flags (key)`);
  const { duplicateIndexes } = await health();
  expect([...duplicateIndexes].sort((a, b) => a.indexes.join().localeCompare(b.indexes.join()))).toEqual([
    { table: 'flags', indexes: ['again', 'idx_flags_env_enabled'], sizeBytes: expect.any(Number) },
    { table: 'flags', indexes: ['idx_flags_key', 'key_again'], sizeBytes: expect.any(Number) },
    { table: 'flags', indexes: ['idx_flags_search', 'search_again'], sizeBytes: expect.any(Number) },
  ]);
  expect(duplicateIndexes.every(({ sizeBytes }) => sizeBytes >= 16_384)).toBe(true);
  await run(
    'DROP INDEX again, other_predicate, other_order, other_class, other_method, covering, search_again, key_again',
  );
});

test('a partitioned table is one table: its duplicates, sizes and unused indexes are not repeated for each partition', async () => {
  await run('CREATE INDEX again ON audit_logs (action)');
  const { duplicateIndexes, unusedIndexes, tableSizes } = await health();
  expect(duplicateIndexes).toEqual([
    { table: 'audit_logs', indexes: ['again', 'idx_audit_logs_action'], sizeBytes: expect.any(Number) },
  ]);
  expect(duplicateIndexes[0]?.sizeBytes).toBeGreaterThanOrEqual(2 * 4 * 8192);
  await run('DROP INDEX again');
  expect(unusedIndexes).toContainEqual({
    table: 'audit_logs',
    index: 'idx_audit_logs_action',
    scans: 0,
    sizeBytes: expect.any(Number),
  });
  expect(
    [...unusedIndexes.map(({ index }) => index), ...tableSizes.map(({ table }) => table)].filter((name) =>
      /_\d{4}_\d{2}/.test(name),
    ),
  ).toEqual([]);
  const trail = tableSizes.find(({ table }) => table === 'audit_logs');
  expect(trail?.indexBytes).toBeGreaterThanOrEqual(4 * 6 * 8192);
  expect(trail?.totalBytes).toBe((trail?.tableBytes ?? 0) + (trail?.indexBytes ?? 0));

  // One partition has an index that repeats one of the table's.
  const [partition] = await prisma().$queryRaw<
    { name: string }[]
  >`SELECT inhrelid::regclass::text AS name FROM pg_inherits WHERE inhparent = 'audit_logs'::regclass ORDER BY 1 LIMIT 1`;
  await run(`CREATE INDEX of_its_own ON ${partition?.name} (action)`);
  expect((await health()).duplicateIndexes).toMatchObject([
    { table: partition?.name, indexes: [`${partition?.name}_action_idx`, 'of_its_own'] },
  ]);
  await run('DROP INDEX of_its_own');
});

test('an index is unused until a query has used it, and indexes of unique values are never reported', async () => {
  const names = async () => (await health()).unusedIndexes.map(({ index }) => index);
  expect(await names()).toContain('idx_vehicles_model');
  expect(await names()).not.toContain('users_pkey');
  expect(await names()).not.toContain('idx_users_email');
  await prisma().$transaction(async (tx) => {
    await tx.$executeRaw`SET LOCAL enable_seqscan = off`;
    await tx.$queryRaw`SELECT 1 FROM vehicles WHERE model = 'Ioniq 6'`;
    // Statistics are sent when a session is idle; this sends them at once.
    await tx.$queryRaw`SELECT pg_stat_force_next_flush()::text`;
  });
  expect(await names()).not.toContain('idx_vehicles_model');
});

test('slow queries come slowest first and without parameter values; without the extension a note says so', async () => {
  const without = await health();
  expect([without.slowQueries, without.notes]).toEqual([
    [],
    [expect.stringContaining('pg_stat_statements is not installed')],
  ]);

  await run('CREATE EXTENSION pg_stat_statements');
  const [{ preloaded } = { preloaded: '' }] = await prisma().$queryRaw<
    { preloaded: string }[]
  >`SELECT current_setting('shared_preload_libraries') AS preloaded`;
  if (!preloaded.includes('pg_stat_statements')) {
    // A given server may lack the extension; then the note is the answer.
    const { slowQueries, notes } = await health();
    expect([slowQueries, notes]).toEqual([
      [],
      [expect.stringContaining('without pg_stat_statements in shared_preload_libraries')],
    ]);
    return;
  }
  await run(`SELECT pg_sleep(0.3), 'a secret literal'`);
  await run(`SELECT 'another secret', pg_sleep(0.01)`);
  await run(`CREATE ROLE trail_health_role PASSWORD 'a secret password'`);
  await run('DROP ROLE trail_health_role');
  const { slowQueries, notes } = await health();
  expect(notes).toEqual([]);
  const sleeping = slowQueries.filter(({ query }) => query.includes('pg_sleep'));
  expect(sleeping.map(({ query }) => query)).toEqual(['SELECT pg_sleep($1), $2', 'SELECT $1, pg_sleep($2)']);
  expect(sleeping[0]).toMatchObject({
    calls: 1,
    meanMs: expect.any(Number),
    maxMs: expect.any(Number),
    totalMs: expect.any(Number),
  });
  expect(slowQueries.map(({ meanMs }) => meanMs)).toEqual(
    slowQueries.map(({ meanMs }) => meanMs).sort((a, b) => b - a),
  );
  expect(JSON.stringify(slowQueries)).not.toContain('secret');

  await run('REVOKE SELECT ON pg_stat_statements FROM PUBLIC');
  const reader = await prisma().$transaction(async (tx) => {
    await tx.$executeRawUnsafe('CREATE ROLE trail_health_reader');
    await tx.$executeRawUnsafe('SET LOCAL ROLE trail_health_reader');
    const found = await readDatabaseHealth(tx);
    await tx.$executeRawUnsafe('RESET ROLE');
    await tx.$executeRawUnsafe('DROP ROLE trail_health_reader');
    return found;
  });
  expect([reader.slowQueries, reader.notes]).toEqual([
    [],
    [expect.stringContaining('may not read pg_stat_statements')],
  ]);
});

test('the health of the database is only for administrators', async () => {
  const started = await startAudit({
    webhooks: testWebhookSettings,
    endPlans: endNoPlans,
    prisma: prisma(),
    sessions: createInProcessStore(),
    bus: createInProcessBus(),
    limiter: createInProcessRateLimiter(),
    checkOperation: () => [],
    logger: silent,
  });
  try {
    const ask = asking(started.subgraph);
    const QUERY =
      '{ databaseHealth { unusedIndexes { table index scans sizeBytes } duplicateIndexes { table indexes sizeBytes } slowQueries { query calls meanMs maxMs totalMs } tableSizes { table totalBytes tableBytes indexBytes } notes } }';
    const { data, errors } = await ask<{
      databaseHealth: { duplicateIndexes: unknown[]; tableSizes: { table: string }[] };
    }>(user('ADMIN'), QUERY);
    expect([errors, data.databaseHealth.duplicateIndexes]).toEqual([[], []]);
    expect(data.databaseHealth.tableSizes.map(({ table }) => table)).toEqual(
      expect.arrayContaining(['flags', 'audit_logs']),
    );
    expect(refusal(await ask(user('SAFETY'), QUERY))).toEqual({ code: 'FORBIDDEN' });
  } finally {
    await started.close();
  }
});
