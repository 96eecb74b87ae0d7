import { createHash, randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { SignJWT } from 'jose';
import { WebSocket } from 'ws';
import {
  CONNECTION_BODY,
  IDENTITY_HEADER,
  createIdentityTokens,
  deriveKey,
  signedBody,
} from '../../core/credentials/identity-token.ts';
import { Metrics } from '../../core/monitoring/metrics.ts';
import { SubgraphMetrics } from '../../subgraphs/shared/monitoring/subgraph-metrics.ts';
import { ANSWERS_PATH, questionOf } from '../../core/wire/subgraph/answer-texts.ts';
import type { Caller } from '../../core/access/caller.ts';
import type { SubgraphName } from '../../core/wire/subgraph/subgraph.ts';
import { createInProcessStore } from '../../subgraphs/shared/stores/key-value-store.ts';
import { createReplayGuard } from '../../subgraphs/shared/subgraph/replay-guard.ts';
import { serveSubgraph, type SubgraphProcessOptions } from '../../subgraphs/shared/subgraph/subgraph-process.ts';
import { identityOf, silent, user } from '../../subgraphs/shared/testing/asking.ts';
import { CHANGES, FLAG_QUERY } from './subgraph-connection.contract.ts';
import { ScriptedChanges, scriptedFlags } from '../testing/scripted-flags.ts';

const SECRET = 'a-secret-of-more-than-32-characters-x';
const tokens = createIdentityTokens(SECRET);

async function serve(changes: ScriptedChanges, more: Partial<SubgraphProcessOptions> = {}) {
  const seen = createReplayGuard('flags', createInProcessStore(), silent);
  return serveSubgraph({
    subgraph: await scriptedFlags(changes),
    tokens,
    replayGuard: seen,
    ready: async () => true,
    host: '127.0.0.1',
    port: 0,
    publicKeys: { keys: [] },
    ...more,
  });
}

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
  function forged(
    body: string,
    over: { secret?: string; subgraph?: SubgraphName; issuedAt?: number; purpose?: string } = {},
  ): Promise<string> {
    const issuedAt = over.issuedAt ?? Math.floor(Date.now() / 1000);
    return new SignJWT({ identity, body: createHash('sha256').update(body).digest('base64url') })
      .setProtectedHeader({ alg: 'HS256', typ: 'fleetflag-identity+jwt' })
      .setAudience(over.subgraph ?? 'flags')
      .setJti(randomUUID())
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

  /** A good token, after the request that it was made for. */
  async function usedBefore(body: string): Promise<string> {
    const token = await tokens.sign(identity, 'flags', body);
    if (body === CONNECTION_BODY) await opened({ [IDENTITY_HEADER]: token });
    else if (body === signedBody(operation)) expect((await post(operation, token)).status).toBe(200);
    else {
      const query = { query: CHANGES, variables: { environment: 'STAGING' } };
      expect(await post(query, token)).not.toMatchObject({ status: 401 });
    }
    return token;
  }

  /** Begins a websocket, waits until it is let in, and leaves. */
  async function opened(init: unknown): Promise<void> {
    const ws = new WebSocket(`ws://127.0.0.1:${server.port}/graphql`, 'graphql-transport-ws');
    await once(ws, 'open');
    ws.send(JSON.stringify({ type: 'connection_init', payload: init }));
    expect(JSON.parse(String((await once(ws, 'message'))[0]))).toMatchObject({ type: 'connection_ack' });
    ws.close();
    await once(ws, 'close');
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
    ['with an identity that has been used', usedBefore],
    [
      'with an identity for another operation',
      () => tokens.sign(identity, 'flags', signedBody({ query: '{ flag(key: "none") { key } }' })),
    ],
    [
      'with an identity for other variables',
      () => tokens.sign(identity, 'flags', signedBody({ ...operation, variables: { key: 'none' } })),
    ],
  ];

  const post = async (body: unknown, token: string | undefined) => {
    const response = await fetch(`http://127.0.0.1:${server.port}/graphql`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...(token !== undefined && { [IDENTITY_HEADER]: token }) },
      body: typeof body === 'string' ? body : JSON.stringify(body),
    });
    return {
      status: response.status,
      body: (await response.json()) as { data?: unknown; errors?: { extensions: unknown }[] },
    };
  };

  describe('asked for several answers at once', () => {
    const body = `[${questionOf({ ...operation, identity })}]`;
    const answers = async (sent: string, token: string | undefined) => {
      const response = await fetch(`http://127.0.0.1:${server.port}${ANSWERS_PATH}`, {
        method: 'POST',
        headers: { 'content-type': 'text/plain', ...(token !== undefined && { [IDENTITY_HEADER]: token }) },
        body: sent,
      });
      return { status: response.status, text: await response.text() };
    };
    const ofGateway = (of: string) => tokens.sign(identityOf({ kind: 'gateway' }), 'flags', of);

    test('gives them to a gateway', async () => {
      expect(await answers(body, await ofGateway(body))).toEqual({
        status: 200,
        text: expect.stringMatching(/^=\{"data":\{"flag":\{"key":"eco".*\}\}\}\n$/),
      });
    });

    test('refuses everybody else, another body, and a token twice', async () => {
      const used = await ofGateway(body);
      await answers(body, used);
      for (const token of [undefined, used, await ofGateway('[]'), await forged(body, { secret: `${SECRET}y` })])
        expect((await answers(body, token)).status).toBe(401);
      expect((await answers(body, await tokens.sign(identity, 'flags', body))).status).toBe(403);
      expect((await answers('[1]', await ofGateway('[1]'))).status).toBe(400);
    });
  });

  test('answers a request with a good identity, forged by nobody', async () => {
    expect(await post(operation, await forged(signedBody(operation)))).toMatchObject({
      status: 200,
      body: { data: { flag: { key: 'eco' } } },
    });
  });

  test.each(bad)('refuses a request %s', async (_what, token) => {
    expect(await post(operation, await token(signedBody(operation)))).toEqual({
      status: 401,
      body: { errors: [{ message: expect.any(String), extensions: { code: 'UNAUTHENTICATED' } }] },
    });
  });

  const FEDERATION: [string, Caller, { query: string; variables?: Record<string, unknown> }][] = [
    ['its schema', { kind: 'gateway' }, { query: '{ _service { sdl } }' }],
    [
      'entities',
      user('ADMIN'),
      {
        query: 'query ($refs: [_Any!]!) { _entities(representations: $refs) { __typename } }',
        variables: { refs: [{ __typename: 'Flag', key: 'eco' }] },
      },
    ],
  ];

  test.each(FEDERATION)(
    'gives %s to no caller without an identity, or with a forged or a used one',
    async (_what, caller, asked) => {
      const body = signedBody(asked);
      const used = await tokens.sign(identityOf(caller), 'flags', body);
      expect((await post(asked, used)).status).toBe(200);
      for (const token of [undefined, 'admin', await forged(body, { secret: `${SECRET}y` }), used]) {
        expect(await post(asked, token)).toEqual({
          status: 401,
          body: { errors: [{ message: expect.any(String), extensions: { code: 'UNAUTHENTICATED' } }] },
        });
      }
    },
  );

  test.each(FEDERATION)(
    'gives %s over a websocket to no caller without an identity, or with a forged or a used one',
    async (_what, caller, asked) => {
      const body = signedBody(asked);
      const used = await tokens.sign(identityOf(caller), 'flags', body);
      expect((await post(asked, used)).status).toBe(200);
      for (const token of [undefined, await forged(body, { secret: `${SECRET}y` }), used]) {
        const init = { [IDENTITY_HEADER]: await tokens.sign(identity, 'flags', CONNECTION_BODY) };
        const { messages } = await socket(init, {
          id: '1',
          type: 'subscribe',
          payload: { ...asked, extensions: { [IDENTITY_HEADER]: token } },
        });
        expect(messages.map(({ type }) => type)).toEqual(['connection_ack', 'error']);
        expect(messages.at(-1)).toMatchObject({ payload: [{ extensions: { code: 'UNAUTHENTICATED' } }] });
      }
    },
  );

  test.each([
    ['is not JSON', '{'],
    ['is no object', '7'],
    ['has no query', '{"variables":{}}'],
  ])('refuses a body that %s as input, not as a fault', async (_what, body) => {
    expect(await post(body, undefined)).toMatchObject({
      status: 400,
      body: { errors: [{ extensions: { code: 'BAD_USER_INPUT' } }] },
    });
  });

  /** Opens a websocket, sends messages, gives what comes back and how it is closed. */
  async function socket(
    init: unknown,
    then?: unknown,
  ): Promise<{ messages: { type: string; payload?: unknown }[]; code: number }> {
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
    expect(messages.at(-1)).toMatchObject({
      id: '1',
      type: 'error',
      payload: [{ extensions: { code: 'UNAUTHENTICATED' } }],
    });
    expect(changes.open).toBe(0);
  });

  test('shows without an identity whether it is alive and ready, and its public keys', async () => {
    for (const [path, body] of [
      ['/health/live', { status: 'ok' }],
      ['/health/ready', { status: 'ok' }],
      ['/.well-known/jwks.json', { keys: [] }],
    ] as const) {
      const response = await fetch(`http://127.0.0.1:${server.port}${path}`);
      expect([response.status, await response.json()]).toEqual([200, body]);
    }
  });
});

