import { randomUUID } from 'node:crypto';
import { connect } from 'node:net';
import { afterEach, describe, expect, test } from '@jest/globals';
import { gatewayUnderTest, type GatewayUnderTest } from './testing/gateway-under-test.ts';
import { eventually } from '../../../core/testing/eventually.ts';
import type { WireClient } from '../../subscriptions/testing/wire-client.ts';

const NARROW = 'subscription ($e: String!) { changes(environment: $e) { revision flag { key note } } }';
const production = { variables: { e: 'production' } };

let gateway: GatewayUnderTest;
const start = async (...options: Parameters<typeof gatewayUnderTest>) => (gateway = await gatewayUnderTest(...options));
const change = (revision: number, note?: string) =>
  gateway.changes.emit({
    environment: 'production',
    revision,
    previousRevision: revision - 1,
    flag: { key: `flag-${revision}`, ...(note === undefined ? {} : { note }) },
  });
afterEach(() => gateway.stop());

describe('a client that does not keep up', () => {
  test('is dropped with a retryable code past a bound of buffered bytes, and others get everything', async () => {
    await start({ limits: { bufferedBytes: 64 * 1024, closeTimeoutMs: 100 } });
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
    expect(quick.results('a').map(({ data }) => (data?.['changes'] as { revision: number }).revision)).toEqual(
      Array.from({ length: revision }, (_, index) => index + 1),
    );
    await eventually(() => gateway.server.counters().sockets === 1, 'the slow socket to be terminated');
    expect(gateway.server.counters()).toMatchObject({ slowClosed: 1, operations: 1 });
    slow.socket.resume();
    await slow.close();
    expect(slow.results('a').length).toBeLessThan(revision);
  });

  test('skips to the newest event where it can tell what it missed, and then gets every event again', async () => {
    await start({ limits: { bufferedBytes: 64 * 1024 } });
    const [slow, quick] = await Promise.all([gateway.client(), gateway.client()]);
    const chained =
      'subscription ($e: String!) { changes(environment: $e) { revision previousRevision flag { note } } }';
    for (const client of [slow, quick]) client.subscribe('a', chained, production);
    await gateway.operations(2);
    const revisions = (client: WireClient) =>
      client.results('a').map(({ data }) => (data?.['changes'] as { revision: number }).revision);
    slow.socket.pause();
    const note = 'n'.repeat(100_000);
    let revision = 0;
    while (gateway.server.counters().skips === 0) {
      change(++revision, note);
      await quick.result('a', revision);
      expect(revision).toBeLessThan(500);
    }
    for (let more = 0; more < 5; more++) {
      change(++revision, note);
      await quick.result('a', revision);
    }
    slow.socket.resume();
    await eventually(() => revisions(slow).at(-1) === revision, 'the newest event');
    change(++revision);
    await eventually(() => revisions(slow).at(-1) === revision, 'the next event');
    const heard = revisions(slow);
    const gaps = heard.flatMap((it, index) => (it === (heard[index - 1] ?? 0) + 1 ? [] : [it]));
    // One gap, before the event that was the newest when it read again.
    expect(gaps).toEqual([revision - 1]);
    expect(revisions(quick)).toEqual(Array.from({ length: revision }, (_, index) => index + 1));
    expect(gateway.server.counters()).toMatchObject({ skips: 1, slowClosed: 0, sockets: 2 });
  });

  test('is dropped when it has read nothing for as long as a pong may take, though it could tell', async () => {
    await start({ limits: { bufferedBytes: 64 * 1024, pongDeadlineMs: 100, closeTimeoutMs: 100 } });
    const client = await gateway.client();
    client.subscribe('a', 'subscription { changes(environment: "production") { previousRevision flag { note } } }');
    await gateway.operations(1);
    client.socket.pause();
    const note = 'n'.repeat(100_000);
    for (let revision = 1; gateway.server.counters().skips === 0; revision++) {
      change(revision, note);
      await new Promise((resolve) => setImmediate(resolve));
    }
    await eventually(() => gateway.server.counters().slowClosed === 1, 'the client to be dropped');
    await eventually(() => gateway.server.counters().sockets === 0, 'its socket to be gone');
  });

  test('with a large answer that it asked for is not dropped for that, and reads what comes after it', async () => {
    const answer = 'x'.repeat(16 * 1024 * 1024);
    let executed = false;
    const execute = () => {
      executed = true;
      return Promise.resolve({ data: { answer } });
    };
    await start({ limits: { bufferedBytes: 64 * 1024 }, execute });
    const client = await gateway.client();
    client.subscribe('s', NARROW, production);
    await gateway.operations(1);
    client.socket.pause();
    client.subscribe('q', '{ revision }');
    await eventually(() => executed && gateway.server.counters().operations === 1, 'the query to have run');
    change(1);
    await eventually(() => gateway.server.counters().framesSent === 1, 'the frame to be written');
    expect(gateway.server.counters().slowClosed).toBe(0);
    client.socket.resume();
    await client.result('s');
    expect(client.results('q')).toEqual([{ data: { answer } }]);
    expect(client.received.map(({ type }) => type)).toEqual(['connection_ack', 'next', 'complete', 'next']);
  });

  test('because a subgraph hangs gets what could be fetched, with an error, and then the next event', async () => {
    await start({ limits: { executionTimeoutMs: 50 } });
    gateway.audit.history = (key) => (key === 'flag-1' ? new Promise(() => undefined) : ['fine']);
    const client = await gateway.client();
    client.subscribe('a', 'subscription { changes(environment: "production") { revision flag { key history } } }');
    await gateway.operations(1);
    change(1);
    change(2);
    expect((await client.result('a')).errors).toMatchObject([{ extensions: { code: 'SERVICE_UNAVAILABLE' } }]);
    expect(await client.result('a', 2)).toEqual({
      data: { changes: { revision: 2, flag: { key: 'flag-2', history: ['fine'] } } },
    });
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
    await eventually(() => gateway.changes.open === 0, 'the upstream to end');
  });

  test('never makes others read its id, although its bytes wait while theirs are written', async () => {
    await start({ limits: { bufferedBytes: 64 * 1024 * 1024 } });
    const clients = await Promise.all(Array.from({ length: 12 }, () => gateway.client()));
    const ids = clients.map(() => randomUUID());
    clients.forEach((client, index) => client.subscribe(ids[index] ?? '', NARROW, production));
    await gateway.operations(12);
    const paused = clients.filter((_, index) => index % 3 === 0);
    for (const { socket } of paused) socket.pause();
    // More than the kernel takes for a socket that nobody reads.
    const note = 'n'.repeat(800_000);
    for (let revision = 1; revision <= 10; revision++) {
      change(revision, note);
      await Promise.all(
        clients.flatMap((client, index) =>
          paused.includes(client) ? [] : [client.result(ids[index] ?? '', revision)],
        ),
      );
    }
    for (const { socket } of paused) socket.resume();
    await Promise.all(clients.map((client, index) => client.result(ids[index] ?? '', 10)));
    for (const [index, { received }] of clients.entries()) {
      expect(new Set(received.slice(1).map(({ id }) => id))).toEqual(new Set([ids[index]]));
      expect(received).toHaveLength(11);
    }
  });

  test('is terminated when it does not answer a ping', async () => {
    await start({ limits: { pingIntervalMs: 40, pongDeadlineMs: 40 } });
    const client = await gateway.client();
    const port = Number(new URL(gateway.url).port);
    const dead = connect(port, '127.0.0.1');
    dead.on('error', () => undefined);
    dead.write(
      `GET /graphql HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${Buffer.alloc(16).toString('base64')}\r\nSec-WebSocket-Protocol: graphql-transport-ws\r\n\r\n`,
    );
    dead.resume();
    await eventually(() => gateway.server.counters().deadClosed === 1, 'the dead socket to be terminated');
    await eventually(() => dead.closed, 'the dead socket to be gone');
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
      steps: {
        name: (_caller, naming) =>
          naming().query === ''
            ? new Promise((resolve) => (found = () => resolve({ sha256: '', body: NARROW })))
            : null,
      },
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
    await start({ limits: { establishmentTimeoutMs: 50 } });
    gateway.flags.establishing = new Promise(() => undefined);
    const client = await gateway.client();
    client.subscribe('s', NARROW, production);
    expect((await client.close()).code).toBe(1013);
  });

  test('waits for a grace where the subgraph connection cannot tell', async () => {
    await start({ limits: { establishmentGraceMs: 60 } });
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
    await start({ limits: { closeTimeoutMs: 100 } });
    const clients = await Promise.all(Array.from({ length: 5 }, () => gateway.client()));
    for (const client of clients) client.subscribe('a', NARROW, production);
    await gateway.operations(5);
    const [stuck, ...others] = clients;
    stuck?.socket.pause();
    await gateway.server.close(50);
    expect(gateway.server.counters()).toMatchObject({ sockets: 0, operations: 0, upstreams: 0 });
    for (const client of others) expect((await client.close()).code).toBe(1012);
    await eventually(() => gateway.changes.open === 0, 'the upstream to end');
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
