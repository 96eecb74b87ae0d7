import type { IncomingMessage } from 'node:http';
import { afterEach, describe, expect, test } from '@jest/globals';
import { createClient } from 'graphql-ws';
import { WebSocket } from 'ws';
import { gatewayUnderTest, type GatewayUnderTest } from './testing/gateway-under-test.ts';
import { AGENT_NAME } from '../../../core/wire/network/agent-name.ts';
import { eventually } from '../../../core/testing/eventually.ts';

const NARROW = 'subscription ($e: String!) { changes(environment: $e) { revision flag { key note } } }';
const production = { variables: { e: 'production' } };

let gateway: GatewayUnderTest;
const start = async (...options: Parameters<typeof gatewayUnderTest>) => (gateway = await gatewayUnderTest(...options));
afterEach(() => gateway.stop());

describe('the protocol', () => {
  test.each([
    ['text that is not JSON', ['hello'], 4400],
    ['an unknown message', [{ type: 'shout' }], 4400],
    ['a message of the server', [{ type: 'connection_ack' }], 4400],
    ['a subscribe without a query', [{ type: 'connection_init' }, { id: 'a', type: 'subscribe', payload: {} }], 4400],
    [
      'an operation before the acknowledgement',
      [{ id: 'a', type: 'subscribe', payload: { query: '{ revision }' } }],
      4401,
    ],
    ['a second initialisation', [{ type: 'connection_init' }, { type: 'connection_init' }], 4429],
  ])('closes the socket after %s', async (_, messages, code) => {
    await start();
    const client = await gateway.rawClient().opened();
    for (const message of messages) client.send(message);
    expect((await client.close()).code).toBe(code);
  });

  test('closes the socket with 4401 after an operation that does not wait for the acknowledgement, however long that takes', async () => {
    await start({ authenticate: () => new Promise(() => undefined) });
    const client = await gateway.rawClient().opened();
    client.send({ type: 'connection_init' });
    client.send({ id: 'a', type: 'subscribe', payload: { query: '{ revision }' } });
    expect((await client.close()).code).toBe(4401);
  });

  test('says why it closes the socket with 4403', async () => {
    await start();
    const client = await gateway.rawClient().opened();
    client.send({ type: 'connection_init', payload: { authorization: 'bad' } });
    expect(await client.close()).toEqual({ code: 4403, reason: 'Forbidden: No.' });
  });

  test('closes the socket with 4409 when an id is used twice at a time, and with 4400 when one is too long', async () => {
    await start();
    const [twice, long] = await Promise.all([gateway.client(), gateway.client()]);
    twice.subscribe('a', NARROW, production);
    twice.subscribe('a', NARROW, production);
    expect(await twice.close()).toEqual({ code: 4409, reason: 'Subscriber for a already exists' });
    long.subscribe('i'.repeat(257), NARROW, production);
    expect((await long.close()).code).toBe(4400);
    await eventually(() => gateway.changes.open === 0, 'the upstream to end');
  });

  test('answers a ping with its payload', async () => {
    await start();
    const client = await gateway.rawClient().opened();
    client.send({ type: 'ping', payload: { n: 1 } });
    expect(await client.message('pong')).toEqual({ type: 'pong', payload: { n: 1 } });
  });

  test('closes with 4408 a socket that does not initialise in time', async () => {
    await start({ limits: { connectionInitTimeoutMs: 50 } });
    expect((await gateway.rawClient().close()).code).toBe(4408);
  });

  test('refuses another subprotocol', async () => {
    await start();
    const none = gateway.rawClient([]);
    expect(await none.close()).toEqual({ code: 4406, reason: 'Subprotocol not acceptable' });
    await gateway.rawClient('graphql-ws').close();
    await eventually(() => gateway.server.counters().sockets === 0, 'both to be gone');
  });

  test('closes with 1009 a socket that sends too large a message', async () => {
    await start({ limits: { maxPayload: 1_000 } });
    const client = await gateway.client();
    client.subscribe('a', `# ${'x'.repeat(1_000)}\n{ revision }`);
    expect((await client.close()).code).toBe(1009);
  });

  test('runs queries and mutations, and masks what they throw', async () => {
    await start({ limits: { maxOperationsPerSocket: 2 } });
    const client = await gateway.client();
    gateway.state.revision = 3;
    client.subscribe('q', '{ revision }');
    expect(await client.result('q')).toEqual({ data: { revision: 3 } });
    await client.message('complete', 'q');
    client.subscribe('m', 'mutation { touch }');
    expect(await client.result('m')).toEqual({ data: { touch: true } });
  });

  test('refuses one operation more than a socket may have open', async () => {
    await start({ limits: { maxOperationsPerSocket: 2 } });
    const client = await gateway.client();
    for (const id of ['a', 'b', 'c']) client.subscribe(id, NARROW, production);
    expect(await client.error('c')).toMatchObject([{ extensions: { code: 'LIMIT_EXCEEDED', limit: 2 } }]);
    expect(client.closed).toBeNull();
  });

  test('refuses one socket more than an address may have open, until one is closed', async () => {
    await start({ limits: { maxSocketsPerAddress: 1 } });
    const first = await gateway.client();
    await gateway.rawClient().close();
    expect(gateway.server.counters()).toMatchObject({ sockets: 1, refused: 1 });
    first.socket.close();
    await eventually(() => gateway.server.counters().sockets === 0, 'the first to close');
    await gateway.client();
  });

  test('puts an agent off when there are too many, before the upgrade, and says until when', async () => {
    let room = 1;
    await start({
      admission: {
        admit: () => {
          room -= 1;
          return room >= 0 ? { admittedAt: 0 } : 7;
        },
        finish: (_admittedAt, served) => void (room += served ? 0 : 1),
        tick: () => undefined,
      },
    });
    const first = gateway.rawClient();
    await first.opened();
    const answer = await new Promise<IncomingMessage>((resolve) =>
      new WebSocket(gateway.url, 'graphql-transport-ws', { headers: { 'user-agent': AGENT_NAME } })
        .on('unexpected-response', (_request, response) => resolve(response))
        .on('error', () => undefined),
    );
    expect(answer.statusCode).toBe(503);
    expect(answer.headers).toMatchObject({ 'retry-after': '7', connection: 'close' });
    answer.destroy();
    room = 0;
    expect(gateway.server.counters()).toMatchObject({ sockets: 1, putOff: 1 });
    first.socket.close();
    await eventually(() => gateway.server.counters().sockets === 0, 'the first to close');
    await gateway.client();
  });

  test('lets a stock graphql-ws client that is put off connect again by itself', async () => {
    let putOff = 2;
    await start({
      admission: {
        admit: () => (putOff-- > 0 ? 1 : { admittedAt: 0 }),
        finish: () => undefined,
        tick: () => undefined,
      },
    });
    gateway.state.revision = 4;
    const client = createClient({ url: gateway.url, webSocketImpl: WebSocket, retryWait: () => Promise.resolve() });
    const result = await new Promise((resolve, reject) =>
      client.subscribe({ query: '{ revision }' }, { next: resolve, error: reject, complete: () => undefined }),
    );
    expect(result).toEqual({ data: { revision: 4 } });
    expect(gateway.server.counters().putOff).toBe(2);
    await client.dispose();
  });
});
