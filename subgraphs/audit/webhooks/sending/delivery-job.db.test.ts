import { randomUUID } from 'node:crypto';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { newWebhookSeed } from '../../../../core/credentials/webhook-secret.ts';
import { appendAudit } from '../../../shared/audit/audit-log.ts';
import { createInProcessBus } from '../../../shared/feeds/bus.ts';
import { identityOf, silent, user } from '../../../shared/testing/asking.ts';
import { createTestDatabase, type TestDatabase } from '../../../shared/testing/test-database.ts';
import { testWebhookSettings } from '../../../shared/testing/webhook-settings.ts';
import { notifyWebhooks } from '../../../shared/webhooks/outbox.ts';
import { WEBHOOK_KINDS } from '../../../shared/webhooks/webhook-event.ts';
import { messageIdOf } from '../webhook.ts';
import { holds, Receiver, verified } from '../testing/receiver.ts';
import { deleteWebhook, lockWebhook } from '../webhook-store.ts';
import { AddressPolicy } from './address-policy.ts';
import { DeliveryJob } from './delivery-job.ts';
import { leaseDue } from './delivery-leases.ts';

let database: TestDatabase;
let receiver: Receiver;
const jobs: DeliveryJob[] = [];
const prisma = () => database.database.prisma;
const { secrets, allowedAddresses } = testWebhookSettings;

beforeAll(async () => {
  database = await createTestDatabase();
});
beforeEach(async () => {
  receiver = await Receiver.start();
  await prisma().webhook.deleteMany();
});
afterEach(async () => {
  await receiver.close();
  await Promise.all(jobs.splice(0).map((job) => job.close()));
});
afterAll(() => database.drop());

async function start(timeoutMs = 5_000): Promise<DeliveryJob> {
  const policy = new AddressPolicy(allowedAddresses);
  const job = new DeliveryJob({
    prisma: prisma(),
    bus: createInProcessBus(),
    secrets,
    policy,
    logger: silent,
    timeoutMs,
  });
  await job.start();
  jobs.push(job);
  return job;
}

/** Makes a webhook for all events whose receiver answers under a path of its own. */
async function webhook(path = '/hooks', data: object = {}) {
  const row = await prisma().webhook.create({
    data: {
      ...{ name: path, url: new URL(path, receiver.url).href, kinds: [...WEBHOOK_KINDS], offlinePercent: 50 },
      ...{ secretSeed: newWebhookSeed(), ...data },
    },
  });
  return { ...row, secret: secrets.secretOf(row.secretSeed) };
}
const happen = (fault = 'x') =>
  prisma().$transaction((tx) => notifyWebhooks(tx, 'audit.chain_broken', { auditLogId: null, fault }));
const deliveries = (where: object = {}) => prisma().webhookDelivery.findMany({ where, orderBy: { createdAt: 'asc' } });
const statuses = async (where: object = {}) => (await deliveries(where)).map(({ status }) => status);
const due = (where: object = {}) =>
  prisma().webhookDelivery.updateMany({ where: { status: 'pending', ...where }, data: { nextAttemptAt: new Date(0) } });

