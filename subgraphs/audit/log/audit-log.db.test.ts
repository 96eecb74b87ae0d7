import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { Prisma } from '../../../prisma/generated/client.ts';
import type { Caller } from '../../../core/access/caller.ts';
import { createInProcessBus } from '../../shared/feeds/bus.ts';
import { createInProcessStore } from '../../shared/stores/key-value-store.ts';
import { createInProcessRateLimiter } from '../../shared/stores/rate-limiter.ts';
import { ANONYMOUS, asking, refusal, silent, user, type DataOrErrors, type Ask } from '../../shared/testing/asking.ts';
import { createTestDatabase, type TestDatabase } from '../../shared/testing/test-database.ts';
import { startAudit } from '../subgraph.ts';
import { auditLogQuery, type AuditLogSearch } from './audit-log-store.ts';
import { endNoPlans } from '../../shared/testing/no-plans.ts';
import { testWebhookSettings } from '../../shared/testing/webhook-settings.ts';

const FIELDS = 'totalCount nodes { id } pageInfo { hasNextPage hasPreviousPage endCursor }';
const LOGS = `query($filter: AuditLogFilter, $first: Int, $after: String) { auditLogs(filter: $filter, first: $first, after: $after) { ${FIELDS} } }`;
const HISTORY = `query($representations: [_Any!]!, $first: Int, $after: String) { _entities(representations: $representations) { ... on Flag { id history(first: $first, after: $after) { ${FIELDS} } } } }`;
const READ = user('READ');

type Trail = {
  totalCount: number;
  nodes: { id: string }[];
  pageInfo: { hasNextPage: boolean; hasPreviousPage: boolean; endCursor: string | null };
};
type Logs = { auditLogs: Trail };

/** The first of this month and of the next two, at noon: three partitions. */
const now = new Date();
const [may, june, july] = [0, 1, 2].map((months) =>
  Date.UTC(now.getUTCFullYear(), now.getUTCMonth() + months, 1, 12),
) as [number, number, number];

let database: TestDatabase;
let ask: Ask;
let close: () => Promise<void>;
let ann: string;
let bob: string;
let lane: { id: string; key: string };
let park: { id: string; key: string };
let position = 0;

const prisma = () => database.database.prisma;

async function insert(entry: {
  at: string;
  user?: string;
  flag?: string;
  action?: string;
  before?: object;
  after?: object;
}): Promise<string> {
  const id = randomUUID();
  position += 1;
  await prisma().$executeRaw`
    INSERT INTO audit_logs (id, user_id, flag_id, action, before_value, after_value, ip_address, user_agent, request_id, created_at, chain_position, previous_hash, hash)
    VALUES (${id}::uuid, ${entry.user ?? null}::uuid, ${entry.flag ?? null}::uuid, ${entry.action ?? 'UPDATE_FLAG'},
            ${entry.before ? JSON.stringify(entry.before) : null}::jsonb, ${entry.after ? JSON.stringify(entry.after) : null}::jsonb,
            '2001:db8::7', 'test/1.0', ${id}::uuid, ${entry.at}::timestamptz, ${position}, repeat('0', 64), repeat('a', 64))`;
  return id;
}

const time = (milliseconds: number) => new Date(milliseconds).toISOString();

async function newUser(name: string): Promise<string> {
  return (
    await prisma().user.create({ data: { email: `${name}@example.com`, name, passwordHash: '-', role: 'WRITE' } })
  ).id;
}

async function newFlag(key: string, archivedAt: Date | null = null): Promise<{ id: string; key: string }> {
  return prisma().flag.create({
    data: {
      key,
      name: key,
      type: 'boolean',
      defaultValue: { value: false },
      safetyLevel: 'Non-Critical',
      environment: 'staging',
      archivedAt,
    },
    select: { id: true, key: true },
  });
}

/** Reads all pages of a search, and checks what each says about pages before and after it. */
async function pages(filter: object, first: number): Promise<string[][]> {
  const found: string[][] = [];
  let after: string | null = null;
  do {
    const answer: DataOrErrors<Logs> = await ask<Logs>(READ, LOGS, { filter, first, after });
    expect(answer.errors).toEqual([]);
    const { nodes, pageInfo } = answer.data.auditLogs;
    expect(pageInfo.hasPreviousPage).toBe(after !== null);
    found.push(nodes.map(({ id }) => id));
    after = pageInfo.hasNextPage ? pageInfo.endCursor : null;
  } while (after !== null);
  return found;
}

