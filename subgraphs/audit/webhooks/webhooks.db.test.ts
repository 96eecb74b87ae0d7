import { afterAll, beforeAll, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { randomUUID } from 'node:crypto';
import type { Caller } from '../../../core/access/caller.ts';
import { testWebhookSettings } from '../../shared/testing/webhook-settings.ts';
import { refusal, user } from '../../shared/testing/asking.ts';
import { AuditUnderTest } from '../testing/audit-under-test.ts';
import { MAX_WEBHOOKS } from './webhook.ts';

interface Webhook {
  id: string;
  name: string;
  url: string;
  kinds: string[];
  environments: string[];
  offlinePercent: number | null;
  enabled: boolean;
  disabledReason: string | null;
  previousSecretUntil: string | null;
  createdBy: { id: string } | null;
}
const FIELDS =
  '{ id name url kinds environments offlinePercent enabled disabledReason failingSince previousSecretUntil createdBy { id } }';
const CREATE = `mutation ($input: CreateWebhookInput!) { createWebhook(input: $input) { secret webhook ${FIELDS} } }`;
const UPDATE = `mutation ($id: ID!, $input: UpdateWebhookInput!) { updateWebhook(id: $id, input: $input) ${FIELDS} }`;
const DELETE = 'mutation ($id: ID!) { deleteWebhook(id: $id) }';
const ROTATE = `mutation ($id: ID!, $hours: Int) { rotateWebhookSecret(id: $id, overlapHours: $hours) { secret webhook ${FIELDS} } }`;
const TEST = 'mutation ($id: ID!) { sendTestWebhook(id: $id) { id kind status payload webhook { id } } }';
const REPLAY = 'mutation ($id: ID!) { replayWebhookDelivery(id: $id) { id messageId status attempts nextAttemptAt } }';
const LIST = `{ webhooks ${FIELDS} }`;
const DELIVERIES = `query ($webhookId: ID, $status: WebhookDeliveryStatus, $first: Int, $after: String) {
  webhookDeliveries(webhookId: $webhookId, status: $status, first: $first, after: $after) {
    totalCount pageInfo { hasNextPage endCursor } nodes { id messageId kind status nextAttemptAt webhook { name } }
  }
}`;

// Nothing answers there, and nothing has to: what is sent is tested in sending/.
const INPUT = { name: 'On call', url: 'https://receiver.invalid/hooks/token', kinds: ['KILL_SWITCH_PULLED'] };

/** Everything but `Date`. */
const REAL_TIMERS = [
  ...(['hrtime', 'nextTick', 'performance', 'queueMicrotask', 'setImmediate', 'clearImmediate'] as const),
  ...(['setInterval', 'clearInterval', 'setTimeout', 'clearTimeout'] as const),
];

let audit: AuditUnderTest;
let admin: Caller;
let adminId: string;

beforeAll(async () => {
  audit = await AuditUnderTest.start();
  ({ id: adminId } = await audit.account('ADMIN'));
  admin = user('ADMIN', adminId);
});
beforeEach(async () => {
  // First what is being sent: its end locks the delivery before the webhook, and a cascade the webhook before it.
  await audit.prisma.webhookDelivery.deleteMany();
  await audit.prisma.webhook.deleteMany();
});
afterAll(() => audit.close());

async function create(input: object = {}): Promise<{ secret: string; webhook: Webhook }> {
  const { data, errors } = await audit.ask<{ createWebhook: { secret: string; webhook: Webhook } }>(admin, CREATE, {
    input: { ...INPUT, ...input },
  });
  expect(errors).toEqual([]);
  return data.createWebhook;
}
const listed = async () => (await audit.ask<{ webhooks: Webhook[] }>(admin, LIST)).data.webhooks;
const actions = async () => (await audit.trail()).map(({ action }) => action);
const deliver = (webhookId: string, data: object = {}) =>
  audit.prisma.webhookDelivery.create({
    data: { webhookId, kind: 'kill_switch.pulled', payload: { reason: 'x' }, status: 'failed', ...data },
  });

describe('a new webhook', () => {
  test('is listed as it was set; its secret is shown once, and nothing stores, records or lists it', async () => {
    const { secret, webhook } = await create({ environments: ['PRODUCTION', 'PRODUCTION'] });
    const expected = {
      name: 'On call',
      url: 'https://receiver.invalid/hooks/token',
      kinds: ['KILL_SWITCH_PULLED'],
      environments: ['PRODUCTION'],
      offlinePercent: null,
      enabled: true,
      disabledReason: null,
      failingSince: null,
      previousSecretUntil: null,
      createdBy: { id: adminId },
    };
    expect(webhook).toEqual({ id: webhook.id, ...expected });
    expect(await listed()).toEqual([webhook]);
    expect(secret).toMatch(/^whsec_[\w+/]{43}=$/);
    const row = await audit.prisma.webhook.findUniqueOrThrow({ where: { id: webhook.id } });
    expect(secret).toBe(testWebhookSettings.secrets.secretOf(row.secretSeed));
    const everything = JSON.stringify([row, await audit.trail(), await listed()]);
    expect(everything).not.toContain(secret.slice('whsec_'.length));
    const recorded = JSON.stringify(await audit.trail());
    expect(recorded).toContain('https://receiver.invalid');
    // The rest of a URL may be the receiver's own secret.
    expect(recorded).not.toContain('hooks/token');
    expect(recorded).not.toContain(row.secretSeed);
  });

  test.each<[string, object, string]>([
    ['a blank name', { name: ' ' }, 'input.name'],
    ['an unreadable URL', { url: 'receiver' }, 'input.url'],
    ['another scheme', { url: 'ftp://receiver.invalid' }, 'input.url'],
    ['a user in its URL', { url: 'https://u:p@receiver.invalid' }, 'input.url'],
    ['a fragment in its URL', { url: 'https://receiver.invalid/#x' }, 'input.url'],
    ['a URL that is too long', { url: `https://receiver.invalid/${'x'.repeat(2_000)}` }, 'input.url'],
    ['a private address', { url: 'https://10.0.0.1/' }, 'input.url'],
    ["a cloud's metadata", { url: 'https://169.254.169.254/latest' }, 'input.url'],
    ['a private address in another spelling', { url: 'https://0x0a000001/' }, 'input.url'],
    ['a private address mapped into IPv6', { url: 'https://[::ffff:10.0.0.1]/' }, 'input.url'],
    ['no kind', { kinds: [] }, 'input.kinds'],
    ['the kind of tests', { kinds: ['KILL_SWITCH_PULLED', 'WEBHOOK_TEST'] }, 'input.kinds.1'],
    ['no threshold where one is needed', { kinds: ['FLEET_OFFLINE'] }, 'input.offlinePercent'],
    ['a threshold of 0', { kinds: ['FLEET_OFFLINE'], offlinePercent: 0 }, 'input.offlinePercent'],
    ['a threshold above 100', { offlinePercent: 101 }, 'input.offlinePercent'],
  ])('is refused with %s', async (_what, input, field) => {
    const before = await actions();
    expect(refusal(await audit.ask(admin, CREATE, { input: { ...INPUT, ...input } }))).toEqual({
      code: 'BAD_USER_INPUT',
      field,
    });
    expect(await listed()).toEqual([]);
    expect(await actions()).toEqual(before);
  });

  test('is refused where there are as many as may be, of which two at once count as well', async () => {
    const data = Array.from({ length: MAX_WEBHOOKS - 1 }, () => ({
      ...{ name: 'W', url: 'https://receiver.invalid', kinds: ['rollout.finished'], secretSeed: 's'.repeat(43) },
    }));
    await audit.prisma.webhook.createMany({ data });
    const answers = await Promise.all([1, 2].map(() => audit.ask(admin, CREATE, { input: INPUT })));
    expect(answers.map(refusal).sort()).toEqual([{ code: 'LIMIT_EXCEEDED' }, null].sort());
    expect(await listed()).toHaveLength(MAX_WEBHOOKS);
  });

  test('is for administrators, and for no key', async () => {
    const key: Caller = { kind: 'apiKey', apiKeyId: randomUUID(), role: 'ADMIN', rateLimitPerMin: 60 };
    for (const caller of [user('WRITE'), user('SAFETY'), user('READ'), key])
      for (const [query, variables] of [
        [CREATE, { input: INPUT }],
        [LIST, {}],
        [DELIVERIES, {}],
      ] as const)
        expect(refusal(await audit.ask(caller, query, variables))).toEqual({ code: 'FORBIDDEN' });
  });
});

describe('a change', () => {
  test('keeps what it leaves out, and is recorded with what it changes', async () => {
    const { webhook } = await create({ environments: ['STAGING'] });
    const input = { url: 'https://receiver.invalid/other', environments: [], enabled: false };
    const { data } = await audit.ask<{ updateWebhook: Webhook }>(admin, UPDATE, { id: webhook.id, input });
    expect(data.updateWebhook).toEqual({ ...webhook, ...input });
    expect((await audit.trail()).at(-1)).toEqual({
      action: 'UPDATE_WEBHOOK',
      userId: adminId,
      beforeValue: { id: webhook.id, environments: ['staging'], enabled: true },
      afterValue: { id: webhook.id, environments: [], enabled: false, url: 'changed' },
    });
  });

  test('of nothing is not recorded; of an unknown or deleted webhook it is NOT_FOUND', async () => {
    const { webhook } = await create();
    const before = await actions();
    await audit.ask(admin, UPDATE, { id: webhook.id, input: { name: 'On call' } });
    expect(await actions()).toEqual(before);
    await audit.ask(admin, DELETE, { id: webhook.id });
    for (const id of [webhook.id, randomUUID(), 'x'])
      for (const [query, more] of [
        [UPDATE, { input: {} }],
        [DELETE, {}],
        [ROTATE, {}],
        [TEST, {}],
        [REPLAY, {}],
      ] as const)
        expect(refusal(await audit.ask(admin, query, { id, ...more }))).toEqual({ code: 'NOT_FOUND', field: 'id' });
  });

  test('that enables it again forgets why it was disabled', async () => {
    const { webhook } = await create();
    await audit.prisma.webhook.update({
      where: { id: webhook.id },
      data: { enabled: false, disabledReason: 'It answered 410.', failingSince: new Date() },
    });
    const { data } = await audit.ask<{ updateWebhook: Webhook }>(admin, UPDATE, {
      id: webhook.id,
      input: { enabled: true },
    });
    expect(data.updateWebhook).toEqual(webhook);
  });
});

test('a webhook that somebody else has changed since it was seen is not changed', async () => {
  const { webhook } = await create();
  const CHANGE = `mutation ($id: ID!, $input: UpdateWebhookInput!, $seen: DateTime) {
    updateWebhook(id: $id, input: $input, expectedUpdatedAt: $seen) { name updatedAt } }`;
  const change = (name: string, seen: unknown) =>
    audit.ask<{ updateWebhook: { updatedAt: string } }>(admin, CHANGE, { id: webhook.id, input: { name }, seen });
  const { updatedAt: seen } = await audit.prisma.webhook.findUniqueOrThrow({ where: { id: webhook.id } });
  const { updatedAt } = (await change('First', seen)).data.updateWebhook;
  for (const name of ['Second', 'First']) expect(refusal(await change(name, seen))).toEqual({ code: 'CONFLICT' });
  expect((await listed())[0]?.name).toBe('First');
  expect((await change('Second', updatedAt)).errors).toEqual([]);
});

test('a deleted webhook and its deliveries are gone, and its pending ones are cancelled', async () => {
  const { webhook } = await create();
  const { id } = await deliver(webhook.id, { status: 'pending', nextAttemptAt: new Date('2040-01-01') });
  expect((await audit.ask(admin, DELETE, { id: webhook.id })).data).toEqual({ deleteWebhook: true });
  expect(await listed()).toEqual([]);
  expect((await audit.ask(admin, DELIVERIES)).data).toMatchObject({ webhookDeliveries: { totalCount: 0, nodes: [] } });
  expect(await audit.prisma.webhookDelivery.findUnique({ where: { id } })).toMatchObject({ status: 'cancelled' });
  expect(refusal(await audit.ask(admin, REPLAY, { id }))).toEqual({ code: 'NOT_FOUND', field: 'id' });
});

describe('a rotation', () => {
  test('gives another secret, keeps the one before for the overlap, and ends both where there is to be none', async () => {
    const { webhook, secret } = await create();
    const row = () => audit.prisma.webhook.findUniqueOrThrow({ where: { id: webhook.id } });
    const rotate = async (hours?: number) =>
      (
        await audit.ask<{ rotateWebhookSecret: { secret: string; webhook: Webhook } }>(admin, ROTATE, {
          id: webhook.id,
          hours,
        })
      ).data.rotateWebhookSecret;
    const first = (await row()).secretSeed;
    const second = await rotate();
    expect(second.secret).not.toBe(secret);
    expect((await row()).previousSecretSeed).toBe(first);
    const hoursLeft = (Date.parse(second.webhook.previousSecretUntil ?? '') - Date.now()) / 3_600_000;
    expect(hoursLeft).toBeGreaterThan(23.9);
    expect(hoursLeft).toBeLessThanOrEqual(24);
    // A third secret would drop the first, which the receiver may still have.
    const refused = await audit.ask(admin, ROTATE, { id: webhook.id, hours: 1 });
    expect(refusal(refused)).toEqual({ code: 'CONFLICT', field: 'overlapHours' });
    expect((await row()).previousSecretSeed).toBe(first);
    const third = await rotate(0);
    expect(third.webhook.previousSecretUntil).toBeNull();
    expect(await row()).toMatchObject({ previousSecretSeed: null });
    expect(testWebhookSettings.secrets.secretOf((await row()).secretSeed)).toBe(third.secret);
    const recorded = JSON.stringify(await audit.trail());
    expect(recorded).toContain('ROTATE_WEBHOOK_SECRET');
    for (const one of [secret, second.secret, third.secret]) expect(recorded).not.toContain(one.slice(6));
  });

  test('is possible again once the overlap has ended', async () => {
    const { webhook } = await create();
    expect((await audit.ask(admin, ROTATE, { id: webhook.id, hours: 1 })).errors).toEqual([]);
    const previousSecretUntil = new Date(Date.now() - 1);
    await audit.prisma.webhook.update({ where: { id: webhook.id }, data: { previousSecretUntil } });
    expect((await audit.ask(admin, ROTATE, { id: webhook.id, hours: 1 })).errors).toEqual([]);
  });

  test.each([-1, 169])('with an overlap of %s hours is refused', async (hours) => {
    const { webhook } = await create();
    expect(refusal(await audit.ask(admin, ROTATE, { id: webhook.id, hours }))).toEqual({
      code: 'BAD_USER_INPUT',
      field: 'overlapHours',
    });
  });
});

describe('deliveries', () => {
  test('are listed newest first, by webhook and by status, page by page', async () => {
    const [one, other] = [(await create()).webhook, (await create({ name: 'Other' })).webhook];
    const ids: string[] = [];
    for (let n = 0; n < 3; n++) ids.unshift((await deliver(one.id, { createdAt: new Date(2_000_000_000 + n) })).id);
    await deliver(other.id, { status: 'delivered', createdAt: new Date(0) });
    const page = async (variables: object) => {
      const { data } = await audit.ask<{
        webhookDeliveries: {
          totalCount: number;
          pageInfo: { hasNextPage: boolean; endCursor: string };
          nodes: { id: string; messageId: string; nextAttemptAt: string | null; webhook: { name: string } }[];
        };
      }>(admin, DELIVERIES, { ...variables });
      return data.webhookDeliveries;
    };
    const first = await page({ webhookId: one.id, first: 2 });
    expect(first).toMatchObject({ totalCount: 3, pageInfo: { hasNextPage: true } });
    const second = await page({ webhookId: one.id, first: 2, after: first.pageInfo.endCursor });
    expect([...first.nodes, ...second.nodes].map(({ id }) => id)).toEqual(ids);
    expect(first.nodes[0]).toMatchObject({ messageId: `msg_${ids[0]?.replaceAll('-', '')}`, nextAttemptAt: null });
    expect((await page({ status: 'DELIVERED' })).nodes.map(({ webhook }) => webhook.name)).toEqual(['Other']);
    for (const webhookId of ['x', randomUUID()])
      expect(await page({ webhookId })).toMatchObject({ totalCount: 0, nodes: [] });
  });

  test('of a disabled webhook cannot be replayed; others are due at once, under the same id', async () => {
    const { webhook } = await create();
    const { id } = await deliver(webhook.id, { attempts: 10 });
    await audit.ask(admin, UPDATE, { id: webhook.id, input: { enabled: false } });
    expect(refusal(await audit.ask(admin, REPLAY, { id }))).toEqual({ code: 'CONFLICT', field: 'id' });
    await audit.ask(admin, UPDATE, { id: webhook.id, input: { enabled: true } });
    const { data } = await audit.ask(admin, REPLAY, { id });
    expect(data).toMatchObject({
      replayWebhookDelivery: { id, messageId: `msg_${id.replaceAll('-', '')}`, status: 'PENDING', attempts: 0 },
    });
    expect((await actions()).at(-1)).toBe('REPLAY_WEBHOOK');
  });

  test('that are being sent are not sent twice at once by a replay', async () => {
    const { webhook } = await create();
    const [lease, nextAttemptAt] = [randomUUID(), new Date(Date.now() + 30_000)];
    const { id } = await deliver(webhook.id, { status: 'pending', attempts: 4, lease, nextAttemptAt });
    const { data } = await audit.ask(admin, REPLAY, { id });
    expect(data).toMatchObject({ replayWebhookDelivery: { status: 'PENDING', attempts: 1 } });
    expect(await audit.prisma.webhookDelivery.findUnique({ where: { id } })).toMatchObject({ lease, nextAttemptAt });
  });

  test("are due at once by the database's clock, whatever this process takes for the time", async () => {
    const { webhook } = await create();
    const { id } = await deliver(webhook.id);
    jest.useFakeTimers({ advanceTimers: true, now: Date.now() + 3_600_000, doNotFake: REAL_TIMERS });
    try {
      await audit.ask(admin, REPLAY, { id });
      await audit.ask(admin, TEST, { id: webhook.id });
    } finally {
      jest.useRealTimers();
    }
    const rows = await audit.prisma.webhookDelivery.findMany({ where: { webhookId: webhook.id } });
    expect(rows).toHaveLength(2);
    for (const { nextAttemptAt } of rows) expect(nextAttemptAt?.getTime()).toBeLessThan(Date.now() + 60_000);
  });

  test('of a kind that only a newer version knows are not listed, and hide no other', async () => {
    const { webhook } = await create();
    await deliver(webhook.id);
    const { id } = await deliver(webhook.id, { kind: 'something.new' });
    const { data } = await audit.ask(admin, DELIVERIES, { webhookId: webhook.id });
    expect(data).toMatchObject({ webhookDeliveries: { totalCount: 1, nodes: [{ kind: 'KILL_SWITCH_PULLED' }] } });
    expect(refusal(await audit.ask(admin, REPLAY, { id }))).toEqual({ code: 'NOT_FOUND', field: 'id' });
  });

  test('of tests name their webhook and are recorded', async () => {
    const { webhook } = await create();
    const { data } = await audit.ask(admin, TEST, { id: webhook.id });
    expect(data).toMatchObject({
      sendTestWebhook: {
        kind: 'WEBHOOK_TEST',
        payload: { webhookId: webhook.id, name: 'On call' },
        webhook: { id: webhook.id },
      },
    });
    expect((await actions()).at(-1)).toBe('TEST_WEBHOOK');
  });
});