describe('a delivery', () => {
  test('is sent with what happened, signed, and marked', async () => {
    const { secret } = await webhook();
    await start();
    await happen('The row at position 7 does not have the hash of its content.');
    await holds(async () => expect(await statuses()).toEqual(['delivered']));
    const [row] = await deliveries();
    const [message, ...others] = receiver.received;
    expect(others).toEqual([]);
    expect(verified(secret, message!)).toEqual({
      type: 'audit.chain_broken',
      timestamp: row?.createdAt.toISOString(),
      data: { auditLogId: null, fault: 'The row at position 7 does not have the hash of its content.' },
    });
    expect(message?.headers['webhook-id']).toBe(messageIdOf(row?.id ?? ''));
    expect(row).toMatchObject({ attempts: 1, lastStatus: 204, lastFault: null, lease: null });
  });

  test('is never sent for what was rolled back', async () => {
    await webhook();
    const failing = prisma().$transaction(async (tx) => {
      await notifyWebhooks(tx, 'audit.chain_broken', { auditLogId: null, fault: 'x' });
      throw new Error('rolled back');
    });
    await expect(failing).rejects.toThrow('rolled back');
    expect(await deliveries()).toEqual([]);
  });

  test('is signed under both secrets while one is being rotated, and under the new one alone afterwards', async () => {
    const previousSecretSeed = newWebhookSeed();
    const { id, secret } = await webhook('/hooks', { previousSecretSeed, previousSecretUntil: new Date('2040-01-01') });
    await start();
    await happen();
    await holds(() => expect(receiver.received).toHaveLength(1));
    const previous = secrets.secretOf(previousSecretSeed);
    for (const one of [secret, previous]) expect(verified(one, receiver.received[0]!).type).toBe('audit.chain_broken');
    await prisma().webhook.update({ where: { id }, data: { previousSecretUntil: new Date(0) } });
    await happen();
    await holds(() => expect(receiver.received).toHaveLength(2));
    expect(verified(secret, receiver.received[1]!).type).toBe('audit.chain_broken');
    expect(() => verified(previous, receiver.received[1]!)).toThrow('No matching signature');
  });

  test('that fails is sent again under the same id, until it is accepted', async () => {
    const { id } = await webhook();
    receiver.answer = (response) => void response.writeHead(receiver.received.length < 3 ? 500 : 200).end();
    const job = await start();
    await happen();
    for (const attempts of [1, 2]) {
      await holds(async () => expect(await deliveries()).toMatchObject([{ attempts, lease: null, lastStatus: 500 }]));
      const [row] = await deliveries();
      expect(row?.nextAttemptAt?.getTime()).toBeGreaterThan(Date.now());
      expect(await prisma().webhook.findUnique({ where: { id } })).toMatchObject({ failingSince: expect.any(Date) });
      await due();
      job.wake();
    }
    await holds(async () => expect(await statuses()).toEqual(['delivered']));
    expect(new Set(receiver.received.map(({ headers }) => headers['webhook-id'])).size).toBe(1);
    await holds(async () =>
      expect(await prisma().webhook.findUnique({ where: { id } })).toMatchObject({ failingSince: null }),
    );
  });

  test('waits as long as the receiver asks', async () => {
    await webhook();
    receiver.answer = (response) => void response.writeHead(503, { 'retry-after': '3600' }).end();
    await start();
    await happen();
    await holds(async () => expect(await deliveries()).toMatchObject([{ attempts: 1, lease: null }]));
    const [row] = await deliveries();
    expect((row?.nextAttemptAt?.getTime() ?? 0) - Date.now()).toBeGreaterThan(3_500_000);
  });

  test('of a kind that only a newer version knows is left to that one, and stops no other', async () => {
    const { id } = await webhook();
    await prisma().webhookDelivery.create({ data: { webhookId: id, kind: 'something.new', payload: {} } });
    await happen();
    await start();
    await holds(async () => expect(await statuses({ kind: 'audit.chain_broken' })).toEqual(['delivered']));
    expect(await deliveries({ kind: 'something.new' })).toMatchObject([{ status: 'pending', attempts: 0 }]);
  });

  test('whose lease has run out, because its process was killed, is sent by another', async () => {
    const { id } = await webhook();
    const lease = '0198f0aa-0000-4000-8000-000000000000';
    const left = { webhookId: id, kind: 'audit.chain_broken', payload: {}, attempts: 1, lease };
    await prisma().webhookDelivery.create({ data: { ...left, nextAttemptAt: new Date(Date.now() + 60_000) } });
    const job = await start();
    job.wake();
    expect(receiver.received).toEqual([]);
    await due();
    await holds(async () => expect(await deliveries()).toMatchObject([{ status: 'delivered', attempts: 2 }]));
  });
});

test('several instances send each delivery once', async () => {
  await webhook();
  await Promise.all([start(), start(), start()]);
  await Promise.all(Array.from({ length: 20 }, (_, n) => happen(`${n}`)));
  await holds(async () => expect(new Set(await statuses())).toEqual(new Set(['delivered'])));
  expect(receiver.received).toHaveLength(20);
});

test('the places of a webhook are counted right by an instance whose statement began before the lease of another', async () => {
  await webhook();
  for (let n = 0; n < 6; n++) await happen();
  const lease = (db: Parameters<typeof leaseDue>[0]) => leaseDue(db, randomUUID(), 60_000);
  await prisma().$transaction(async (tx) => {
    // The transaction's now() is fixed from here on.
    await tx.$queryRaw`SELECT now()`;
    expect(await lease(prisma())).toHaveLength(2);
    expect(await lease(tx)).toEqual([]);
  });
});

test('a receiver that never answers holds up no other, and has two attempts at once', async () => {
  const stuck = await webhook('/stuck');
  await webhook('/quick');
  receiver.answer = (response, { path }) => void (path === '/quick' && response.writeHead(204).end());
  await Promise.all([start(60_000), start(60_000)]);
  for (let n = 0; n < 10; n++) await happen();
  await holds(() => expect(receiver.at('/quick')).toHaveLength(10));
  await holds(() => expect(receiver.at('/stuck')).toHaveLength(2));
  expect(await statuses({ webhookId: stuck.id })).toEqual(Array(10).fill('pending'));
});

