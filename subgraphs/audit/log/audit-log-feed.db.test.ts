import { randomUUID } from 'node:crypto';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import type { SubgraphStream } from '../../../core/wire/subgraph/subgraph.ts';
import { AUDIT_LOG_APPENDED, appendAudit } from '../../shared/audit/audit-log.ts';
import { createInProcessBus } from '../../shared/feeds/bus.ts';
import type { FeedStream } from '../../shared/feeds/feed-subscription.ts';
import { connectInProcess } from '../../shared/subgraph/in-process-connection.ts';
import { createInProcessStore } from '../../shared/stores/key-value-store.ts';
import { createInProcessRateLimiter } from '../../shared/stores/rate-limiter.ts';
import { ANONYMOUS, identityOf, silent, user } from '../../shared/testing/asking.ts';
import { eventually } from '../../../core/testing/eventually.ts';
import { createTestDatabase, type TestDatabase } from '../../shared/testing/test-database.ts';
import { watchDatabase, type WatchedDatabase } from '../../shared/testing/watched-database.ts';
import { startAudit } from '../subgraph.ts';
import { AuditLogFeed } from './audit-log-feed.ts';
import type { StoredAuditEntry } from './audit-log-store.ts';
import { endNoPlans } from '../../shared/testing/no-plans.ts';
import { testWebhookSettings } from '../../shared/testing/webhook-settings.ts';

let database: TestDatabase;
/** The database through which the feed reads; its statements are visible, and it can be cut off. */
let watched: WatchedDatabase;
let feed: AuditLogFeed;
const bus = createInProcessBus();

beforeAll(async () => {
  database = await createTestDatabase();
  watched = await watchDatabase(database.url);
});
afterAll(async () => {
  await watched.close();
  await database.drop();
});
beforeEach(async () => {
  feed = new AuditLogFeed(watched.prisma, bus, silent);
  await feed.start();
});
afterEach(() => feed.close());

const prisma = () => database.database.prisma;
/** Appends an entry for each label, in one transaction. */
async function appendUnannounced(...labels: (string | number)[]): Promise<void> {
  await prisma().$transaction(
    async (tx) => {
      for (const label of labels) await appendAudit(tx, identityOf(ANONYMOUS), { action: 'UPDATE_FLAG', after: label });
    },
    // Hundreds of statements, one after the other, on a busy machine.
    { timeout: 60_000 },
  );
}
async function append(...labels: (string | number)[]): Promise<void> {
  await appendUnannounced(...labels);
  await bus.publish(AUDIT_LOG_APPENDED, '');
}
const head = async () => Number((await prisma().auditChain.findFirstOrThrow()).position);

async function take(entries: FeedStream<StoredAuditEntry>, count: number): Promise<unknown[]> {
  const taken: unknown[] = [];
  let position = 0;
  while (taken.length < count) {
    const result = await entries.next();
    if (result.done === true) throw new Error('the feed has ended');
    const { value } = result;
    expect(value.position).toBeGreaterThan(position);
    position = value.position;
    taken.push(value.afterValue);
  }
  return taken;
}

const reads = (table: string) => watched.statements.filter(({ query }) => query.includes(`FROM ${table}`)).length;

