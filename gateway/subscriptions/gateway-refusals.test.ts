import { connect } from 'node:net';
import { afterEach, describe, expect, test } from '@jest/globals';
import { FleetFlagError } from '../../core/errors.ts';
import { gatewayUnderTest, type GatewayUnderTest } from './testing/gateway-under-test.ts';
import { eventually } from './testing/wire-client.ts';

const NARROW = 'subscription ($e: String!) { changes(environment: $e) { revision flag { key note } } }';
const production = { variables: { e: 'production' } };

let gateway: GatewayUnderTest;
const start = async (...options: Parameters<typeof gatewayUnderTest>) => (gateway = await gatewayUnderTest(...options));
const change = (revision: number, note?: string) =>
  gateway.changes.emit({ environment: 'production', revision, flag: { key: `flag-${revision}`, ...(note === undefined ? {} : { note }) } });
afterEach(() => gateway.stop());

describe('a document that cannot run', () => {
  test.each([
    ['a syntax error', 'subscription {', {}],
    ['an unknown field', 'subscription { changes(environment: "production") { nothing } }', {}],
    ['two root fields', 'subscription { changes(environment: "production") { revision } b: changes(environment: "x") { revision } }', {}],
    ['a variable in the root @include', 'subscription ($v: Boolean!) { changes(environment: "production") @include(if: $v) { revision } }', { variables: { v: true } }],
    ['nothing left by @skip', 'subscription { changes(environment: "production") @skip(if: true) { revision } }', {}],
    ['a missing variable', NARROW, {}],
    ['a variable of the wrong type', NARROW, { variables: { e: 5 } }],
    ['an unknown operation name', 'subscription A { changes(environment: "production") { revision } }', { operationName: 'B' }],
    ['no operation at all', 'fragment F on Change { revision }', {}],
  ])('(%s) is answered by an error for its id, and leaves the socket and its other operations running', async (_, query, more) => {
    await start();
    const client = await gateway.client();
    client.subscribe('good', NARROW, production);
    client.subscribe('bad', query, more);
    const errors = await client.error('bad');
    expect(errors.length).toBeGreaterThan(0);
    expect(errors[0]?.extensions).toMatchObject({ code: 'BAD_USER_INPUT' });
    await gateway.operations(1);
    change(1);
    await client.result('good');
    client.subscribe('bad', NARROW, production);
    await gateway.operations(2);
    expect(client.closed).toBeNull();
  });

  test('is refused by its number of tokens before it is parsed', async () => {
    await start({ limits: { maxDocumentTokens: 50 } });
    const client = await gateway.client();
    client.subscribe('a', `{ ${'revision '.repeat(60)} }`);
    expect((await client.error('a'))[0]?.message).toContain('token');
  });
});

describe('a caller', () => {
  test('who may not run an operation gets an error for it', async () => {
    await start();
    const client = await gateway.client();
    client.subscribe('a', NARROW, { variables: { e: 'elsewhere' } });
    expect(await client.error('a')).toEqual([{ message: 'Not your environment.', extensions: { code: 'FORBIDDEN' } }]);
    expect(gateway.server.counters().upstreams).toBe(0);
  });

  test('who is not authenticated is closed with 4403, and with 1013 when nobody could tell', async () => {
    await start();
    for (const [authorization, code] of [['bad', 4403], ['down', 1013]] as const) {
      const client = await gateway.rawClient().opened();
      client.send({ type: 'connection_init', payload: { authorization } });
      expect((await client.close()).code).toBe(code);
    }
  });

  test('whose credential expires is closed with 4403', async () => {
    const expiresAt = new Date(Date.now() + 60);
    await start({
      authenticate: () => Promise.resolve({ caller: { kind: 'user', userId: 'u', role: 'READ' }, expiresAt }),
      limits: { connectionInitTimeout: 200 },
    });
    const client = await gateway.client();
    expect(await client.close()).toEqual({ code: 4403, reason: 'Forbidden' });
    expect(Date.now()).toBeGreaterThanOrEqual(expiresAt.getTime());
  });

  test('whose credential is revoked is closed with 4403, others are not', async () => {
    await start({
      authenticate: ({ session }) => Promise.resolve({ caller: { kind: 'user', userId: 'u', role: 'READ' }, credential: String(session) }),
    });
    const [revoked, other] = await Promise.all([gateway.client({ session: 'one' }), gateway.client({ session: 'two' })]);
    expect(gateway.server.disconnect(({ credential }) => credential === 'one')).toBe(1);
    expect((await revoked.close()).code).toBe(4403);
    other.subscribe('a', NARROW, production);
    await gateway.operations(1);
    expect(other.closed).toBeNull();
  });

  test('may have an operation looked up, and is refused what the lookup refuses', async () => {
    await start({
      resolveOperation: async ({ extensions, ...request }) => {
        if (extensions?.['id'] !== 'known') throw new FleetFlagError('BAD_USER_INPUT', 'Not registered.');
        return { ...request, query: NARROW };
      },
    });
    const client = await gateway.client();
    client.subscribe('a', '', { ...production, extensions: { id: 'known' } });
    client.subscribe('b', '', { ...production, extensions: { id: 'unknown' } });
    expect((await client.error('b'))[0]?.message).toBe('Not registered.');
    await gateway.operations(1);
    change(1);
    await client.result('a');
  });
});

