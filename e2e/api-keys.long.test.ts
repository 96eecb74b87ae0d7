import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { createClient, type Client } from 'graphql-ws';
import { WebSocket } from 'ws';
import { admin } from './harness/admin.ts';
import { Api } from './harness/api.ts';
import { Deployment } from './harness/deployment.ts';
import { eventually } from './harness/process.ts';

const CREATE = 'mutation ($input: CreateApiKeyInput!) { createApiKey(input: $input) { key apiKey { id keyPrefix } } }';
const REVOKE = 'mutation ($id: ID!) { revokeApiKey(id: $id) { isActive } }';
const LIST = '{ apiKeys { id isActive lastUsedAt createdBy { email } } }';

let deployment: Deployment;
let api: Api;
const clients: Client[] = [];

beforeAll(async () => {
  deployment = await Deployment.start();
  api = await Api.admin(deployment);
}, 180_000);
afterAll(async () => {
  for (const client of clients) await client.dispose();
  await deployment?.remove();
}, 60_000);

async function create(name: string): Promise<{ key: string; id: string; keyPrefix: string }> {
  const { createApiKey } = await api.ok<{ createApiKey: { key: string; apiKey: { id: string; keyPrefix: string } } }>(
    CREATE,
    { input: { name, role: 'READ' } },
  );
  return { key: createApiKey.key, ...createApiKey.apiKey };
}

/** The status of a request with the key: 401 when nobody has it. (What a key may ask is not the matter here.) */
async function status(key: string): Promise<number> {
  const body = JSON.stringify({ query: '{ me { kind } }' });
  return (
    await fetch(`${deployment.url}/graphql`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'x-api-key': key },
      body,
    })
  ).status;
}

/** A socket that is acknowledged; gives how it was closed, as soon as it is. */
async function openSocket(key: string): Promise<() => number | undefined> {
  let acknowledged = false;
  let code: number | undefined;
  clients.push(
    createClient({
      url: deployment.wsUrl,
      webSocketImpl: WebSocket,
      lazy: false,
      retryAttempts: 0,
      onNonLazyError: () => undefined,
      connectionParams: { 'x-api-key': key },
      on: { connected: () => (acknowledged = true), closed: (event) => (code = (event as { code: number }).code) },
    }),
  );
  await eventually(() => acknowledged, 'the socket to be acknowledged');
  return () => code;
}

test('a key works until it is revoked, which closes its open socket and no other', async () => {
  const [first, second] = [await create('Tier1 A'), await create('Tier1 B')];
  const [closed, otherClosed] = [await openSocket(first.key), await openSocket(second.key)];
  expect(await status(first.key)).not.toBe(401);
  expect(await status(first.key.replace(/.$/, (last) => (last === 'A' ? 'B' : 'A')))).toBe(401);

  expect(await api.ok(REVOKE, { id: first.id })).toEqual({ revokeApiKey: { isActive: false } });
  expect(await eventually(closed, 'the socket to be closed')).toBe(4403);
  expect(await status(first.key)).toBe(401);
  expect(otherClosed()).toBeUndefined();

  const { apiKeys } = await api.ok<{ apiKeys: { id: string; isActive: boolean; lastUsedAt: string | null }[] }>(LIST);
  expect(apiKeys).toEqual([
    { id: second.id, isActive: true, lastUsedAt: expect.any(String), createdBy: { email: 'admin@fleetflag.local' } },
    { id: first.id, isActive: false, lastUsedAt: expect.any(String), createdBy: { email: 'admin@fleetflag.local' } },
  ]);

  // By another process, which can tell nobody.
  expect(await admin(deployment, 'api-key', '--revoke', second.keyPrefix)).toMatchObject({ code: 0 });
  expect(await eventually(otherClosed, 'the other socket to be closed')).toBe(4403);
  expect(await status(second.key)).toBe(401);
  for (const secret of [first.key, second.key]) expect(deployment.output).not.toContain(secret);
});
