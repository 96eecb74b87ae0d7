import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { Client } from 'pg';
import { ENVIRONMENTS, SAFETY_LEVELS, type Environment } from '../core/model.ts';
import { searchAuditLog } from '../subgraphs/audit/log/audit-log-store.ts';
import { createFlagChanges } from '../subgraphs/flags/changes/change.ts';
import { NEWEST_FIRST } from '../subgraphs/flags/flags/reading/flag-order.ts';
import type { FlagFilter } from '../subgraphs/flags/generated/resolvers.ts';
import { FlagService } from '../subgraphs/flags/flags/flag-service.ts';
import { createSigner, generateSigningKey } from '../subgraphs/flags/signing/signing.ts';
import { searchFlags } from '../subgraphs/flags/flags/reading/flag-reads.ts';
import { createInProcessBus } from '../subgraphs/shared/feeds/bus.ts';
import { firstPage } from '../core/wire/api/pagination.ts';
import { identityOf, silent, user } from '../subgraphs/shared/testing/asking.ts';
import { plansOf as queryPlans } from '../subgraphs/shared/testing/query-plans.ts';
import { createTestDatabase, type TestDatabase } from '../subgraphs/shared/testing/test-database.ts';
import { watchDatabase, type WatchedDatabase } from '../subgraphs/shared/testing/watched-database.ts';

const ROWS = 50_000;
/** Flags that live in each environment, and those of them that are enabled (as many as may be). */
const LIVING = 3_000;
const ENABLED = 100;

let database: TestDatabase;
let watched: WatchedDatabase;
let client: Client;
let service: FlagService;
const users: string[] = [];

/**
 * The n-th flag, as it is generated in SQL below: three environments in turn, the first `LIVING` of each alive, the
 * first `ENABLED` of those enabled; every 997th is about lanes, every 50th of those living about rain.
 */
const flagOf = (n: number) => {
  const place = Math.floor(n / 3);
  return {
    key: `flag_${n}`,
    environment: ENVIRONMENTS[n % 3] as Environment,
    archived: place >= LIVING,
    enabled: place < ENABLED,
    safetyLevel: SAFETY_LEVELS[n % 4]!,
    lane: n % 997 === 0,
    rain: n % 50 === 0,
  };
};

beforeAll(async () => {
  database = await createTestDatabase();
  watched = await watchDatabase(database.url);
  client = new Client({ connectionString: database.url });
  await client.connect();
  const [environments, levels] = [ENVIRONMENTS, SAFETY_LEVELS].map((values) => [...values]);
  await client.query(
    `INSERT INTO flags (key, name, description, type, default_value, enabled, safety_level, environment, archived_at, created_at)
     SELECT 'flag_' || n, CASE WHEN n % 997 = 0 THEN 'Lane keeping' ELSE 'Feature number ' || n END, CASE WHEN n % 50 = 0 THEN 'Wipes when it rains' END,
            'boolean', '{"value": false}', n / 3 < $1, ($2::text[])[n % 4 + 1], ($3::text[])[n % 3 + 1],
            CASE WHEN n / 3 >= $4 THEN now() END, timestamptz '2026-01-01' + (n / 7) * interval '1 second'
     FROM generate_series(0, $5::int - 1) n`,
    [ENABLED, levels, environments, LIVING, ROWS],
  );
  await client.query(
    `INSERT INTO rules (flag_id, type, priority, enabled, conditions)
     SELECT id, 'percentage_rollout', p, p % 2 = 0, '{"rollout_percentage": 5}' FROM flags, generate_series(1, 3) p WHERE key < 'flag_40000'`,
  );
  const created = await client.query<{ id: string }>(
    `INSERT INTO users (email, name, password_hash, role) SELECT 'user' || n || '@example.com', 'User', '-', 'WRITE' FROM generate_series(1, 100) n RETURNING id`,
  );
  users.push(...created.rows.map(({ id }) => id));
  await client.query(
    `INSERT INTO audit_logs (user_id, action, request_id, created_at, chain_position, previous_hash, hash)
     SELECT ($1::uuid[])[n % 100 + 1], 'UPDATE_FLAG', gen_random_uuid(), now() + n * interval '1 minute', n, repeat('0', 64), repeat('a', 64) FROM generate_series(1, $2::int) n`,
    [users, ROWS],
  );
  await client.query('ANALYZE');
  const signer = await createSigner(await generateSigningKey());
  service = new FlagService(
    database.database.prisma,
    createFlagChanges(database.database.prisma, signer, createInProcessBus(), silent),
  );
});

