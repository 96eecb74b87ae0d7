import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { eventually } from '../../../../core/testing/eventually.ts';
import type { PrismaClient } from '../../../../prisma/generated/client.ts';
import { silent } from '../../../shared/testing/asking.ts';
import { createTestDatabase, type TestDatabase } from '../../../shared/testing/test-database.ts';
import { watchDatabase } from '../../../shared/testing/watched-database.ts';
import { WEBHOOK_PAYLOADS, type WebhookKind } from '../../../shared/webhooks/webhook-event.ts';
import { lockWebhook, updateWebhook } from '../webhook-store.ts';
import type { WebhookSettings } from '../webhook.ts';
import { CheckJob } from './check-job.ts';
import { checkApiKeys, checkAuditChain, checkFleet, removeOldDeliveries } from './checks.ts';

const HOUR_MS = 3_600_000;
let database: TestDatabase;
const prisma = () => database.database.prisma;

beforeAll(async () => {
  database = await createTestDatabase();
});
beforeEach(async () => {
  await prisma().webhook.deleteMany();
  await prisma().apiKey.deleteMany();
  await prisma().vehicle.deleteMany();
});
afterAll(() => database.drop());

const webhook = (kinds: WebhookKind[], data: object = {}) =>
  prisma().webhook.create({
    data: {
      name: 'W',
      url: 'https://receiver.invalid',
      kinds,
      offlinePercent: 50,
      secretSeed: 's'.repeat(43),
      ...data,
    },
  });

/** The payloads of all deliveries, oldest first. Each has exactly the members of its kind. */
async function payloads(webhookId?: string): Promise<unknown[]> {
  const where = webhookId === undefined ? {} : { webhookId };
  const rows = await prisma().webhookDelivery.findMany({ where, orderBy: [{ createdAt: 'asc' }] });
  for (const { kind, payload } of rows)
    expect(Object.keys(payload as object).sort()).toEqual(Object.keys(WEBHOOK_PAYLOADS[kind as WebhookKind]).sort());
  return rows.map(({ payload }) => payload);
}

const settingsOf = ({ name, url, kinds, environments, offlinePercent, enabled }: WebhookSettings): WebhookSettings => ({
  ...{ name, url, kinds, environments, offlinePercent, enabled },
});

describe('an API key', () => {
  const key = (name: string, expiresAt: Date | null, isActive = true) =>
    prisma().apiKey.create({ data: { name, keyHash: name, keyPrefix: 'ff_', role: 'READ', expiresAt, isActive } });
  const inHours = (hours: number) => new Date(Date.now() + hours * HOUR_MS);

  test('is announced once within 7 days of its expiry, and once within 1 day', async () => {
    await webhook(['api_key.expiring']);
    const { id, expiresAt } = await key('soon', inHours(100));
    await Promise.all([
      ...[key('later', inHours(200)), key('never', null), key('over', inHours(-1)), key('revoked', inHours(5), false)],
    ]);
    for (let n = 0; n < 3; n++) await checkApiKeys(prisma());
    const announced = { apiKeyId: id, name: 'soon', expiresAt: expiresAt?.toISOString(), days: 7 };
    expect(await payloads()).toEqual([announced]);
    const last = await prisma().apiKey.update({ where: { id }, data: { expiresAt: inHours(20) } });
    for (let n = 0; n < 3; n++) await checkApiKeys(prisma());
    expect(await payloads()).toEqual([announced, { ...announced, expiresAt: last.expiresAt?.toISOString(), days: 1 }]);
  });

  test('is announced to a webhook that is set later, and by several instances once', async () => {
    await webhook(['kill_switch.pulled']);
    await key('soon', inHours(100));
    await checkApiKeys(prisma());
    expect(await payloads()).toEqual([]);
    await webhook(['api_key.expiring']);
    await Promise.all([checkApiKeys(prisma()), checkApiKeys(prisma())]);
    expect(await payloads()).toHaveLength(1);
  });
});

