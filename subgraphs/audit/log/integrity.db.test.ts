import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { appendAudit, auditHash } from '../../shared/audit/audit-log.ts';
import { createInProcessBus } from '../../shared/feeds/bus.ts';
import { maintainAuditPartitions } from '../../shared/audit/audit-partitions.ts';
import { createInProcessStore } from '../../shared/stores/key-value-store.ts';
import { createInProcessRateLimiter } from '../../shared/stores/rate-limiter.ts';
import { ANONYMOUS, asking, identityOf, refusal, silent, user, type Ask } from '../../shared/testing/asking.ts';
import { createTestDatabase, type TestDatabase } from '../../shared/testing/test-database.ts';
import { chainRows, type ChainRow } from './chain-store.ts';
import { IntegrityChecks, checkIntegrity, type AuditIntegrity, type Period } from './integrity.ts';
import { startAudit } from '../subgraph.ts';
import { endNoPlans } from '../../shared/testing/no-plans.ts';
import { testWebhookSettings } from '../../shared/testing/webhook-settings.ts';

const WHOLE: Period = { from: null, to: null };

let database: TestDatabase;
/** The audit log as it was written: positions 1 to 12, each a minute after the one before. */
let rows: ChainRow[];

beforeAll(async () => {
  database = await createTestDatabase();
});
afterAll(() => database.drop());

const prisma = () => database.database.prisma;

/** Changes rows past the triggers, as a superuser can. */
async function tamper(...statements: string[]): Promise<void> {
  await prisma().$transaction(async (tx) => {
    await tx.$executeRaw`SET LOCAL session_replication_role = replica`;
    for (const statement of statements) await tx.$executeRawUnsafe(statement);
  });
}

// The chain's last time is set forward before each entry, so that the entries are a minute apart.
beforeEach(async () => {
  await tamper('DELETE FROM audit_logs', `UPDATE audit_chain SET position = 0, hash = repeat('0', 64), last_at = NULL`);
  const month = new Date();
  const start = Date.UTC(month.getUTCFullYear(), month.getUTCMonth() + 1, 1);
  await prisma().$transaction(async (tx) => {
    for (let minute = 0; minute < 12; minute++) {
      await tx.$executeRaw`UPDATE audit_chain SET last_at = ${new Date(start + minute * 60_000)}`;
      await appendAudit(tx, identityOf(ANONYMOUS), {
        action: 'UPDATE_FLAG',
        before: { minute },
        after: [minute, 0.1, 'ü', null],
      });
    }
  });
  rows = await chainRows(prisma(), { position: 0, id: null }, 12, 100);
});

const row = (position: number): ChainRow => rows[position - 1]!;
const at = (position: number) => new Date(row(position).createdAt);
const check = (period: Partial<Period> = {}) => checkIntegrity(prisma(), { ...WHOLE, ...period });
const broken = (position: number | null, fault: string): Partial<AuditIntegrity> => ({
  intact: false,
  firstBrokenId: position === null ? null : row(position).id,
  fault: expect.stringContaining(fault) as unknown as string,
  headHash: null,
});

/** Gives the statement that inserts a changed copy of a row, with the hash that it must then have. */
function insertion(copied: ChainRow, over: Partial<ChainRow>): string {
  const { previousHash, hash: _, ...content } = { ...copied, ...over };
  return `INSERT INTO audit_logs (id, action, before_value, after_value, ip_address, user_agent, request_id, created_at, chain_position, previous_hash, hash)
    VALUES ('${content.id}', '${content.action}', '${JSON.stringify(content.beforeValue)}', '${JSON.stringify(content.afterValue)}', '${content.ipAddress}', '${content.userAgent}', '${content.requestId}',
            '${content.createdAt}', ${content.position}, '${previousHash}', '${auditHash(previousHash, content)}')`;
}

