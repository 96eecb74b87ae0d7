/**
 * Webhooks of a real control plane that is killed while it sends: nothing is lost, and nothing is new to the receiver
 * twice.
 */
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { holds, Receiver, verified } from '../subgraphs/audit/webhooks/testing/receiver.ts';
import { Api } from './harness/api.ts';
import { Deployment } from './harness/deployment.ts';
import { eventually } from './harness/process.ts';

const CREATE_WEBHOOK = `mutation ($input: CreateWebhookInput!) { createWebhook(input: $input) { secret webhook { id } } }`;
const CREATE_FLAG = `mutation ($key: String!) {
  createFlag(input: { key: $key, name: "F", type: BOOLEAN, defaultValue: false, safetyLevel: NON_CRITICAL, environment: STAGING }) { applied }
}`;
const KILL = 'mutation ($key: String!) { killSwitch(flagKey: $key, reason: "Smoke") { applied } }';
const DELIVERIES = '{ webhookDeliveries { nodes { messageId status attempts } } }';

interface Deliveries {
  readonly webhookDeliveries: {
    readonly nodes: readonly { readonly messageId: string; readonly status: string; readonly attempts: number }[];
  };
}

let deployment: Deployment;
let receiver: Receiver;

beforeAll(async () => {
  receiver = await Receiver.start();
  deployment = await Deployment.start({ FLEETFLAG_WEBHOOK_ALLOW_PRIVATE: '127.0.0.1' });
}, 120_000);
afterAll(async () => {
  await deployment?.remove();
  await receiver?.close();
}, 60_000);

test('what was acknowledged arrives after a kill -9 in the middle of sending it, each under one id', async () => {
  let api = await Api.admin(deployment);
  const input = { name: 'On call', url: receiver.url, kinds: ['KILL_SWITCH_PULLED'] };
  const { createWebhook } = await api.ok<{ createWebhook: { secret: string } }>(CREATE_WEBHOOK, { input });
  const keys = ['a', 'b', 'c', 'd', 'e'].map((letter) => `flag_${letter}`);
  for (const key of keys) await api.ok(CREATE_FLAG, { key });

  // The receiver has the first messages, and the control plane does not know it.
  receiver.answer = () => undefined;
  for (const key of keys) await api.ok(KILL, { key });
  await holds(() => expect(receiver.received.length).toBeGreaterThan(0));
  await deployment.down('SIGKILL');
  const before = receiver.received.map(({ headers }) => headers['webhook-id']);
  receiver.answer = (response) => void response.writeHead(204).end();

  await deployment.up();
  api = await Api.admin(deployment);
  // A delivery that was being sent waits for its lease to run out.
  await eventually(
    async () => {
      const { webhookDeliveries } = await api.ok<Deliveries>(DELIVERIES);
      const { nodes } = webhookDeliveries;
      return nodes.length === keys.length && nodes.every(({ status }) => status === 'DELIVERED');
    },
    'every delivery is delivered',
    90_000,
  );
  const byId = new Map(receiver.received.map((message) => [message.headers['webhook-id'], message]));
  expect(byId.size).toBe(keys.length);
  for (const id of before) expect(byId.has(id)).toBe(true);
  const killed = [...byId.values()].map((message) => {
    // The library refuses a signature that is not right, or too old.
    const { type, data } = verified(createWebhook.secret, message);
    expect(type).toBe('kill_switch.pulled');
    return (data as { flagKey: string }).flagKey;
  });
  expect(killed.sort()).toEqual(keys);
  // The secret is nowhere in the log.
  expect(deployment.output).not.toContain(createWebhook.secret.slice('whsec_'.length));
}, 180_000);