describe('the fleet', () => {
  const vehicles = (status: string, environment: string | null, from: number, count: number) =>
    prisma().vehicle.createMany({
      data: Array.from({ length: count }, (_, n) => ({
        ...{ vin: `KMHK281HGNU${String(from + n).padStart(6, '0')}`, model: 'EV9', swVersion: '2', region: 'EU' },
        ...{ status, environment },
      })),
    });
  const aMinuteAgo = () =>
    prisma().webhook.updateMany({
      where: { offlineSince: { not: null } },
      data: { offlineSince: new Date(Date.now() - 61_000) },
    });

  test('is reported once its share offline has lasted a minute, and again only after it was below', async () => {
    await webhook(['fleet.offline']);
    await vehicles('online', 'production', 0, 4);
    await vehicles('offline', 'production', 10, 3);
    await vehicles('maintenance', 'production', 20, 5);
    await checkFleet(prisma());
    await prisma().vehicle.updateMany({ where: { vin: 'KMHK281HGNU000000' }, data: { status: 'offline' } });
    await checkFleet(prisma());
    await checkFleet(prisma());
    expect(await payloads()).toEqual([]);
    await aMinuteAgo();
    for (let n = 0; n < 3; n++) await checkFleet(prisma());
    expect(await payloads()).toEqual([{ vehicles: 7, offline: 4, percent: 57.1, thresholdPercent: 50 }]);
    await prisma().vehicle.updateMany({ data: { status: 'online' } });
    await checkFleet(prisma());
    await prisma().vehicle.updateMany({ data: { status: 'offline' } });
    await checkFleet(prisma());
    await aMinuteAgo();
    await Promise.all([checkFleet(prisma()), checkFleet(prisma())]);
    expect(await payloads()).toHaveLength(2);
  });

  test('is judged by the threshold and the environments of each webhook', async () => {
    const staging = await webhook(['fleet.offline'], { environments: ['staging'], offlinePercent: 100 });
    const all = await webhook(['fleet.offline'], { offlinePercent: 90 });
    await vehicles('offline', 'staging', 0, 2);
    await vehicles('online', null, 10, 2);
    await checkFleet(prisma());
    await aMinuteAgo();
    await checkFleet(prisma());
    expect(await payloads(staging.id)).toEqual([{ vehicles: 2, offline: 2, percent: 100, thresholdPercent: 100 }]);
    expect(await payloads(all.id)).toEqual([]);
  });

  test('is reported again to a webhook that then watches other vehicles', async () => {
    const { id } = await webhook(['fleet.offline'], { environments: ['staging'] });
    await vehicles('offline', 'staging', 0, 2);
    await vehicles('offline', 'production', 10, 3);
    const delivered = async () => {
      await checkFleet(prisma());
      await aMinuteAgo();
      await checkFleet(prisma());
      return payloads(id);
    };
    expect(await delivered()).toMatchObject([{ vehicles: 2 }]);
    await prisma().$transaction(async (tx) => {
      const before = await lockWebhook(tx, id);
      await updateWebhook(tx, before!, { ...settingsOf(before!), environments: ['production'] });
    });
    expect(await delivered()).toMatchObject([{ vehicles: 2 }, { vehicles: 3 }]);
    await prisma().$transaction(async (tx) => {
      const before = await lockWebhook(tx, id);
      await updateWebhook(tx, before!, { ...settingsOf(before!), name: 'Another name' });
    });
    expect(await delivered()).toHaveLength(2);
  });

  test('without vehicles is not offline', async () => {
    await webhook(['fleet.offline']);
    await checkFleet(prisma());
    expect(await prisma().webhook.findMany()).toMatchObject([{ offlineSince: null }]);
  });
});

describe('the audit log', () => {
  const broken = {
    intact: false,
    checked: 3,
    firstBrokenId: '0198f0aa-0000-4000-8000-000000000000',
    fault: 'x',
    headHash: null,
  };

  test('is reported where it is broken, once for each row', async () => {
    await webhook(['audit.chain_broken']);
    await checkAuditChain(prisma(), async () => ({ ...broken, intact: true, firstBrokenId: null, fault: null }));
    expect(await payloads()).toEqual([]);
    for (let n = 0; n < 2; n++) await checkAuditChain(prisma(), async () => broken);
    expect(await payloads()).toEqual([{ auditLogId: broken.firstBrokenId, fault: 'x' }]);
  });

  test('is not read where no webhook wants to know', async () => {
    await webhook(['audit.chain_broken'], { enabled: false });
    await checkAuditChain(prisma(), () => Promise.reject(new Error('it was read')));
  });
});