describe('the check of the audit log', () => {
  test('finds an unchanged log intact, and gives the hash of its last row', async () => {
    expect(await check()).toEqual({
      intact: true,
      checked: 12,
      firstBrokenId: null,
      fault: null,
      headHash: row(12).hash,
    });
  });

  test('finds an empty log intact', async () => {
    await tamper('DELETE FROM audit_logs', `UPDATE audit_chain SET position = 0, hash = repeat('0', 64)`);
    expect(await check()).toEqual({ intact: true, checked: 0, firstBrokenId: null, fault: null, headHash: null });
  });

  test.each([
    `user_agent = 'other'`,
    `after_value = '[5]'`,
    `before_value = NULL`,
    `action = 'KILL_SWITCH'`,
    `ip_address = NULL`,
    `ip_address = '192.0.2.7/24'`,
    `request_id = gen_random_uuid()`,
    `user_id = gen_random_uuid()`,
    `api_key_id = gen_random_uuid()`,
    `flag_id = gen_random_uuid()`,
    `id = gen_random_uuid()`,
    `created_at = created_at + interval '1 microsecond'`,
    `hash = repeat('a', 64)`,
    `previous_hash = repeat('a', 64)`,
    `after_value = '1e400'`,
  ])('names the row where %s was set', async (change) => {
    await tamper(`UPDATE audit_logs SET ${change} WHERE chain_position = 6`);
    const found = await check();
    expect(found).toMatchObject({
      intact: false,
      checked: 5,
      fault: expect.stringContaining('position 6 does not have the hash'),
      headHash: null,
    });
    const now = await prisma().$queryRaw`SELECT id FROM audit_logs WHERE chain_position = 6`;
    expect([{ id: found.firstBrokenId }]).toEqual(now);
  });

  test('names a row that was changed together with its hash, in the middle and at the end', async () => {
    for (const position of [12, 6, 1]) {
      const { previousHash, hash: _, ...content } = row(position);
      await tamper(
        `UPDATE audit_logs SET action = 'KILL_SWITCH', hash = '${auditHash(previousHash, { ...content, action: 'KILL_SWITCH' })}' WHERE chain_position = ${position}`,
      );
      expect(await check()).toMatchObject(
        broken(position, position === 12 ? 'not the one at which the chain ends' : 'changed together with its hash'),
      );
    }
  });

  test.each([
    [[6], 7, 6],
    [[6, 7, 8], 9, 6],
    [[1], 2, 1],
  ])('names the row after missing ones: %j', async (missing, named, from) => {
    await tamper(`DELETE FROM audit_logs WHERE chain_position IN (${missing.join()})`);
    expect(await check()).toMatchObject(broken(named, `missing from position ${from} on`));
  });

  test('names the last remaining row when the end was cut off, even when nothing is left', async () => {
    await tamper('DELETE FROM audit_logs WHERE chain_position > 9');
    expect(await check()).toMatchObject(broken(9, 'the chain goes on to 12'));
    await tamper('DELETE FROM audit_logs');
    expect(await check()).toMatchObject(broken(null, 'the chain goes on to 12'));
  });

  test('says what is wrong with a chain whose end or beginning cannot be read, and does not fail', async () => {
    await tamper('DELETE FROM audit_chain');
    expect(await check()).toMatchObject(broken(null, 'its row in audit_chain was removed'));
    await tamper(
      `INSERT INTO audit_chain (id, position, hash) VALUES (1, 12, '${row(12).hash}')`,
      `UPDATE audit_logs SET action = 'DETACH_PARTITION', after_value = '{"lastPosition": "x"}' WHERE chain_position = 3`,
    );
    expect(await check()).toMatchObject(broken(3, 'does not have the hash'));
  });

  test('detects a beginning that was cut off without a detached partition', async () => {
    await tamper('DELETE FROM audit_logs WHERE chain_position <= 4');
    expect(await check()).toMatchObject({ ...broken(5, 'missing from position 1 on'), checked: 0 });
  });

  const [lowestId, highestId] = ['00000000-0000-4000-8000-000000000000', 'ffffffff-ffff-4fff-bfff-ffffffffffff'];
  test.each([1, 6, 12].flatMap((position) => [lowestId, highestId].map((id) => [position, id] as const)))(
    'names a row that was inserted beside the genuine one at position %d, also where it is read first (%s)',
    async (position, id) => {
      await tamper(insertion(row(position), { id, action: 'KILL_SWITCH' }));
      expect(await check()).toMatchObject({ intact: false, firstBrokenId: id });
    },
  );

  test('names an inserted row whose previous hash does not exist, and one beyond the end', async () => {
    const [one, two] = [randomUUID(), randomUUID()];
    await tamper(insertion(row(6), { id: one, previousHash: 'c'.repeat(64) }));
    expect(await check()).toMatchObject({ intact: false, firstBrokenId: one });
    await tamper(
      `DELETE FROM audit_logs WHERE id = '${one}'`,
      insertion(row(12), { id: two, position: 13, previousHash: row(12).hash }),
    );
    expect(await check()).toMatchObject({
      intact: false,
      firstBrokenId: two,
      fault: expect.stringContaining('beyond the end'),
    });
  });

  test('detects rows that changed places', async () => {
    await tamper('UPDATE audit_logs SET chain_position = 13 - chain_position WHERE chain_position IN (6, 7)');
    expect(await check()).toMatchObject({ intact: false, checked: 5, firstBrokenId: row(7).id });
  });

  test('reads pages, each after the one before', async () => {
    await prisma().$transaction(async (tx) => {
      for (let count = 0; count < 450; count++)
        await appendAudit(tx, identityOf(ANONYMOUS), { action: 'UPDATE_FLAG', after: count });
    });
    expect(await check()).toMatchObject({ intact: true, checked: 462 });
    await tamper('DELETE FROM audit_logs WHERE chain_position = 400');
    expect(await check()).toMatchObject({ intact: false, checked: 399 });
  });

  test('ignores rows that are appended meanwhile', async () => {
    const writing = (async () => {
      for (let count = 0; count < 60; count++)
        await prisma().$transaction((tx) =>
          appendAudit(tx, identityOf(ANONYMOUS), { action: 'UPDATE_FLAG', after: count }),
        );
    })();
    for (let count = 0; count < 20; count++) expect(await check()).toMatchObject({ intact: true });
    await writing;
  });
});

