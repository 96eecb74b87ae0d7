import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { SignJWT } from 'jose';
import { WebSocket } from 'ws';
import { CONNECTION_BODY, IDENTITY_HEADER, createIdentityTokens, deriveKey, signedBody } from '../core/protocol/identity-token.ts';
import type { SubgraphName, SubgraphStream } from '../core/protocol/subgraph.ts';
import { connectRemote } from '../gateway/composition/remote-subgraph.ts';
import { connectInProcess } from '../subgraphs/shared/in-process-connection.ts';
import { serveSubgraph } from '../subgraphs/shared/subgraph-process.ts';
import { identityOf, user } from '../subgraphs/shared/testing/asking.ts';
import { eventually } from '../subgraphs/shared/testing/eventually.ts';
import { openProxy, type SeverableProxy } from '../subgraphs/shared/testing/severable-proxy.ts';
import { CHANGES, FLAG_QUERY, changesOf, describeSubgraphConnection, request, take, type OpenConnection } from './subgraph-connection.contract.ts';
import { ScriptedChanges, scriptedFlags } from './testing/scripted-flags.ts';

const SECRET = 'a-secret-of-more-than-32-characters-x';
const tokens = createIdentityTokens(SECRET);
const unavailable = expect.objectContaining({ code: 'SERVICE_UNAVAILABLE' });

async function serve(changes: ScriptedChanges) {
  return serveSubgraph({ subgraph: await scriptedFlags(changes), tokens, ready: async () => true, host: '127.0.0.1', port: 0, publicKeys: { keys: [] } });
}

describeSubgraphConnection('in process', async (subgraph) => {
  const connection = connectInProcess(subgraph, async () => true);
  return { connection, close: () => connection.close() };
});

describeSubgraphConnection('over HTTP and a websocket', async (subgraph): Promise<OpenConnection> => {
  const server = await serveSubgraph({ subgraph, tokens, ready: async () => true, host: '127.0.0.1', port: 0 });
  const connection = connectRemote({ name: 'flags', url: `http://127.0.0.1:${server.port}`, tokens });
  return {
    connection,
    async close() {
      await connection.close();
      await server.close();
    },
  };
});

describe('a subgraph process that is lost', () => {
  let changes: ScriptedChanges;
  let server: Awaited<ReturnType<typeof serve>>;
  let proxy: SeverableProxy;
  let connection: ReturnType<typeof connectRemote>;

  beforeEach(async () => {
    changes = new ScriptedChanges();
    server = await serve(changes);
    proxy = await openProxy({ host: '127.0.0.1', port: server.port });
    connection = connectRemote({ name: 'flags', url: `http://127.0.0.1:${proxy.port}`, tokens, pingInterval: 100 });
  });
  afterEach(async () => {
    await connection.close();
    await proxy.close();
    await server.close();
  });

  async function subscribed(): Promise<SubgraphStream> {
    const stream = connection.subscribe(changesOf());
    await stream.established;
    return stream;
  }

  test('fails the pending next() and what is executed, without an address, and serves again when it is back', async () => {
    const stream = await subscribed();
    const pending = stream.next();
    const failed = expect(pending).rejects.toThrow(unavailable);
    proxy.sever();
    await failed;
    const refusal = await connection.execute(request(FLAG_QUERY, { key: 'eco' })).catch((error: unknown) => error as Error);
    expect(refusal).toEqual(unavailable);
    expect((refusal as Error).message).not.toMatch(/127\.0\.0\.1|ECONN/);
    expect(await connection.ready()).toBe(false);
    await eventually(() => changes.open === 0);

    proxy.restore();
    expect(await connection.ready()).toBe(true);
    expect(await connection.execute(request(FLAG_QUERY, { key: 'none' }))).toEqual({ data: { flag: null } });
    const again = await subscribed();
    changes.emit({ revision: 2 });
    expect(await take(again)).toMatchObject({ data: { flagChanges: { revision: 2 } } });
    await again.return?.();
  });

  test('gives what arrived before the loss, and then the loss', async () => {
    const stream = await subscribed();
    const other = await subscribed();
    changes.emit({ revision: 1 });
    expect(await take(other)).toMatchObject({ data: { flagChanges: { revision: 1 } } });
    proxy.sever();
    await expect(other.next()).rejects.toThrow(unavailable);
    expect(await take(stream)).toMatchObject({ data: { flagChanges: { revision: 1 } } });
    await expect(stream.next()).rejects.toThrow(unavailable);
    await expect(stream.next()).rejects.toThrow(unavailable);
  });

  test('is noticed by its silence when nothing closes the connection', async () => {
    const stream = await subscribed();
    proxy.freeze();
    await expect(stream.next()).rejects.toThrow(unavailable);
  });

  test('does not end a connection on which pings are answered', async () => {
    const stream = await subscribed();
    let over = false;
    const pending = stream.next().finally(() => (over = true));
    // Three pings and their answers.
    const enough = proxy.passed + 6;
    await eventually(() => over || proxy.passed >= enough);
    expect(over).toBe(false);
    changes.emit({ revision: 1 });
    expect(await pending).toMatchObject({ done: false });
    await stream.return?.();
  });

  test('fails a subscription that is asked for while it is away', async () => {
    proxy.sever();
    const stream = connection.subscribe(changesOf());
    await expect(stream.established).rejects.toThrow(unavailable);
    await expect(stream.next()).rejects.toThrow(unavailable);
  });

  test('closes its subscriptions in order when it is stopped', async () => {
    const stream = await subscribed();
    const failed = expect(stream.next()).rejects.toThrow(unavailable);
    await server.close();
    await failed;
    expect(changes.open).toBe(0);
    server = await serve(changes);
  });
});