afterAll(async () => {
  await client.end();
  await watched.close();
  await database.drop();
});

const plansOf = (table: string, run: () => Promise<unknown>) => queryPlans(watched, client, table, run);

describe(`on ${ROWS} rows`, () => {
  test('flags by environment and enabled use idx_flags_env_enabled, for the page and for the count', async () => {
    const [page, count] = await plansOf('flags', () =>
      searchFlags(watched.prisma, { environment: 'production', enabled: true }, firstPage(20), NEWEST_FIRST),
    );
    for (const plan of [page, count])
      expect(plan).toMatchObject({ indexes: expect.arrayContaining(['idx_flags_env_enabled']), scansAll: false });
  });

  test('words in name and description use idx_flags_search, for the page and for the count', async () => {
    const [page, count] = await plansOf('flags', () =>
      searchFlags(watched.prisma, { search: 'lane keeping' }, firstPage(20), NEWEST_FIRST),
    );
    for (const plan of [page, count])
      expect(plan).toMatchObject({ indexes: expect.arrayContaining(['idx_flags_search']), scansAll: false });
  });

  test.each(['eeping', 'flag_49850', 'ke', '조', '조향', 'wipes rains', 'lane kee'])(
    'parts of words and keys, such as %s, use both indexes, for the page and for the count',
    async (text) => {
      const [page, count] = await plansOf('flags', () =>
        searchFlags(watched.prisma, { search: text }, firstPage(20), NEWEST_FIRST),
      );
      for (const plan of [page, count])
        expect(plan).toMatchObject({
          indexes: expect.arrayContaining(['idx_flags_search', 'idx_flags_search_parts']),
          scansAll: false,
        });
    },
  );

  test("a flag's rules by priority use idx_rules_flag_id", async () => {
    const watching = new FlagService(watched.prisma, undefined as never);
    for (const run of [
      () => watching.byKeys(['flag_7']),
      () => searchFlags(watched.prisma, { environment: 'staging', enabled: true }, firstPage(20), NEWEST_FIRST),
    ]) {
      const plans = await plansOf('rules', run);
      expect(plans).toMatchObject([{ indexes: expect.arrayContaining(['idx_rules_flag_id']), scansAll: false }]);
    }
  });

  test("a user's audit, newest first, at most 100, uses idx_audit_logs_user_id or idx_audit_logs_created_at in every partition", async () => {
    const plans = await plansOf('audit_logs', () =>
      searchAuditLog(watched.prisma, { userId: users[3] }, firstPage(100)),
    );
    expect(plans).toHaveLength(1);
    expect(plans[0]?.scansAll).toBe(false);
    expect(plans[0]?.indexes.length).toBeGreaterThan(0);
    for (const index of plans[0]?.indexes ?? [])
      expect(['idx_audit_logs_user_id', 'idx_audit_logs_created_at']).toContain(index);
  });

  test('filters give together what each of them gives, counted and paged', async () => {
    const all = Array.from({ length: ROWS }, (_, n) => flagOf(n));
    const filters: FlagFilter[] = [];
    for (const environment of [null, 'production'] as const) {
      for (const enabled of [null, true, false]) {
        for (const archived of [null, true]) {
          for (const safetyLevel of [null, 'ASIL-B'] as const) {
            for (const search of [null, 'raining', 'lane -rain', '"lane keeping" or rain'])
              filters.push({ environment, enabled, archived, safetyLevel, search });
          }
        }
      }
    }
    const words: Record<string, (flag: ReturnType<typeof flagOf>) => boolean> = {
      raining: ({ rain }) => rain,
      'lane -rain': ({ lane, rain }) => lane && !rain,
      '"lane keeping" or rain': ({ lane, rain }) => lane || rain,
    };
    for (const filter of filters) {
      const expected = all.filter(
        (flag) =>
          (!filter.environment || flag.environment === filter.environment) &&
          (typeof filter.enabled !== 'boolean' || flag.enabled === filter.enabled) &&
          flag.archived === (filter.archived ?? false) &&
          (!filter.safetyLevel || flag.safetyLevel === filter.safetyLevel) &&
          (!filter.search || words[filter.search]!(flag)),
      );
      const found = await service.search(filter, firstPage(10));
      expect({ filter, count: found.totalCount, more: found.more }).toEqual({
        filter,
        count: expected.length,
        more: expected.length > 10,
      });
      const keys = new Set(expected.map(({ key }) => key));
      expect(found.flags.filter(({ key }) => !keys.has(key))).toEqual([]);
      expect(found.flags).toHaveLength(Math.min(10, expected.length));
    }
  });

  test('pages neither repeat nor lose a flag while others come and go', async () => {
    const identity = identityOf(user('WRITE', users[0]));
    const filter: FlagFilter = { environment: 'development', search: 'rain' };
    const before = await client.query<{ key: string }>(
      `SELECT key FROM flags WHERE environment = 'development' AND archived_at IS NULL AND description IS NOT NULL ORDER BY created_at DESC, id DESC`,
    );
    const expected = before.rows.map(({ key }) => key);
    expect(expected.length).toBeGreaterThan(50);
    const seen: string[] = [];
    const gone = new Set<string>();
    let count = expected.length;
    for (let page = 0, after: string | null = null; ; page++) {
      const { flags, totalCount, more } = await service.search(filter, { limit: 7, cursor: after, backwards: false });
      expect(totalCount).toBe(count);
      seen.push(...flags.map(({ key }) => key));
      if (!more) break;
      after = flags.at(-1)!.id;
      // Past the service, which lets an environment have 100.
      await client.query(
        `INSERT INTO flags (key, name, type, default_value, safety_level, environment, signed_definition) VALUES ($1, 'Rain again', 'boolean', '{"value": false}', 'Non-Critical', 'development', 'a.b.c')`,
        [`added_${page}`],
      );
      // Of those to come, of those seen, and even the one that the cursor names.
      const leaving = [expected[seen.length + 9], seen[seen.length - (page % 2 === 0 ? 1 : 3)]].filter(
        (key) => key !== undefined && !gone.has(key),
      ) as string[];
      for (const key of leaving) {
        await service.archiveFlag(identity, key, null);
        gone.add(key);
      }
      count += 1 - leaving.length;
    }
    expect(new Set(seen).size).toBe(seen.length);
    expect(seen.filter((key) => key.startsWith('added_'))).toEqual([]);
    expect(expected.filter((key) => !seen.includes(key) && !gone.has(key))).toEqual([]);
    expect(seen).toEqual(expected.filter((key) => seen.includes(key)));
  });

  test('whatever is typed into the search is taken for words', async () => {
    const piece = fc.oneof(
      fc.string({ unit: 'grapheme', maxLength: 12 }),
      fc.constantFrom(
        '"',
        "'",
        '&',
        '|',
        '!',
        '(',
        ')',
        ':*',
        '<->',
        '-',
        ' or ',
        ' -"',
        '\\',
        '%',
        '_',
        '*',
        ';',
        '--',
        'lane',
        ' and ',
        '$1',
        '{}',
        '\u202e',
        '🚗',
        ' ',
      ),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(piece, { maxLength: 10 }), async (pieces) => {
        const search = pieces.join('').replaceAll('\0', '');
        const { flags, totalCount } = await service.search(
          { search, environment: 'staging', enabled: true },
          firstPage(5),
        );
        expect(flags).toHaveLength(Math.min(5, totalCount));
      }),
      { seed: 20_261_123, numRuns: 300 },
    );
  });
});
