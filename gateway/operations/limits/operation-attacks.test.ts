import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { getIntrospectionQuery } from 'graphql';
import { ScriptedGateway } from '../../testing/scripted-gateway.ts';
import type { WireClient } from '../../subscriptions/testing/wire-client.ts';
import { eventually } from '../../../core/testing/eventually.ts';
import { OPERATION_LIMITS } from './operation-limits.ts';
import { OVER_THE_LIMIT } from './testing/over-the-limit.ts';

const STREAM = 'subscription { flagChanges(environment: STAGING) { revision } }';

let gateway: ScriptedGateway;
/** A socket with a good subscription on it, which has to outlive everything. */
let client: WireClient;
let operation = 0;

beforeAll(async () => {
  gateway = await ScriptedGateway.start();
  client = await gateway.client();
  client.subscribe('good', STREAM);
  await eventually(() => gateway.asked.some(({ query }) => query.includes('flagChanges')), 'the stream to begin');
});
afterAll(() => gateway.close());

let events = 0;
beforeEach(() => {
  gateway.asked.length = 0;
});

async function stillGood(): Promise<void> {
  events += 1;
  gateway.events.emit({ data: { flagChanges: { revision: events } } });
  expect(await client.result('good', events)).toEqual({ data: { flagChanges: { revision: events } } });
  expect(client.closed).toBeNull();
}

/**
 * Sends an operation over the websocket. Gives the errors of the answer, whether it was refused or has partial data.
 */
async function overSocket(query: string, variables: Record<string, unknown> = {}) {
  const id = `attack-${++operation}`;
  client.subscribe(id, query, { variables });
  const { type, payload } = await eventually(() => client.received.find((message) => message.id === id), 'an answer');
  return type === 'error' ? payload : payload?.errors;
}

const NESTED =
  'query ($outer: Int, $inner: Int) { flags(first: $outer) { nodes { history(first: $inner) { nodes { user { name } } } } } }';

describe('an operation that is too large', () => {
  // A subscription cannot be tried over HTTP, where there are none.
  test.each(OVER_THE_LIMIT.filter(({ query }) => !query.startsWith('subscription')))(
    'is refused over HTTP for its $limit, before anybody is asked: $what',
    async ({ query, limit }) => {
      const { status, body } = await gateway.ask(query);
      expect(status).toBe(400);
      expect(body.errors).toContainEqual({
        message: expect.any(String),
        extensions: { code: 'LIMIT_EXCEEDED', limit: OPERATION_LIMITS[limit] },
      });
      expect(body.data).toBeUndefined();
      expect(gateway.asked).toEqual([]);
    },
  );

  test.each(OVER_THE_LIMIT)(
    'is refused over a websocket for its $limit, and what runs on the socket goes on: $what',
    async ({ query, limit }) => {
      expect(await overSocket(query)).toContainEqual({
        message: expect.any(String),
        extensions: { code: 'LIMIT_EXCEEDED', limit: OPERATION_LIMITS[limit] },
      });
      expect(gateway.asked).toEqual([]);
      await stillGood();
    },
  );

  test.each([[{ outer: 100, inner: 100 }], [{ outer: 1_000_000, inner: 1_000_000 }]])(
    'is refused for the values of its variables: %j',
    async (variables) => {
      const refusal = [
        { message: expect.any(String), extensions: { code: 'LIMIT_EXCEEDED', limit: OPERATION_LIMITS.cost } },
      ];
      expect((await gateway.ask(NESTED, variables)).body.errors).toEqual(refusal);
      expect(await overSocket(NESTED, variables)).toEqual(refusal);
      expect(gateway.asked).toEqual([]);
    },
  );

  test('is not one with other values', async () => {
    await gateway.ask(NESTED, { outer: 10, inner: 10 });
    expect(gateway.asked.map(({ name }) => name)).toEqual(['flags']);
  });

  test.each([[{ outer: 'all' }], [{ outer: { $gt: '' } }], [{ outer: 1e300 }], [{ outer: [1, 2] }]])(
    'is BAD_USER_INPUT where its page size is none: %j',
    async (variables) => {
      expect((await gateway.ask(NESTED, variables)).body.errors).toMatchObject([
        { extensions: { code: 'BAD_USER_INPUT', field: 'outer' } },
      ]);
      expect(await overSocket(NESTED, variables)).toMatchObject([
        { extensions: { code: 'BAD_USER_INPUT', field: 'outer' } },
      ]);
      await stillGood();
    },
  );

  test.each([
    ['a circle of fragments', '{ flag(key: "x") { ...A } } fragment A on Flag { ...B } fragment B on Flag { ...A }'],
    ['a fragment in itself', 'query { ...Q } fragment Q on Query { me { kind } ...Q }'],
    ['one directive again and again', `{ me { kind ${'@include(if: true) '.repeat(100)} } }`],
    ['as many unknown names as fit', `{ me { ${Array.from({ length: 400 }, (_, n) => `k${n}`).join(' ')} } }`],
  ])('in another way is refused as wrong: %s', async (_what, query) => {
    expect((await gateway.ask(query)).body.errors?.[0]).toMatchObject({ extensions: { code: 'BAD_USER_INPUT' } });
    expect((await overSocket(query))?.[0]).toMatchObject({ extensions: { code: 'BAD_USER_INPUT' } });
    expect(gateway.asked).toEqual([]);
    await stillGood();
  });

  test('gets an error for one wrong variable, however many there are', async () => {
    const query = 'mutation ($input: [RegisterVehicleInput!]!) { registerVehicles(input: $input) { vin } }';
    const { body, text } = await gateway.ask(query, { input: Array.from({ length: 50_000 }, () => 1) });
    expect(body.errors).toMatchObject([{ extensions: { code: 'BAD_USER_INPUT', field: 'input.0' } }]);
    expect(text.length).toBeLessThan(1_000);
  });
});

test("the playground's introspection passes", async () => {
  const query = getIntrospectionQuery({
    descriptions: true,
    inputValueDeprecation: true,
    specifiedByUrl: true,
    directiveIsRepeatable: true,
    schemaDescription: true,
  });
  const { status, body } = await gateway.ask(query);
  expect([status, body.errors]).toEqual([200, undefined]);
});