describe('a webhook is disabled', () => {
  const disabledOf = (id: string) => prisma().webhook.findUniqueOrThrow({ where: { id } });

  test('when its last attempt fails after days without a success, with an audit entry, and others get that', async () => {
    const { id } = await webhook('/dead', { failingSince: new Date(Date.now() - 4 * 24 * 3_600_000) });
    const other = await webhook('/other', { kinds: ['webhook.disabled'] });
    receiver.answer = (response, { path }) => void response.writeHead(path === '/dead' ? 404 : 204).end();
    await happen();
    await prisma().webhookDelivery.updateMany({ data: { attempts: 9 } });
    await start();
    await holds(async () => expect((await disabledOf(id)).enabled).toBe(false));
    expect((await disabledOf(id)).disabledReason).toContain('The receiver answered 404.');
    await holds(() => expect(receiver.at('/other')).toHaveLength(1));
    const data = { webhookId: id, name: '/dead', reason: (await disabledOf(id)).disabledReason };
    expect(verified(other.secret, receiver.at('/other')[0]!)).toMatchObject({ type: 'webhook.disabled', data });
    const [entry] = await prisma().auditLog.findMany({ where: { action: 'DISABLE_WEBHOOK' } });
    expect(entry).toMatchObject({ userId: null, userAgent: 'FleetFlag webhooks', afterValue: { id, enabled: false } });
    // What happens from now on is not kept for it.
    await happen();
    expect(await statuses({ webhookId: id })).toEqual(['failed']);
  });

  test('when it answers 410, and not when one message fails while others succeed', async () => {
    const gone = await webhook('/gone');
    const choosy = await webhook('/choosy');
    receiver.answer = (response, { path }) => void response.writeHead(path === '/gone' ? 410 : 400).end();
    await happen();
    await prisma().webhookDelivery.updateMany({ data: { attempts: 9 } });
    await start();
    await holds(async () => expect((await disabledOf(gone.id)).disabledReason).toContain('410'));
    await holds(async () => expect(await statuses({ webhookId: choosy.id })).toContain('failed'));
    expect((await disabledOf(choosy.id)).enabled).toBe(true);
  });
});

test('a test is sent once, to a disabled webhook as well, and says nothing about its health', async () => {
  const { id } = await webhook('/hooks', { enabled: false });
  receiver.answer = (response) => void response.writeHead(410).end();
  await start();
  await prisma().webhookDelivery.create({ data: { webhookId: id, kind: 'webhook.test', payload: { webhookId: id } } });
  await prisma().webhookDelivery.create({ data: { webhookId: id, kind: 'rollout.finished', payload: {} } });
  await holds(async () => expect((await statuses()).sort()).toEqual(['failed', 'pending']));
  expect(receiver.received).toHaveLength(1);
  expect(await prisma().webhook.findUnique({ where: { id } })).toMatchObject({ failingSince: null });
});

test('a webhook is deleted while a failed attempt is being noted, without a deadlock', async () => {
  const { id } = await webhook();
  let fail = () => {};
  receiver.answer = (response) => (fail = () => void response.writeHead(500).end());
  await start();
  await happen();
  await holds(() => expect(receiver.received).toHaveLength(1));
  await prisma().$transaction(async (tx) => {
    // So that this transaction, and not the other one, is ended by a deadlock.
    await tx.$executeRaw`SET LOCAL deadlock_timeout = '10ms'`;
    await lockWebhook(tx, id);
    fail();
    // Other suites wait for locks of their own databases at the same server.
    await holds(async () =>
      expect(
        await prisma()
          .$queryRaw`SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`,
      ).not.toEqual([]),
    );
    await deleteWebhook(tx, id);
  });
  expect(await statuses()).toEqual(['cancelled']);
});

test('a shutdown gives an attempt in progress to the next instance at once', async () => {
  await webhook();
  receiver.answer = () => undefined;
  const job = await start(60_000);
  await happen();
  await holds(() => expect(receiver.received).toHaveLength(1));
  await job.close();
  expect(await deliveries()).toMatchObject([{ status: 'pending', lease: null, attempts: 0 }]);
  receiver.answer = (response) => void response.writeHead(204).end();
  await start();
  await holds(async () => expect(await statuses()).toEqual(['delivered']));
});

test('an audit row about no event writes no delivery', async () => {
  await webhook();
  await prisma().$transaction((tx) => appendAudit(tx, identityOf(user('ADMIN')), { action: 'SIGN_IN', after: {} }));
  expect(await deliveries()).toEqual([]);
});
