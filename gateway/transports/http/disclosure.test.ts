import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { createIdentityTokens } from '../../../core/credentials/identity-token.ts';
import { SUBGRAPH_NAMES, type SubgraphResponse } from '../../../core/wire/subgraph/subgraph.ts';
import { connectRemote } from '../../composition/remote-subgraph.ts';
import type { Subgraphs } from '../../composition/supergraph.ts';
import { eventually } from '../../../core/testing/eventually.ts';
import { SECRET, ScriptedGateway } from '../../testing/scripted-gateway.ts';

/** Matches internal details that no client may read. Names of fields and types are public. */
const INSIDE =
  /127\.0\.0\.1|localhost|10\.0\.0\.7|ECONN|serviceName|valueCompletion|subgraph|stacktrace|\.ts\b|node_modules/i;
const FLAG = '{ flag(key: "eco") { key } }';

/** Gives the answers over HTTP and over a websocket, as text. */
async function bothWays(
  gateway: ScriptedGateway,
  query: string,
  variables: Record<string, unknown> = {},
): Promise<string[]> {
  const http = await gateway.ask(query, variables);
  const client = await gateway.client();
  client.subscribe('a', query, { variables });
  const { payload } = await eventually(() => client.received.find(({ id }) => id === 'a'), 'an answer');
  return [http.text, JSON.stringify(payload)];
}

describe('while subgraphs are down', () => {
  const tokens = createIdentityTokens(SECRET);
  // Port 1 of loopback: nothing listens there.
  const subgraphs = Object.fromEntries(
    SUBGRAPH_NAMES.map((name) => [name, connectRemote({ name, urls: ['http://127.0.0.1:1'], tokens })]),
  ) as unknown as Subgraphs;
  let gateway: ScriptedGateway;
  beforeAll(async () => {
    gateway = await ScriptedGateway.start({ subgraphs });
  });
  afterAll(() => gateway.close());

  test.each([FLAG, '{ experiments { totalCount } }', 'mutation { enableFlag(key: "eco") { applied } }'])(
    'no answer says where or which: %s',
    async (query) => {
      for (const text of await bothWays(gateway, query)) {
        expect(text).toContain('SERVICE_UNAVAILABLE');
        expect(text).not.toMatch(INSIDE);
      }
    },
  );

  test('a subscription ends with a close code alone, and readiness with a status', async () => {
    const client = await gateway.client();
    client.subscribe('a', 'subscription { flagChanges(environment: STAGING) { revision } }');
    expect(await client.close()).toEqual({ code: 1013, reason: 'Subscription interrupted' });
    expect(await gateway.send('/health/ready')).toMatchObject({ status: 503, text: '{"status":"unavailable"}' });
  });
});

describe('what a subgraph answers', () => {
  let gateway: ScriptedGateway;
  beforeAll(async () => {
    gateway = await ScriptedGateway.start();
  });
  afterAll(() => gateway.close());

  test.each<[string, SubgraphResponse]>([
    [
      'an error with all that it must not have',
      {
        data: null,
        errors: [
          {
            message: 'connect ECONNREFUSED 10.0.0.7:5432',
            extensions: {
              code: 'ECONNREFUSED',
              serviceName: 'flags',
              stacktrace: ['at store.ts:1'],
              exception: { url: 'http://10.0.0.7' },
            },
          },
        ],
      },
    ],
    [
      'a refusal with more than it may have',
      {
        data: null,
        errors: [
          {
            message: 'No.',
            extensions: { code: 'CONFLICT', serviceName: 'flags', url: 'http://10.0.0.7', query: '{ subgraph }' },
          },
        ],
      },
    ],
    ['nothing for what must not be null', { data: { flag: { __typename: 'Flag', id: 'f1', key: null } } }],
  ])('is passed on without what is inside: %s', async (_what, response) => {
    gateway.answer = async () => structuredClone(response);
    for (const text of await bothWays(gateway, FLAG)) {
      expect(text).toMatch(/"code":\s*"(INTERNAL_SERVER_ERROR|CONFLICT)"/);
      expect(text).not.toMatch(INSIDE);
    }
  });
});

describe('with introspection off', () => {
  let gateway: ScriptedGateway;
  beforeAll(async () => {
    gateway = await ScriptedGateway.start({ introspection: false });
  });
  afterAll(() => gateway.close());

  test.each([
    '{ __schema { types { name } } }',
    '{ a: __type(name: "Flag") { fields { name } } }',
    '{ ...F } fragment F on Query { ... { __schema { types { name } } } }',
  ])('no client gets the schema, over HTTP or a websocket: %s', async (query) => {
    for (const text of await bothWays(gateway, query)) {
      expect(text).toContain('BAD_USER_INPUT');
      expect(text).not.toContain('Flag"');
    }
  });

  test.each<[string, string, Record<string, unknown>]>([
    ['a field', '{ flg(key: "x") { key } }', {}],
    ['an argument', '{ flag(kee: "x") { key } }', {}],
    ['a type', 'query ($f: FlagFiltr) { flags(filter: $f) { totalCount } }', {}],
    ['a fragment', '{ ... on Quey { me { kind } } }', {}],
    ['a directive', '{ me @skp(if: true) { kind } }', {}],
    ['an enum value', '{ flags(filter: {environment: STAGIN}) { totalCount } }', {}],
    ['a member', '{ flags(filter: {enabld: true}) { totalCount } }', {}],
    [
      'an enum value in a variable',
      'query ($e: Environment!) { flagSync(environment: $e) { revision } }',
      { e: 'STAGIN' },
    ],
    ['a member in a variable', 'query ($f: FlagFilter) { flags(filter: $f) { totalCount } }', { f: { enabld: true } }],
    [
      'a variable of a subscription',
      'subscription ($e: Environment!) { flagChanges(environment: $e) { revision } }',
      { e: 'STAGIN' },
    ],
  ])('no error suggests names of the schema: %s', async (_what, query, variables) => {
    const texts = query.startsWith('subscription')
      ? (await bothWays(gateway, query, variables)).slice(1)
      : await bothWays(gateway, query, variables);
    for (const text of texts) {
      expect(text).toContain('BAD_USER_INPUT');
      expect(text).not.toMatch(/Did you mean|"STAGING"|STAGING\b/);
    }
    expect(gateway.asked).toEqual([]);
  });
});