describe('the feed of the audit log', () => {
  test('delivers every entry that is appended after it was established, in order, once each', async () => {
    await appendUnannounced('before');
    const entries = feed.subscribe('now');
    await entries.established;
    await appendUnannounced('a', 'b');
    expect(await take(entries, 2)).toEqual(['a', 'b']);
    await append('c');
    expect(await take(entries, 1)).toEqual(['c']);
  });

  test('loses no entry of many concurrent writers', async () => {
    const entries = feed.subscribe('now');
    await entries.established;
    const labels = Array.from({ length: 30 }, (_, index) => index);
    await Promise.all(labels.map((label) => append(label)));
    expect((await take(entries, 30)).sort((a, b) => Number(a) - Number(b))).toEqual(labels);
  });

  test('continues from any position, through more entries than it caches, and then with new ones', async () => {
    const from = await head();
    const labels = Array.from({ length: 450 }, (_, index) => index);
    await append(...labels);
    const [first, second] = [feed.subscribe(from), feed.subscribe(from + 100)];
    expect(await take(first, 450)).toEqual(labels);
    expect(await take(second, 350)).toEqual(labels.slice(100));
    await append('new');
    expect([await take(first, 1), await take(second, 1)]).toEqual([['new'], ['new']]);
  });

  test('gives a slow subscription everything, though the feed is far ahead', async () => {
    const [slow, quick] = [feed.subscribe('now'), feed.subscribe('now')];
    await Promise.all([slow.established, quick.established]);
    const labels = Array.from({ length: 450 }, (_, index) => index);
    for (let from = 0; from < 450; from += 150) {
      await append(...labels.slice(from, from + 150));
      await take(quick, 150);
    }
    expect(await take(slow, 450)).toEqual(labels);
  });

  test('reads once for all subscriptions, and not at all without any', async () => {
    const followers = Array.from({ length: 20 }, () => feed.subscribe('now'));
    await Promise.all(followers.map(({ established }) => established));
    const before = reads('audit_logs');
    await append('shared');
    for (const entries of followers) expect(await take(entries, 1)).toEqual(['shared']);
    expect(reads('audit_logs') - before).toBe(1);
    await Promise.all(followers.map((entries) => entries.return()));
    // A poll in progress may still end.
    await feed.refresh();
    const after = watched.statements.length;
    await bus.publish(AUDIT_LOG_APPENDED, '');
    await new Promise((resolve) => setImmediate(resolve));
    expect(watched.statements.length).toBe(after);
  });

  test('reads at once when the bus announces new entries', async () => {
    const entries = feed.subscribe('now');
    await entries.established;
    const next = take(entries, 1);
    await appendUnannounced('announced');
    const before = reads('audit_chain');
    for (let times = 0; times < 10; times++) await bus.publish(AUDIT_LOG_APPENDED, '');
    expect(await next).toEqual(['announced']);
    // Ten announcements cause one read, and one more for those during it. The refresh here and polls may add three.
    await feed.refresh();
    expect(reads('audit_chain') - before).toBeLessThanOrEqual(5);
  });

  test('ends its streams when it closes, and later ones at once', async () => {
    const entries = feed.subscribe('now');
    const pending = entries.next();
    await entries.established;
    await feed.close();
    expect(await pending).toEqual({ done: true, value: undefined });
    expect(await feed.subscribe(0).next()).toEqual({ done: true, value: undefined });
  });

  test('ends a stream at once when its reader leaves while nothing arrives, and continues the others', async () => {
    const [leaving, staying] = [feed.subscribe('now'), feed.subscribe('now')];
    await Promise.all([leaving.established, staying.established]);
    const pending = leaving.next();
    await leaving.return();
    expect(await pending).toEqual({ done: true, value: undefined });
    await append('later');
    expect(await take(staying, 1)).toEqual(['later']);
  });

  test('continues where it was after the database was down, even for a reader that was catching up', async () => {
    const from = await head();
    const [live, late] = [feed.subscribe('now'), feed.subscribe(from)];
    await live.established;
    watched.proxy.sever();
    await append('x', 'y');
    await expect(feed.refresh()).rejects.toThrow();
    await expect(feed.subscribe('now').established).rejects.toThrow();
    watched.proxy.restore();
    expect([await take(live, 2), await take(late, 2)]).toEqual([
      ['x', 'y'],
      ['x', 'y'],
    ]);
  });

  test('follows a database that was restored from a backup', async () => {
    const entries = feed.subscribe('now');
    await entries.established;
    await append('lost');
    expect(await take(entries, 1)).toEqual(['lost']);
    const [last] = await prisma().$queryRaw<
      { previous_hash: string }[]
    >`SELECT previous_hash FROM audit_logs ORDER BY chain_position DESC LIMIT 1`;
    await prisma().$transaction(async (tx) => {
      await tx.$executeRaw`SET LOCAL session_replication_role = replica`;
      await tx.$executeRaw`DELETE FROM audit_logs WHERE chain_position = (SELECT position FROM audit_chain)`;
      await tx.$executeRaw`UPDATE audit_chain SET position = position - 1, hash = ${last?.previous_hash ?? ''}`;
    });
    await feed.refresh();
    await append('in its place');
    expect(await take(entries, 1)).toEqual(['in its place']);
  });
});

describe('Subscription.auditTrail', () => {
  let subscription: SubgraphStream;
  const QUERY = 'subscription { auditTrail { id action afterValue user { name } createdAt hash } }';

  test("delivers each entry to callers who may read the audit log, with people's current data", async () => {
    const started = await startAudit({
      webhooks: testWebhookSettings,
      endPlans: endNoPlans,
      prisma: prisma(),
      sessions: createInProcessStore(),
      bus,
      limiter: createInProcessRateLimiter(),
      checkOperation: () => [],
      logger: silent,
    });
    try {
      const { id } = await prisma().user.create({
        data: { email: `${randomUUID()}@example.com`, name: 'Ann', passwordHash: '-', role: 'WRITE' },
      });
      const connection = connectInProcess(started.subgraph, async () => true);
      subscription = connection.subscribe({ query: QUERY, identity: identityOf(user('READ')) });
      await subscription.established;
      for (const name of ['Ann', 'Ann Other']) {
        await prisma().user.update({ where: { id }, data: { name } });
        await prisma().$transaction((tx) =>
          appendAudit(tx, identityOf(user('WRITE', id)), { action: 'UPDATE_USER', after: { name } }),
        );
        const { value } = (await subscription.next()) as { value: unknown };
        expect(value).toEqual({
          data: {
            auditTrail: expect.objectContaining({ action: 'UPDATE_USER', afterValue: { name }, user: { name } }),
          },
        });
      }
      await subscription.return?.();

      const refused = connection.subscribe({
        query: QUERY,
        identity: identityOf({ kind: 'vehicle', vin: 'KMH00000000000001', environment: 'staging' }),
      });
      expect((await refused.next()).value).toMatchObject({ errors: [{ extensions: { code: 'FORBIDDEN' } }] });
    } finally {
      await started.close();
    }
  });

  test('is refused as unavailable while the database is down, and ends when the subgraph stops', async () => {
    const started = await startAudit({
      webhooks: testWebhookSettings,
      endPlans: endNoPlans,
      prisma: watched.prisma,
      sessions: createInProcessStore(),
      bus,
      limiter: createInProcessRateLimiter(),
      checkOperation: () => [],
      logger: silent,
    });
    const connection = connectInProcess(started.subgraph, async () => true);
    watched.proxy.sever();
    const refused = connection.subscribe({ query: QUERY, identity: identityOf(user('READ')) });
    expect((await refused.next()).value).toMatchObject({ errors: [{ extensions: { code: 'SERVICE_UNAVAILABLE' } }] });
    watched.proxy.restore();
    await eventually(() =>
      watched.prisma.$queryRaw`SELECT 1`.then(
        () => true,
        () => false,
      ),
    );
    subscription = connection.subscribe({ query: QUERY, identity: identityOf(user('READ')) });
    await subscription.established;
    const pending = subscription.next();
    await started.close();
    expect(await pending).toMatchObject({ done: true });
  });
});