describe('the protocol', () => {
  test.each([
    ['text that is not JSON', ['hello'], 4400],
    ['an unknown message', [{ type: 'shout' }], 4400],
    ['a message of the server', [{ type: 'connection_ack' }], 4400],
    ['a subscribe without a query', [{ type: 'connection_init' }, { id: 'a', type: 'subscribe', payload: {} }], 4400],
    ['an operation before the acknowledgement', [{ id: 'a', type: 'subscribe', payload: { query: '{ revision }' } }], 4401],
    ['a second initialisation', [{ type: 'connection_init' }, { type: 'connection_init' }], 4429],
  ])('closes the socket after %s', async (_, messages, code) => {
    await start();
    const client = await gateway.rawClient().opened();
    for (const message of messages) client.send(message);
    expect((await client.close()).code).toBe(code);
  });

  test('closes the socket with 4409 when an id is used twice at a time, and with 4400 when one is too long', async () => {
    await start();
    const [twice, long] = await Promise.all([gateway.client(), gateway.client()]);
    twice.subscribe('a', NARROW, production);
    twice.subscribe('a', NARROW, production);
    expect(await twice.close()).toEqual({ code: 4409, reason: 'Subscriber for a already exists' });
    long.subscribe('i'.repeat(257), NARROW, production);
    expect((await long.close()).code).toBe(4400);
    await eventually('the upstream to end', () => gateway.changes.open === 0);
  });

  test('answers a ping with its payload', async () => {
    await start();
    const client = await gateway.rawClient().opened();
    client.send({ type: 'ping', payload: { n: 1 } });
    expect(await client.message('pong')).toEqual({ type: 'pong', payload: { n: 1 } });
  });

  test('closes with 4408 a socket that does not initialise in time', async () => {
    await start({ limits: { connectionInitTimeout: 50 } });
    expect((await gateway.rawClient().close()).code).toBe(4408);
  });

  test('refuses another subprotocol', async () => {
    await start();
    const none = gateway.rawClient([]);
    expect(await none.close()).toEqual({ code: 4406, reason: 'Subprotocol not acceptable' });
    await gateway.rawClient('graphql-ws').close();
    expect(gateway.server.counters().sockets).toBe(0);
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
    await eventually('the first to close', () => gateway.server.counters().sockets === 0);
    await gateway.client();
  });
});

describe('a client that does not keep up', () => {
  test('is dropped with a retryable code past a bound of buffered bytes, and others get everything', async () => {
    await start({ limits: { bufferedBytes: 64 * 1024, closeTimeout: 100 } });
    const [slow, quick] = await Promise.all([gateway.client(), gateway.client()]);
    slow.subscribe('a', NARROW, production);
    quick.subscribe('a', NARROW, production);
    await gateway.operations(2);
    slow.socket.pause();
    const note = 'n'.repeat(100_000);
    let revision = 0;
    while (gateway.server.counters().slowClosed === 0) {
      change(++revision, note);
      await quick.result('a', revision);
      expect(revision).toBeLessThan(500);
    }
    change(++revision, note);
    await quick.result('a', revision);
    expect(quick.results('a').map(({ data }) => (data?.['changes'] as { revision: number }).revision)).toEqual(Array.from({ length: revision }, (_, index) => index + 1));
    await eventually('the slow socket to be terminated', () => gateway.server.counters().sockets === 1);
    expect(gateway.server.counters()).toMatchObject({ slowClosed: 1, operations: 1 });
    slow.socket.resume();
    await slow.close();
    expect(slow.results('a').length).toBeLessThan(revision);
  });

  test('with execution must resync instead of letting events pile up', async () => {
    await start({ limits: { maxQueuedEvents: 3 } });
    let release = (): void => undefined;
    gateway.audit.history = () => new Promise((resolve) => (release = () => resolve([])));
    const client = await gateway.client();
    client.subscribe('a', 'subscription { changes(environment: "production") { revision flag { history } } }');
    await gateway.operations(1);
    for (let revision = 1; revision <= 6; revision++) change(revision);
    expect(await client.close()).toEqual({ code: 1013, reason: 'Subscription interrupted' });
    release();
    await eventually('the upstream to end', () => gateway.changes.open === 0);
  });

  test('is terminated when it does not answer a ping', async () => {
    await start({ limits: { pingInterval: 40, pongDeadline: 40 } });
    const client = await gateway.client();
    const port = Number(new URL(gateway.url).port);
    const dead = connect(port, '127.0.0.1');
    dead.on('error', () => undefined);
    dead.write(`GET /graphql HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${Buffer.alloc(16).toString('base64')}\r\nSec-WebSocket-Protocol: graphql-transport-ws\r\n\r\n`);
    dead.resume();
    await eventually('the dead socket to be terminated', () => gateway.server.counters().deadClosed === 1);
    await eventually('the dead socket to be gone', () => dead.closed);
    expect(client.closed).toBeNull();
    expect(gateway.server.counters().sockets).toBe(1);
  });
});