test('deliveries are kept for 30 days, and deleted webhooks as long as their deliveries', async () => {
  const old = new Date(Date.now() - 31 * 24 * HOUR_MS);
  const [kept, gone] = [
    await webhook(['kill_switch.pulled']),
    await webhook(['kill_switch.pulled'], { deletedAt: old }),
  ];
  const delivery = (webhookId: string, createdAt: Date) =>
    prisma().webhookDelivery.create({ data: { webhookId, kind: 'kill_switch.pulled', payload: {}, createdAt } });
  await delivery(gone.id, old);
  await delivery(kept.id, old);
  const { id } = await delivery(kept.id, new Date());
  await removeOldDeliveries(prisma());
  expect((await prisma().webhook.findMany()).map((row) => row.id)).toEqual([kept.id]);
  expect((await prisma().webhookDelivery.findMany()).map((row) => row.id)).toEqual([id]);
});

test('a check runs on one instance at a time, and one that fails stops no other', async () => {
  const ran: string[] = [];
  const check = (name: string, run: () => Promise<void>) => ({ name, intervalSeconds: 60, run });
  const checks = [
    check('one', () => Promise.reject(new Error('it fails'))),
    check('two', async () => void ran.push('two')),
  ];
  const jobs = [1, 2, 3].map(() => new CheckJob(prisma(), checks, silent));
  await Promise.all(jobs.map((job) => job.runDue()));
  expect(ran).toEqual(['two']);
  await prisma().webhookCheck.updateMany({ data: { dueAt: new Date(0) } });
  await Promise.all(jobs.map((job) => job.runDue()));
  expect(ran).toEqual(['two', 'two']);
});

describe('a check that runs seldom', () => {
  const INTERVAL_SECONDS = 6 * 3_600;
  const dueAtMs = async () =>
    (await prisma().webhookCheck.findUniqueOrThrow({ where: { name: 'seldom' } })).dueAt.getTime();
  const jobOf = (db: PrismaClient, run: () => Promise<void>, intervalSeconds = INTERVAL_SECONDS) =>
    new CheckJob(db, [{ name: 'seldom', intervalSeconds, run }], silent);
  beforeEach(() => prisma().webhookCheck.deleteMany());

  test('is due again an interval after its start', async () => {
    await jobOf(prisma(), async () => undefined).runDue();
    expect(Math.abs((await dueAtMs()) - Date.now() - INTERVAL_SECONDS * 1_000)).toBeLessThan(60_000);
  });

  test('is due again within a minute where it fails', async () => {
    await jobOf(prisma(), () => Promise.reject(new Error('another period is being checked'))).runDue();
    expect(await dueAtMs()).toBeLessThanOrEqual(Date.now() + 60_000);
  });

  test('is due again within a minute where the database is lost meanwhile', async () => {
    const watched = await watchDatabase(database.url);
    try {
      const run = async () => {
        watched.proxy.sever();
        await watched.prisma.$queryRaw`SELECT 1`;
      };
      await jobOf(watched.prisma, run).runDue();
    } finally {
      await watched.close();
    }
    expect(await dueAtMs()).toBeLessThanOrEqual(Date.now() + 60_000);
  });

  test('keeps its lease for as long as it runs', async () => {
    let end = () => {};
    const running = jobOf(prisma(), () => new Promise<void>((resolve) => (end = resolve)), 6).runDue();
    const first = await eventually(() => dueAtMs().catch(() => null));
    await eventually(async () => (await dueAtMs()) > first + 1_000);
    let ranElsewhere = false;
    await jobOf(prisma(), async () => void (ranElsewhere = true), 6).runDue();
    expect(ranElsewhere).toBe(false);
    end();
    await running;
  });
});

test('a check that takes long holds up no other', async () => {
  let end = () => {};
  const slow = () => new Promise<void>((resolve) => (end = resolve));
  const ran = new Promise<void>((resolve) => {
    const checks = [
      { name: 'slow', intervalSeconds: 60, run: slow },
      { name: 'quick', intervalSeconds: 60, run: async () => resolve() },
    ];
    void new CheckJob(prisma(), checks, silent).runDue();
  });
  await ran;
  end();
});