describe('what a subgraph process shows of itself', () => {
  const TOKEN = 'a-token-of-the-metrics';
  let server: Awaited<ReturnType<typeof serve>> | undefined;
  afterEach(() => server?.close());

  async function send(path: string, headers: Record<string, string> = {}, more: Partial<SubgraphProcessOptions> = {}) {
    server ??= await serve(new ScriptedChanges(), more);
    return fetch(`http://127.0.0.1:${server.port}${path}`, { headers });
  }

  beforeEach(() => (server = undefined));

  test('it is not ready while its stores are down, and ends the connection of the caller', async () => {
    let isReady = false;
    const more = { ready: async () => isReady };
    const refused = await send('/health/ready', {}, more);
    expect([refused.status, refused.headers.get('connection')]).toEqual([503, 'close']);
    isReady = true;
    const ready = await send('/health/ready');
    expect([ready.status, ready.headers.get('connection')]).toEqual([200, 'keep-alive']);
  });

  test('metrics are for this machine alone without a token', async () => {
    const metrics = new Metrics();
    new SubgraphMetrics(metrics).ran('flags', 'query', 'OK', 0.1);
    const more = { scraped: { metrics, token: null } };
    const answer = await send('/metrics', {}, more);
    expect([answer.status, answer.headers.get('content-type')]).toEqual([
      200,
      'text/plain; version=0.0.4; charset=utf-8',
    ]);
    expect(await answer.text()).toContain(
      'fleetflag_subgraph_operations_total{subgraph="flags",type="query",code="OK"} 1',
    );
    expect((await send('/metrics', { 'x-forwarded-for': '127.0.0.1' })).status).toBe(403);
  });

  test('metrics are for every reader with the token, and for no other', async () => {
    const more = { scraped: { metrics: new Metrics(), token: TOKEN } };
    expect((await send('/metrics', {}, more)).status).toBe(401);
    expect((await send('/metrics', { authorization: 'Bearer another-token-of-it' })).status).toBe(401);
    expect((await send('/metrics', { authorization: `Bearer ${TOKEN}` })).status).toBe(200);
  });

  test('there are no metrics at a server beside others of its process', async () => {
    expect((await send('/metrics')).status).toBe(404);
  });

  test('an answer has the id of its request, a refusal too', async () => {
    const id = '0b9c7a54-7c2e-4f0a-9d0e-3d7f4a1b2c3d';
    expect((await send('/nowhere', { 'x-request-id': id })).headers.get('x-request-id')).toBe(id);
    expect((await send('/health/live', { 'x-request-id': 'mine' })).headers.get('x-request-id')).toMatch(
      /^[0-9a-f-]{36}$/,
    );
  });
});