describe('what a client reads after it has subscribed', () => {
  test('is read only when the upstream of its subscription is established', async () => {
    await start();
    let establish = (): void => undefined;
    gateway.flags.establishing = new Promise((resolve) => (establish = resolve));
    const client = await gateway.client();
    client.subscribe('s', NARROW, production);
    client.subscribe('q', '{ revision }');
    const other = await gateway.client();
    other.subscribe('q', '{ revision }');
    // The other socket's query was sent later and is answered: the first one's waits for something.
    await other.result('q');
    client.send({ type: 'ping' });
    await client.message('pong');
    expect(client.results('q')).toEqual([]);
    gateway.state.revision = 11;
    establish();
    expect(await client.result('q')).toEqual({ data: { revision: 11 } });
  });

  test('waits also for a subscription whose operation is still being looked up', async () => {
    let found = (): void => undefined;
    await start({
      resolveOperation: (request) => (request.query === '' ? new Promise((resolve) => (found = () => resolve({ ...request, query: NARROW }))) : null),
    });
    const client = await gateway.client();
    client.subscribe('s', '', production);
    client.subscribe('q', '{ revision }');
    client.send({ type: 'ping' });
    await client.message('pong');
    expect(client.results('q')).toEqual([]);
    found();
    await client.result('q');
    expect(gateway.server.counters().upstreams).toBe(1);
  });

  test('does not wait for ever: an upstream that is not established in time is lost', async () => {
    await start({ limits: { establishmentTimeout: 50 } });
    gateway.flags.establishing = new Promise(() => undefined);
    const client = await gateway.client();
    client.subscribe('s', NARROW, production);
    expect((await client.close()).code).toBe(1013);
  });

  test('waits for a grace where the subgraph connection cannot tell', async () => {
    await start({ limits: { establishmentGrace: 60 } });
    gateway.flags.establishing = undefined;
    const client = await gateway.client();
    const begun = performance.now();
    client.subscribe('s', NARROW, production);
    client.subscribe('q', '{ revision }');
    await client.result('q');
    expect(performance.now() - begun).toBeGreaterThanOrEqual(59);
  });
});

describe('closing the server', () => {
  test('closes every socket with 1012, terminates those that do not answer, and ends the upstreams', async () => {
    await start({ limits: { closeTimeout: 100 } });
    const clients = await Promise.all(Array.from({ length: 5 }, () => gateway.client()));
    for (const client of clients) client.subscribe('a', NARROW, production);
    await gateway.operations(5);
    const [stuck, ...others] = clients;
    stuck?.socket.pause();
    await gateway.server.close(50);
    expect(gateway.server.counters()).toMatchObject({ sockets: 0, operations: 0, upstreams: 0 });
    for (const client of others) expect((await client.close()).code).toBe(1012);
    await eventually('the upstream to end', () => gateway.changes.open === 0);
    await gateway.rawClient().close();
    expect(gateway.server.counters().sockets).toBe(0);
  });
});

describe('a schema that is reloaded', () => {
  test('applies to new operations and leaves running ones alone', async () => {
    await start();
    const client = await gateway.client();
    client.subscribe('old', NARROW, production);
    await gateway.operations(1);
    Object.assign(gateway.schema, { supergraphSdl: `${gateway.schema.supergraphSdl}\n` });
    client.subscribe('new', NARROW, production);
    await gateway.operations(2);
    change(1);
    await Promise.all([client.result('old'), client.result('new')]);
    expect(gateway.server.counters()).toMatchObject({ upstreams: 1, distinctOperations: 2 });
  });
});