let entries: Record<'old' | 'same' | 'micro' | 'later' | 'newest', string>;

beforeAll(async () => {
  database = await createTestDatabase();
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
  ask = asking(started.subgraph);
  close = () => started.close();
  [ann, bob] = [await newUser('ann'), await newUser('bob')];
  [lane, park] = [await newFlag('lane_keep'), await newFlag('park_assist', new Date())];
  entries = {
    old: await insert({ at: time(may), user: ann, flag: lane.id, action: 'CREATE_FLAG', after: { key: lane.key } }),
    same: await insert({
      at: time(june).replace('000Z', '000100Z'),
      user: bob,
      flag: lane.id,
      before: { enabled: false },
      after: { enabled: true },
    }),
    micro: await insert({
      at: time(june).replace('000Z', '000900Z'),
      user: ann,
      flag: park.id,
      action: 'ARCHIVE_FLAG',
    }),
    later: await insert({ at: time(june + 1), action: 'SIGN_IN_FAILED', after: { email: 'x@example.com' } }),
    newest: await insert({ at: time(july), user: ann, flag: lane.id, action: 'KILL_SWITCH' }),
  };
});

afterAll(async () => {
  await close();
  await database.drop();
});

describe('the audit log', () => {
  test.each([1, 2, 3, 10])(
    'comes newest first in pages of %d, each entry once, across months and within a millisecond',
    async (first) => {
      const { old, same, micro, later, newest } = entries;
      const found = await pages({}, first);
      expect(found.flat()).toEqual([newest, later, micro, same, old]);
      expect(found.slice(0, -1).every((page) => page.length === first)).toBe(true);
    },
  );

  test('orders entries of one instant by the chain, and shows each old entry once while new ones arrive', async () => {
    const filter = { action: 'SET_MAINTENANCE' };
    const at = time(june + 1_000);
    const old: string[] = [];
    while (old.length < 6) old.unshift(await insert({ at, ...filter }));
    const seen: string[] = [];
    let after: string | null = null;
    do {
      const { data }: DataOrErrors<Logs> = await ask<Logs>(READ, LOGS, { filter, first: 2, after });
      seen.push(...data.auditLogs.nodes.map(({ id }) => id));
      after = data.auditLogs.pageInfo.hasNextPage ? data.auditLogs.pageInfo.endCursor : null;
      await insert({ at, ...filter });
      await insert({ at: time(june + 2_000), ...filter });
    } while (after !== null);
    expect(seen).toEqual(old);
    await prisma().$transaction(async (tx) => {
      await tx.$executeRaw`SET LOCAL session_replication_role = replica`;
      await tx.$executeRaw`DELETE FROM audit_logs WHERE action = ${filter.action}`;
    });
  });

  test('filters by person, flag, action and time', async () => {
    const { old, same, micro, later, newest } = entries;
    const find = async (filter: object) => (await pages(filter, 10)).flat();
    expect(await find({ userId: ann })).toEqual([newest, micro, old]);
    expect(await find({ userId: ann.toUpperCase(), flagKey: 'lane_keep' })).toEqual([newest, old]);
    expect(await find({ flagKey: 'park_assist' })).toEqual([micro]);
    expect(await find({ flagKey: 'nobodys_flag' })).toEqual([]);
    expect(await find({ action: 'SIGN_IN_FAILED' })).toEqual([later]);
    expect(await find({ from: time(june), to: time(june + 1) })).toEqual([micro, same]);
    expect(await find({ from: time(june + 1) })).toEqual([newest, later]);
    expect(await find({ to: time(june) })).toEqual([old]);
    expect(await find({ userId: randomUUID() })).toEqual([]);
  });

  test("filters by a part of the acting person's name or e-mail, but not for keys that may not read those", async () => {
    const { old, micro, newest } = entries;
    const { name, email } = await prisma().user.findUniqueOrThrow({ where: { id: ann } });
    const find = async (filter: object) => (await pages(filter, 10)).flat();
    for (const person of [name, ` ${email.toUpperCase()} `])
      expect(await find({ person })).toEqual([newest, micro, old]);
    expect(await find({ person: name, flagKey: 'lane_keep' })).toEqual([newest, old]);
    expect(await find({ person: 'nobody%' })).toEqual([]);
    const asked = async (caller: Caller, person: string) => refusal(await ask(caller, LOGS, { filter: { person } }));
    for (const person of [' ', 'x'.repeat(101)])
      expect(await asked(READ, person)).toEqual({ code: 'BAD_USER_INPUT', field: 'filter.person' });
    const key = (role: 'WRITE' | 'ADMIN') => ({ kind: 'apiKey', apiKeyId: null, role, rateLimitPerMin: 60 }) as const;
    expect(await asked(key('WRITE'), name)).toEqual({ code: 'FORBIDDEN', field: 'filter.person' });
    expect(await asked(key('ADMIN'), name)).toBeNull();
  });

  test('counts what the filter finds, not only the page', async () => {
    const { data } = await ask<Logs>(READ, LOGS, { filter: { userId: ann }, first: 1 });
    expect(data.auditLogs).toMatchObject({ totalCount: 3, nodes: [{ id: entries.newest }] });
  });

  test('shows an entry in full, with the person and the flag', async () => {
    const { data, errors } = await ask(
      READ,
      'query($filter: AuditLogFilter) { auditLogs(filter: $filter) { edges { cursor node { id action beforeValue afterValue ipAddress userAgent requestId createdAt hash user { id email } flag { id } } } } }',
      { filter: { userId: bob } },
    );
    expect(errors).toEqual([]);
    const id = entries.same;
    expect(data).toEqual({
      auditLogs: {
        edges: [
          {
            cursor: expect.any(String),
            node: {
              id,
              action: 'UPDATE_FLAG',
              beforeValue: { enabled: false },
              afterValue: { enabled: true },
              ipAddress: '2001:db8::7',
              userAgent: 'test/1.0',
              requestId: id,
              createdAt: time(june),
              hash: 'a'.repeat(64),
              user: { id: bob, email: 'bob@example.com' },
              flag: { id: lane.id },
            },
          },
        ],
      },
    });
  });

  test.each([
    [{ filter: { userId: 'nonsense' } }, 'filter.userId'],
    [{ filter: { userId: '' } }, 'filter.userId'],
    [{ filter: { flagKey: 'no key' } }, 'filter.flagKey'],
    [{ filter: { action: 'MAKE_COFFEE' } }, 'filter.action'],
    // Not a valid time: the gateway reports its field before a subgraph is called.
    [{ filter: { from: '0000-01-01T00:00:00Z' } }, undefined],
    [{ filter: { from: '2026-02-01T00:00:00Z', to: '2026-01-01T00:00:00Z' } }, 'filter.to'],
    [{ first: 0 }, 'first'],
    [{ first: 101 }, 'first'],
    [{ after: 'nonsense' }, 'after'],
  ])('refuses %j', async (variables, field) => {
    expect(refusal(await ask(READ, LOGS, variables))).toEqual({
      code: 'BAD_USER_INPUT',
      ...(field !== undefined && { field }),
    });
  });

  test('is empty after an unknown entry', async () => {
    const { data } = await ask<Logs>(READ, LOGS, { after: Buffer.from(randomUUID()).toString('base64url') });
    expect(data.auditLogs.nodes).toEqual([]);
  });

  test('is for callers who may read', async () => {
    expect(refusal(await ask(ANONYMOUS, LOGS))).toEqual({ code: 'UNAUTHENTICATED' });
    expect(refusal(await ask({ kind: 'vehicle', vin: 'KMH00000000000001', environment: 'staging' }, LOGS))).toEqual({
      code: 'FORBIDDEN',
    });
  });
});