test('a check ends when the process stops, and those who wait for it learn that it is not finished', async () => {
  const checks = new IntegrityChecks(prisma());
  const waiting = checks.check(WHOLE);
  checks.close();
  await expect(waiting).rejects.toMatchObject({ code: 'SERVICE_UNAVAILABLE' });
});

describe('the check of a period', () => {
  test("recomputes the rows of the period and gives the last one's hash", async () => {
    expect(await check({ from: at(4), to: at(9) })).toEqual({
      intact: true,
      checked: 5,
      firstBrokenId: null,
      fault: null,
      headHash: row(8).hash,
    });
    expect(await check({ to: at(4) })).toMatchObject({ intact: true, checked: 3, headHash: row(3).hash });
    expect(await check({ from: at(9) })).toMatchObject({ intact: true, checked: 4, headHash: row(12).hash });
    expect(await check({ from: at(4), to: at(4) })).toMatchObject({ intact: true, checked: 0, headHash: null });
  });

  test('ignores damage outside of the period', async () => {
    await tamper('UPDATE audit_logs SET user_agent = NULL WHERE chain_position IN (1, 12)');
    expect(await check({ from: at(4), to: at(9) })).toMatchObject({ intact: true, checked: 5 });
  });

  test.each([4, 6, 8])(
    "detects that the row at position %d is missing, even at the period's edges",
    async (position) => {
      await tamper(`DELETE FROM audit_logs WHERE chain_position = ${position}`);
      expect(await check({ from: at(4), to: at(9) })).toMatchObject(broken(position + 1, 'missing'));
    },
  );

  test('detects that all its rows are missing', async () => {
    await tamper('DELETE FROM audit_logs WHERE chain_position BETWEEN 4 AND 8');
    expect(await check({ from: at(4), to: at(9) })).toMatchObject(broken(9, 'missing from position 4 on'));
  });

  test.each([
    ['-10 minutes', 5],
    ['10 minutes', 5],
  ])('detects a row that was moved out of the period by %s', async (by, position) => {
    await tamper(`UPDATE audit_logs SET created_at = created_at + interval '${by}' WHERE chain_position = ${position}`);
    expect(await check({ from: at(4), to: at(9) })).toMatchObject(broken(position, 'does not have the hash'));
  });
});

