import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { FleetFlagError } from '../../core/errors.ts';
import { apiKeyHash, newApiKey } from '../../core/credentials/api-key.ts';
import { sessionKey } from '../../core/credentials/session.ts';
import { SESSION, ScriptedGateway, VIN } from '../testing/scripted-gateway.ts';
import { WireClient } from '../subscriptions/testing/wire-client.ts';
import { eventually } from '../../core/testing/eventually.ts';

const FLAG = '{ flag(key: "eco") { key } }';
const NOTHING = { position: 1, userId: null, sessionKey: null, apiKeyId: null, vin: null };

let gateway: ScriptedGateway;
let clients: WireClient[] = [];
/** The keys that the audit subgraph knows, by hash. */
let keys: Map<string, { id: string; role: string; rateLimitPerMin: number; expiresAt: string | null }>;
let auditAway = false;

beforeAll(async () => {
  gateway = await ScriptedGateway.start();
  gateway.answer = async () => ({ data: { flag: { key: 'eco', id: 'f1', __typename: 'Flag' } } });
  gateway.answerGateway = async ({ query, variables }) => {
    if (auditAway)
      throw new FleetFlagError('SERVICE_UNAVAILABLE', 'A part of the service is not answering; try again.', {
        retryAfter: 1,
      });
    if (query.includes('persistedOperation'))
      return { data: { persistedOperation: { sha256: 'a'.repeat(64), body: FLAG, apiKeys: null } } };
    return {
      data: Object.fromEntries(
        Object.entries(variables ?? {}).map(([name, hash]) => [
          name.replace('h', 'k'),
          keys.get(hash as string) ?? null,
        ]),
      ),
    };
  };
});
beforeEach(() => {
  keys = new Map();
});
afterEach(() => {
  auditAway = false;
  gateway.askedForItself.length = 0;
  for (const { socket } of clients) socket.terminate();
  clients = [];
});
afterAll(() => gateway.close());

function issue(id: string, expiresAt: Date | null = null): string {
  const key = newApiKey();
  keys.set(apiKeyHash(key), { id, role: 'READ', rateLimitPerMin: 60, expiresAt: expiresAt?.toISOString() ?? null });
  return key;
}
const byKey = (key: string, headers: Record<string, string> = {}) =>
  gateway.post({ id: 'eco-flag' }, { 'x-api-key': key, ...headers });
async function socket(params: Record<string, unknown>, headers: Record<string, string> = {}): Promise<WireClient> {
  const client = new WireClient(`${gateway.url.replace('http', 'ws')}/graphql`, undefined, { headers });
  clients.push(client);
  return client.acknowledged(params);
}
async function end(what: Partial<typeof NOTHING> | Record<string, string>): Promise<void> {
  await eventually(() => gateway.endedCredentials.open > 0, 'the gateway to follow');
  gateway.endedCredentials.emit({ data: { endedCredentials: { ...NOTHING, ...what } } });
}

describe('an API key', () => {
  test('in x-api-key is the caller that subgraphs see', async () => {
    const answer = await byKey(issue('k1'));
    expect(answer).toMatchObject({ status: 200, body: { data: { flag: { key: 'eco' } } } });
    expect(gateway.asked.at(-1)?.identity.caller).toEqual({
      kind: 'apiKey',
      apiKeyId: 'k1',
      role: 'READ',
      rateLimitPerMin: 60,
    });
    const question = gateway.askedForItself.find(({ query }) => query.includes('apiKeyCredential'));
    expect(question).toMatchObject({ name: 'audit', identity: { caller: { kind: 'gateway' } } });
  });

  test('that is unknown is UNAUTHENTICATED, and one that cannot be looked up is SERVICE_UNAVAILABLE', async () => {
    expect(await byKey(newApiKey())).toMatchObject({
      status: 401,
      body: { errors: [{ extensions: { code: 'UNAUTHENTICATED' } }] },
    });
    auditAway = true;
    expect(await byKey(newApiKey())).toMatchObject({
      status: 503,
      body: { errors: [{ extensions: { code: 'SERVICE_UNAVAILABLE' } }] },
    });
  });

  test('beside a session is refused, because the choice of a caller would be a guess', async () => {
    expect(await byKey(issue('k1'), { authorization: `Bearer ${SESSION}` })).toMatchObject({ status: 401 });
  });

  test.each([
    ['connection_init', (key: string) => socket({ 'x-api-key': key })],
    ['the upgrade request', (key: string) => socket({}, { 'x-api-key': key })],
  ])('opens a websocket from %s', async (_where, open) => {
    expect((await open(issue('k1'))).closed).toBeNull();
  });

  test('that is revoked is refused and its sockets are closed with 4403, and no others', async () => {
    const [revoked, other] = [issue('k2'), issue('k3')];
    const [one, two] = [await socket({ 'x-api-key': revoked }), await socket({ 'x-api-key': other })];
    expect(await byKey(revoked)).toMatchObject({ status: 200 });
    await end({ apiKeyId: 'k2' });
    expect(await one.close()).toEqual({ code: 4403, reason: 'Forbidden' });
    expect(await byKey(revoked)).toMatchObject({ status: 401 });
    expect(two.closed).toBeNull();
    expect(await byKey(other)).toMatchObject({ status: 200 });
  });

  test('that is revoked while the stream is lost closes its sockets, too', async () => {
    const key = issue('k4');
    const client = await socket({ 'x-api-key': key });
    keys.clear();
    expect((await client.close()).code).toBe(4403);
  });

  test('that expires closes its sockets with 4403', async () => {
    const client = await socket({ 'x-api-key': issue('k5', new Date(Date.now() + 2_000)) });
    expect((await client.close()).code).toBe(4403);
  });
});

describe('a session', () => {
  const authorization = `Bearer ${SESSION}`;

  test.each(['sessionKey', 'userId'] as const)('that ends by its %s closes its sockets with 4403', async (name) => {
    const { caller } = (await gateway.findSession(SESSION)) ?? {};
    const client = await socket({ authorization });
    gateway.endedSessions = async (keys) => new Set(keys);
    await end({ [name]: name === 'userId' ? (caller?.userId ?? '') : sessionKey(SESSION) });
    expect((await client.close()).code).toBe(4403);
  });

  test('that expires closes its sockets with 4403', async () => {
    const { findSession } = gateway;
    gateway.findSession = async (token) => {
      const session = await findSession(token);
      return session && { ...session, expiresAt: new Date(Date.now() + 200) };
    };
    const client = await socket({ authorization });
    gateway.findSession = findSession;
    expect((await client.close()).code).toBe(4403);
  });
});

test("a vehicle's revoked tokens close its sockets with 4403, and no other vehicle's", async () => {
  const open = async (vin: string) =>
    socket({
      authorization: `Bearer ${await gateway.vehicleTokens.issue(vin, 'staging', new Date(Date.now() + 60_000))}`,
    });
  const [one, other] = [await open(VIN), await open('KMHK281HGNU000002')];
  await end({ vin: VIN });
  expect((await one.close()).code).toBe(4403);
  expect(other.closed).toBeNull();
});