describe('entities', () => {
  test('a flag has its own history, in pages', async () => {
    const representations = [lane, park].map(({ id }) => ({ __typename: 'Flag', id }));
    const { data } = await ask<{ _entities: { history: Trail }[] }>(READ, HISTORY, { representations, first: 2 });
    expect(data._entities).toMatchObject([
      {
        id: lane.id,
        history: {
          totalCount: 3,
          nodes: [{ id: entries.newest }, { id: entries.same }],
          pageInfo: { hasNextPage: true },
        },
      },
      { id: park.id, history: { totalCount: 1, nodes: [{ id: entries.micro }], pageInfo: { hasNextPage: false } } },
    ]);
    const after = data._entities[0]?.history.pageInfo.endCursor;
    const rest = await ask(READ, HISTORY, { representations: representations.slice(0, 1), after });
    expect(rest.data).toMatchObject({ _entities: [{ history: { nodes: [{ id: entries.old }] } }] });
    expect(
      (await ask(READ, HISTORY, { representations: [{ __typename: 'Flag', id: 'nonsense' }] })).data,
    ).toMatchObject({ _entities: [{ history: { totalCount: 0, nodes: [] } }] });
  });

  test('people and entries are found by id, unknown ones are null', async () => {
    const query =
      'query($representations: [_Any!]!) { _entities(representations: $representations) { ... on User { id name } ... on AuditLog { id action } } }';
    const representations = [
      ...[bob, randomUUID(), 'nonsense', ann].map((id) => ({ __typename: 'User', id })),
      ...[entries.old, randomUUID(), 'nonsense'].map((id) => ({ __typename: 'AuditLog', id })),
    ];
    const { data, errors } = await ask(READ, query, { representations });
    expect(errors).toEqual([]);
    expect(data).toEqual({
      _entities: [
        { id: bob, name: 'bob' },
        null,
        null,
        { id: ann, name: 'ann' },
        { id: entries.old, action: 'CREATE_FLAG' },
        null,
        null,
      ],
    });
  });
});