describe('Query.auditIntegrity', () => {
  let ask: Ask;
  let close: () => Promise<void>;
  const QUERY =
    'query ($from: DateTime, $to: DateTime) { auditIntegrity(from: $from, to: $to) { intact checked firstBrokenId fault headHash } }';

  beforeAll(async () => {
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
  });
  afterAll(() => close());

  test('is for people with SAFETY or ADMIN and keys with ADMIN, and refused to all others, vehicles included', async () => {
    for (const caller of [
      user('SAFETY'),
      user('ADMIN'),
      { kind: 'apiKey', apiKeyId: randomUUID(), role: 'ADMIN', rateLimitPerMin: null } as const,
    ]) {
      expect(await ask(caller, QUERY)).toEqual({
        data: {
          auditIntegrity: { intact: true, checked: 12, firstBrokenId: null, fault: null, headHash: row(12).hash },
        },
        errors: [],
      });
    }
    for (const caller of [
      user('READ'),
      user('WRITE'),
      { kind: 'apiKey', apiKeyId: randomUUID(), role: 'READ', rateLimitPerMin: null } as const,
      { kind: 'vehicle', vin: 'KMHK281HGNU000001', environment: 'production' } as const,
    ]) {
      expect(refusal(await ask(caller, QUERY))).toEqual({ code: 'FORBIDDEN' });
    }
  });

  test('takes a period, and refuses an impossible one', async () => {
    expect((await ask(user('ADMIN'), QUERY, { from: at(4), to: at(9) })).data).toMatchObject({
      auditIntegrity: { checked: 5 },
    });
    expect(refusal(await ask(user('ADMIN'), QUERY, { from: at(9), to: at(4) }))).toEqual({
      code: 'BAD_USER_INPUT',
      field: 'to',
    });
    // Not a valid time: the gateway reports its field before a subgraph is called.
    expect(refusal(await ask(user('ADMIN'), QUERY, { from: '0000-01-01T00:00:00Z' }))).toEqual({
      code: 'BAD_USER_INPUT',
    });
  });

  test('runs once for all concurrent callers of one period, refuses other periods meanwhile, and is free again afterwards', async () => {
    const checks = new IntegrityChecks(prisma());
    const [one, two] = [checks.check(WHOLE), checks.check(WHOLE)];
    await expect(checks.check({ from: at(4), to: null })).rejects.toMatchObject({
      code: 'RATE_LIMITED',
      details: { retryAfter: 10 },
    });
    expect(await one).toBe(await two);
    expect(await checks.check({ from: at(4), to: null })).toMatchObject({ checked: 9 });
    await tamper('ALTER TABLE audit_chain RENAME TO elsewhere');
    await expect(checks.check(WHOLE)).rejects.toThrow();
    await tamper('ALTER TABLE elsewhere RENAME TO audit_chain');
    expect(await checks.check(WHOLE)).toMatchObject({ intact: true });
  });
});

describe('after partitions were detached', () => {
  // Each partition has its own month, because its rows leave the table.
  test('the rest of the log is intact from its recorded beginning, until that beginning is cut off', async () => {
    const [last] = rows.slice(-1);
    const nextMonth = new Date(new Date(last?.createdAt ?? '').getTime() + 35 * 24 * 3_600_000);
    await prisma().$executeRaw`UPDATE audit_chain SET last_at = ${nextMonth}`;
    for (const after of ['a', 'b'])
      await prisma().$transaction((tx) => appendAudit(tx, identityOf(ANONYMOUS), { action: 'UPDATE_FLAG', after }));
    const later = new Date(Date.UTC(nextMonth.getUTCFullYear() + 7, nextMonth.getUTCMonth(), 1));
    const { detached } = await maintainAuditPartitions(prisma(), later);
    expect(detached.at(-1)).toBe(`audit_logs_${row(1).createdAt.slice(0, 7).replace('-', '_')}`);

    // 'a', 'b' and the detached partitions: the month of the rows, and the empty ones before it.
    expect(await check()).toMatchObject({ intact: true, checked: 2 + detached.length });
    expect(await check({ from: at(1), to: at(5) })).toMatchObject({ intact: true, checked: 0 });
    expect(await check({ from: at(1) })).toMatchObject({ intact: true, checked: 2 + detached.length });

    await tamper(insertion(row(12), { createdAt: nextMonth.toISOString() }));
    expect(await check()).toMatchObject(broken(12, 'belongs to a detached partition'));
    await tamper(
      `DELETE FROM audit_logs WHERE chain_position = 12`,
      `DELETE FROM audit_logs WHERE chain_position = 13`,
    );
    expect(await check()).toMatchObject({
      intact: false,
      fault: expect.stringContaining('missing from position 13 on'),
    });
  });
});