describe('a subgraph process', () => {
  const identity = identityOf(user('ADMIN'));
  const operation = { query: FLAG_QUERY, operationName: undefined, variables: { key: 'eco' } };
  let changes: ScriptedChanges;
  let server: Awaited<ReturnType<typeof serve>>;

  beforeEach(async () => {
    changes = new ScriptedChanges();
    server = await serve(changes);
  });
  afterEach(() => server.close());

  /** A token with all that a good one has, but for what is given. */
  function forged(body: string, over: { secret?: string; subgraph?: SubgraphName; issuedAt?: number; purpose?: string } = {}): Promise<string> {
    const issuedAt = over.issuedAt ?? Math.floor(Date.now() / 1000);
    return new SignJWT({ identity, body: createHash('sha256').update(body).digest('base64url') })
      .setProtectedHeader({ alg: 'HS256', typ: 'fleetflag-identity+jwt' })
      .setAudience(over.subgraph ?? 'flags')
      .setJti('1')
      .setIssuedAt(issuedAt)
      .setExpirationTime(issuedAt + 30)
      .sign(deriveKey(over.secret ?? SECRET, over.purpose ?? 'gateway-to-subgraph'));
  }

  /** A token in which the payload says more than what was signed. */
  async function altered(body: string): Promise<string> {
    const [head, payload = '', signature] = (await tokens.sign(identityOf(user('READ')), 'flags', body)).split('.');
    const claims = Buffer.from(payload, 'base64url').toString().replace('"READ"', '"ADMIN"');
    return [head, Buffer.from(claims).toString('base64url'), signature].join('.');
  }

  const unsigned = (body: string) => {
    const part = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');
    return `${part({ alg: 'none', typ: 'fleetflag-identity+jwt' })}.${part({ identity, body, aud: 'flags', jti: '1', iat: Date.now() / 1000, exp: Date.now() / 1000 + 30 })}.`;
  };

  const bad: [string, (body: string) => Promise<string | undefined>][] = [
    ['without an identity', async () => undefined],
    ['with text for an identity', async () => 'admin'],
    ['with an identity that nobody signed', async (body) => unsigned(body)],
    ['with an identity under another secret', (body) => forged(body, { secret: `${SECRET}y` })],
    ['with an identity under a key for another purpose', (body) => forged(body, { purpose: 'vehicle-token' })],
    ['with an identity that was altered', altered],
    ['with an identity that has expired', (body) => forged(body, { issuedAt: Math.floor(Date.now() / 1000) - 60 })],
    ['with an identity for another subgraph', (body) => tokens.sign(identity, 'audit', body)],
    ['with an identity for another operation', () => tokens.sign(identity, 'flags', signedBody({ query: '{ flag(key: "none") { key } }' }))],
    ['with an identity for other variables', () => tokens.sign(identity, 'flags', signedBody({ ...operation, variables: { key: 'none' } }))],
  ];

  const post = async (body: unknown, token: string | undefined) => {
    const response = await fetch(`http://127.0.0.1:${server.port}/graphql`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...(token !== undefined && { [IDENTITY_HEADER]: token }) },
      body: typeof body === 'string' ? body : JSON.stringify(body),
    });
    return { status: response.status, body: (await response.json()) as { data?: unknown; errors?: { extensions: unknown }[] } };
  };

  test('answers a request with a good identity, forged by nobody', async () => {
    expect(await post(operation, await forged(signedBody(operation)))).toMatchObject({ status: 200, body: { data: { flag: { key: 'eco' } } } });
  });

  test.each(bad)('refuses a request %s', async (_what, token) => {
    expect(await post(operation, await token(signedBody(operation)))).toEqual({
      status: 401,
      body: { errors: [{ message: expect.any(String), extensions: { code: 'UNAUTHENTICATED' } }] },
    });
  });

  test.each([
    ['its schema', '{ _service { sdl } }', undefined],
    ['entities', 'query ($refs: [_Any!]!) { _entities(representations: $refs) { __typename } }', { refs: [{ __typename: 'Flag', key: 'eco' }] }],
  ])('tells %s to nobody without an identity', async (_what, query, variables) => {
    expect(await post({ query, variables }, undefined)).toMatchObject({ status: 401, body: { errors: [{ extensions: { code: 'UNAUTHENTICATED' } }] } });
  });

  test.each([
    ['is not JSON', '{'],
    ['is no object', '7'],
    ['has no query', '{"variables":{}}'],
  ])('refuses a body that %s as input, not as a fault', async (_what, body) => {
    expect(await post(body, undefined)).toMatchObject({ status: 400, body: { errors: [{ extensions: { code: 'BAD_USER_INPUT' } }] } });
  });

  /** Opens a websocket, sends messages, gives what comes back and how it is closed. */
  async function socket(init: unknown, then?: unknown): Promise<{ messages: { type: string; payload?: unknown }[]; code: number }> {
    const ws = new WebSocket(`ws://127.0.0.1:${server.port}/graphql`, 'graphql-transport-ws');
    const messages: { type: string; payload?: unknown }[] = [];
    ws.on('message', (data: Buffer) => {
      const message = JSON.parse(data.toString()) as { type: string };
      messages.push(message);
      if (message.type === 'connection_ack' && then !== undefined) ws.send(JSON.stringify(then));
      if (message.type === 'error' || message.type === 'complete') ws.close(1000);
    });
    await once(ws, 'open');
    ws.send(JSON.stringify({ type: 'connection_init', payload: init }));
    const [code] = (await once(ws, 'close')) as [number];
    return { messages, code };
  }

  test.each(bad)('closes a websocket that begins %s', async (_what, token) => {
    expect(await socket({ [IDENTITY_HEADER]: await token(CONNECTION_BODY) })).toEqual({ messages: [], code: 4403 });
  });

  test('closes a websocket that begins without a payload', async () => {
    expect(await socket(undefined)).toEqual({ messages: [], code: 4403 });
  });

  test('gives nothing to a websocket elsewhere than at /graphql', async () => {
    const ws = new WebSocket(`ws://127.0.0.1:${server.port}/other`, 'graphql-transport-ws');
    const [error] = (await once(ws, 'error')) as [Error];
    expect(error.message).toContain('404');
  });

  test.each(bad)('refuses a subscription %s on a websocket that was let in', async (_what, token) => {
    const payload = { query: CHANGES, variables: { environment: 'STAGING' } };
    const identityToken = await token(signedBody(payload));
    const { messages } = await socket(
      { [IDENTITY_HEADER]: await tokens.sign(identity, 'flags', CONNECTION_BODY) },
      { id: '1', type: 'subscribe', payload: { ...payload, extensions: { [IDENTITY_HEADER]: identityToken } } },
    );
    expect(messages.at(-1)).toMatchObject({ id: '1', type: 'error', payload: [{ extensions: { code: 'UNAUTHENTICATED' } }] });
    expect(changes.open).toBe(0);
  });

  test('tells without an identity whether it is alive and ready, and its public keys', async () => {
    for (const [path, body] of [['/health/live', { status: 'ok' }], ['/health/ready', { status: 'ok' }], ['/.well-known/jwks.json', { keys: [] }]] as const) {
      const response = await fetch(`http://127.0.0.1:${server.port}${path}`);
      expect([response.status, await response.json()]).toEqual([200, body]);
    }
  });
});
