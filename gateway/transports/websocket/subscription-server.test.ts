import { randomUUID } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { createClient } from 'graphql-ws';
import { WebSocket } from 'ws';
import { gatewayUnderTest, type GatewayUnderTest } from './testing/gateway-under-test.ts';
import { eventually } from '../../../core/testing/eventually.ts';

const CROSSING =
  'subscription ($e: String!) { changes(environment: $e) { revision flag { key history(first: 1) owner } } }';
const NARROW = 'subscription ($e: String!) { changes(environment: $e) { revision flag { key } } }';
const production = { variables: { e: 'production' } };

let gateway: GatewayUnderTest;
const change = (revision: number, key = `flag-${revision}`) =>
  gateway.changes.emit({ environment: 'production', revision, flag: { key } });
const revisions = (results: readonly { data?: Record<string, unknown> | null }[]) =>
  results.map(({ data }) => (data?.['changes'] as { revision: number }).revision);

beforeEach(async () => {
  gateway = await gatewayUnderTest();
});
afterEach(() => gateway.stop());

describe('a subscription that crosses subgraphs', () => {
  test('gives each event the fields of the other subgraph, with aliases, variables and @include', async () => {
    const client = await gateway.client();
    const query =
      'subscription ($e: String!, $n: Int!, $all: Boolean!) { c: changes(environment: $e) { r: revision flag { key h: history(first: $n) owner @include(if: $all) note } } }';
    client.subscribe('a', query, { variables: { e: 'production', n: 2, all: false } });
    await gateway.operations(1);
    change(7, 'abs');
    expect(await client.result('a')).toEqual({
      data: { c: { r: 7, flag: { key: 'abs', h: ['abs created', 'abs changed'], note: null } } },
    });
  });

  test('works for a stock graphql-ws client with its own ids', async () => {
    const client = createClient({ url: gateway.url, webSocketImpl: WebSocket });
    const results = client.iterate({ query: CROSSING, ...production });
    const first = results.next();
    await gateway.operations(1);
    change(1);
    expect(await first).toEqual({
      done: false,
      value: {
        data: { changes: { revision: 1, flag: { key: 'flag-1', history: ['flag-1 created'], owner: 'fleet team' } } },
      },
    });
    await results.return?.();
    await client.dispose();
    await eventually(() => gateway.changes.open === 0, 'the upstream to end');
  });

  test('reports what a subgraph could not give as a masked error beside the rest', async () => {
    const client = await gateway.client();
    client.subscribe('a', 'subscription { changes(environment: "production") { revision flag { key secret } } }');
    await gateway.operations(1);
    change(1);
    const { data, errors } = await client.result('a');
    expect(data).toEqual({ changes: { revision: 1, flag: { key: 'flag-1', secret: null } } });
    expect(errors).toHaveLength(1);
    expect(errors?.[0]).toMatchObject({ message: 'Internal server error', path: ['changes', 'flag', 'secret'] });
    expect(JSON.stringify(errors)).not.toMatch(/ECONNREFUSED|audit|#event/);
  });

  test('reports a missing non-null field as an error, not as a silent null', async () => {
    gateway.audit.owner = () => null;
    const client = await gateway.client();
    client.subscribe('a', CROSSING, production);
    await gateway.operations(1);
    change(1);
    const { data, errors, extensions } = await client.result('a');
    expect(data).toBeNull();
    expect(errors?.length).toBeGreaterThan(0);
    expect(extensions).toBeUndefined();
  });
});

describe('clients that ask the same', () => {
  test('share one upstream and one execution for each event', async () => {
    const clients = await Promise.all(
      Array.from({ length: 20 }, (_, index) => gateway.client({ vin: `vin-${index}` })),
    );
    for (const client of clients) client.subscribe(randomUUID(), CROSSING, production);
    await gateway.operations(20);
    change(1);
    change(2);
    for (const { received } of clients) {
      await eventually(() => received.filter(({ type }) => type === 'next').length === 2, 'two results');
    }
    expect(gateway.server.counters()).toMatchObject({
      sockets: 20,
      operations: 20,
      upstreams: 1,
      distinctOperations: 1,
      executions: 2,
      upstreamEvents: 2,
      framesSent: 40,
      upstreamsLost: 0,
    });
    expect(gateway.flags.subscribed).toHaveLength(1);
    expect(gateway.auditSubgraph.executed).toHaveLength(2);
  });

  test('are executed under the permission scope that they share, not as one of them', async () => {
    const client = await gateway.client({ vin: 'WVWZZZ1JZXW000042' });
    client.subscribe('a', CROSSING, production);
    await gateway.operations(1);
    change(1);
    await client.result('a');
    const scope = { kind: 'vehicle', vin: null, environment: 'production' };
    expect(gateway.flags.subscribed[0]?.identity.caller).toEqual(scope);
    expect(gateway.auditSubgraph.executed[0]?.identity.caller).toEqual(scope);
  });

  test('share the upstream but not the execution when they select differently', async () => {
    const client = await gateway.client();
    client.subscribe('wide', CROSSING, production);
    client.subscribe('narrow', CROSSING.replace('history(first: 1)', 'history(first: 2)'), production);
    await gateway.operations(2);
    change(1);
    expect(await client.result('wide')).toMatchObject({ data: { changes: { flag: { history: ['flag-1 created'] } } } });
    expect(await client.result('narrow')).toMatchObject({
      data: { changes: { flag: { history: ['flag-1 created', 'flag-1 changed'] } } },
    });
    expect(gateway.server.counters()).toMatchObject({
      upstreams: 1,
      distinctOperations: 2,
      executions: 2,
      upstreamEvents: 1,
    });
  });

  test('share nothing across permission scopes or variables', async () => {
    const vehicle = await gateway.client();
    const user = await gateway.client({ role: 'READ' });
    vehicle.subscribe('a', NARROW, production);
    user.subscribe('a', NARROW, production);
    user.subscribe('b', NARROW, { variables: { e: 'staging' } });
    await gateway.operations(3);
    expect(gateway.server.counters()).toMatchObject({ upstreams: 3, distinctOperations: 3 });
  });

  test('share although variables are spelled in another order, given their default, or not declared', async () => {
    const query = 'subscription ($e: String!, $p: String = "") { changes(environment: $e, prefix: $p) { revision } }';
    const client = await gateway.client();
    client.subscribe('a', query, { variables: { e: 'production', p: '' } });
    client.subscribe('b', query, { variables: { p: '', e: 'production' } });
    client.subscribe('c', query, { variables: { e: 'production', unused: randomUUID() } });
    await gateway.operations(3);
    expect(gateway.server.counters()).toMatchObject({ upstreams: 1, distinctOperations: 1 });
  });

  test.each([
    ['a UUID', randomUUID()],
    ['ASCII', 'op-1'],
    ['Unicode', 'Wagen-№-\u{1F697}'],
    ['quotes and a backslash', 'say "\\" twice'],
    ['a control character', 'tab\there'],
  ])('each get their own id, %s included', async (_, id) => {
    const [one, other] = await Promise.all([gateway.client(), gateway.client()]);
    one.subscribe(id, NARROW, production);
    other.subscribe('plain', NARROW, production);
    await gateway.operations(2);
    change(1);
    expect(await one.result(id)).toEqual(await other.result('plain'));
    expect(one.received.map((message) => message.id)).toEqual([undefined, id]);
  });
});

describe('the order of events', () => {
  test('is kept although an earlier event takes longer to execute than a later one', async () => {
    let release = (): void => undefined;
    gateway.audit.history = (key) =>
      key === 'flag-1' ? new Promise((resolve) => (release = () => resolve(['slow']))) : ['fast'];
    const client = await gateway.client();
    client.subscribe('a', CROSSING, production);
    client.subscribe('b', NARROW, production);
    await gateway.operations(2);
    change(1);
    change(2);
    change(3);
    await client.result('b', 3);
    expect(client.results('a')).toEqual([]);
    await eventually(() => gateway.auditSubgraph.executed.length === 1, 'the slow request');
    release();
    await client.result('a', 3);
    expect(revisions(client.results('a'))).toEqual([1, 2, 3]);
    expect(revisions(client.results('b'))).toEqual([1, 2, 3]);
  });

  test('begins, for a client that joins during an execution, with the next event', async () => {
    let release = (): void => undefined;
    gateway.audit.history = (key) =>
      key === 'flag-1' ? new Promise((resolve) => (release = () => resolve(['slow']))) : ['fast'];
    const [early, late] = await Promise.all([gateway.client(), gateway.client()]);
    early.subscribe('a', CROSSING, production);
    await gateway.operations(1);
    change(1);
    await eventually(() => gateway.auditSubgraph.executed.length === 1, 'the execution');
    late.subscribe('a', CROSSING, production);
    await gateway.operations(2);
    change(2);
    release();
    await early.result('a', 2);
    await late.result('a');
    expect(revisions(early.results('a'))).toEqual([1, 2]);
    expect(revisions(late.results('a'))).toEqual([2]);
  });

  test('is kept within one write for events that come together', async () => {
    const client = await gateway.client();
    client.subscribe('a', NARROW, production);
    await gateway.operations(1);
    for (let revision = 1; revision <= 50; revision++) change(revision);
    await client.result('a', 50);
    expect(revisions(client.results('a'))).toEqual(Array.from({ length: 50 }, (_, index) => index + 1));
    const { framesSent, writes } = gateway.server.counters();
    expect(framesSent).toBe(50);
    expect(writes).toBeLessThan(50);
  });
});

describe('leaving', () => {
  test('by complete or by disconnecting does not disturb the others, and the last one out ends the upstream', async () => {
    const [one, two, three] = await Promise.all([gateway.client(), gateway.client(), gateway.client()]);
    for (const client of [one, two, three]) client.subscribe('a', NARROW, production);
    await gateway.operations(3);
    change(1);
    await Promise.all([one, two, three].map((client) => client.result('a')));
    one.send({ id: 'a', type: 'complete' });
    two.socket.terminate();
    await gateway.operations(1);
    change(2);
    await three.result('a', 2);
    expect(revisions(three.results('a'))).toEqual([1, 2]);
    expect(one.results('a')).toHaveLength(1);
    expect(gateway.server.counters().upstreams).toBe(1);
    three.send({ id: 'a', type: 'complete' });
    await eventually(
      () => gateway.changes.open === 0 && gateway.server.counters().upstreams === 0,
      'the upstream to end',
    );
    expect(gateway.server.counters()).toMatchObject({ operations: 0, distinctOperations: 0, sockets: 2 });
  });

  test('frees the id for a new operation', async () => {
    const client = await gateway.client();
    for (let round = 0; round < 3; round++) {
      client.subscribe('a', NARROW, production);
      client.send({ id: 'a', type: 'complete' });
    }
    client.subscribe('a', NARROW, production);
    await gateway.operations(1);
    change(1);
    await client.result('a');
    expect(client.results('a')).toHaveLength(1);
    expect(client.closed).toBeNull();
  });

  test('of the upstream by itself completes the operations after what was under way', async () => {
    const client = await gateway.client();
    client.subscribe('a', CROSSING, production);
    await gateway.operations(1);
    change(1);
    gateway.changes.finish();
    await client.message('complete', 'a');
    expect(client.received.map(({ type }) => type)).toEqual(['connection_ack', 'next', 'complete']);
    expect(gateway.server.counters()).toMatchObject({ operations: 0, upstreams: 0 });
  });
});

describe('an upstream that fails', () => {
  test('closes exactly the sockets that may have missed something, so that they come again', async () => {
    const [affected, other] = await Promise.all([gateway.client(), gateway.client()]);
    affected.subscribe('a', NARROW, production);
    other.subscribe('a', 'subscription { changes(environment: "staging") { revision } }');
    await gateway.operations(2);
    gateway.flags.fail('production');
    expect(await affected.close()).toEqual({ code: 1013, reason: 'Subscription interrupted' });
    gateway.changes.emit({ environment: 'staging', revision: 5, flag: { key: 'k' } });
    await other.result('a');
    expect(other.closed).toBeNull();
    expect(gateway.server.counters()).toMatchObject({ upstreamsLost: 1, upstreams: 1 });
    const again = await gateway.client();
    again.subscribe('a', NARROW, production);
    await gateway.operations(2);
    change(9);
    await again.result('a');
  });

  test('at once, because its subgraph is down, closes with a retryable code too', async () => {
    gateway.flags.subscribe = () => {
      throw new Error('connect ECONNREFUSED');
    };
    const client = await gateway.client();
    client.subscribe('a', NARROW, production);
    expect(await client.close()).toEqual({ code: 1013, reason: 'Subscription interrupted' });
  });

  test('because the subgraph refuses the operation fails that operation only', async () => {
    const client = await gateway.client();
    client.subscribe('bad', NARROW, { variables: { e: 'forbidden' } });
    client.subscribe('good', NARROW, production);
    expect(await client.error('bad')).toMatchObject([{ message: 'Not yours.', extensions: { code: 'FORBIDDEN' } }]);
    await gateway.operations(1);
    change(1);
    await client.result('good');
    expect(client.closed).toBeNull();
  });
});