describe('a long audit log', () => {
  beforeAll(async () => {
    // 40 people with 500 entries each in this month's partition, later than every entry above it.
    await prisma()
      .$executeRaw`INSERT INTO users (email, name, password_hash, role) SELECT 'many' || n, 'x', '-', 'READ' FROM generate_series(1, 40) n`;
    await prisma().$executeRaw`
      INSERT INTO audit_logs (user_id, action, created_at, chain_position, previous_hash, hash)
      SELECT u.id, 'SIGN_IN', ${time(may)}::timestamptz + n * INTERVAL '1 second', 1000 + n, repeat('0', 64), repeat('b', 64)
      FROM users u CROSS JOIN generate_series(1, 500) n WHERE u.email LIKE 'many%'`;
    await prisma().$executeRaw`ANALYZE audit_logs`;
  });

  const planOf = async (search: AuditLogSearch, at: number | null): Promise<string> => {
    const rows = await prisma().$queryRaw<{ 'QUERY PLAN': string }[]>(
      Prisma.sql`EXPLAIN ${auditLogQuery(search, 101, at === null ? null : { position: 10_000, at: time(at) })}`,
    );
    return rows.map((row) => row['QUERY PLAN']).join('\n');
  };
  /** This month's partition is the long one. */
  const longPartition = `audit_logs_${time(may).slice(0, 7).replace('-', '_')}`;

  test('is read by its indexes, for a page of all entries or of one person, the first or a later one', async () => {
    const { id: busy } = await prisma().user.findFirstOrThrow({ where: { email: 'many7' } });
    for (const search of [{}, { userId: busy }, { userId: ann }, { userIds: [ann, busy] }]) {
      for (const at of [null, may + 400_000]) {
        const plan = await planOf(search, at);
        expect(plan).toMatch(new RegExp(`Index Scan .*on ${longPartition}`));
        expect(plan).not.toMatch(new RegExp(`Seq Scan on ${longPartition}`));
      }
    }
    // A person with few among many entries is found by person, not by time.
    expect(await planOf({ userId: ann }, null)).toContain(`${longPartition}_user_id_idx`);
  });

  test('the next page skips the partitions of later months', async () => {
    const later = `audit_logs_${time(july).slice(0, 7).replace('-', '_')}`;
    expect(await planOf({}, null)).toContain(later);
    expect(await planOf({}, may + 400_000)).not.toContain(later);
  });
});
