import { createHash } from 'node:crypto';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { ApolloClient, ApolloLink, CombinedGraphQLErrors, HttpLink, InMemoryCache, gql } from '@apollo/client';
import { PersistedQueryLink } from '@apollo/client/link/persisted-queries';
import { GraphQLWsLink } from '@apollo/client/link/subscriptions';
import { Client, cacheExchange, fetchExchange, subscriptionExchange } from '@urql/core';
import { print } from 'graphql';
import { createClient, type Client as WsClient } from 'graphql-ws';
import { WebSocket } from 'ws';
import { eventually } from '../../core/testing/eventually.ts';
import { SESSION, ScriptedGateway } from '../../gateway/testing/scripted-gateway.ts';

const FLAG = gql`
  query Flag($key: String!) {
    flag(key: $key) {
      key
      __typename
    }
  }
`;
const CHANGES = gql`
  subscription Changes {
    flagChanges(environment: STAGING) {
      revision
      __typename
    }
  }
`;
const KEY = `ff_api_key_partner_of_ours_${'x'.repeat(43)}`;
const sha256 = (text: string) => createHash('sha256').update(text).digest('hex');
const data = { flag: { __typename: 'Flag', key: 'eco' } };
const variables = { key: 'eco' };

let gateway: ScriptedGateway;
const sockets: WsClient[] = [];
let requests: { method: string; body: string; status: number }[] = [];
/** Operations that are registered, by their texts. */
let registered: string[] = [];

beforeAll(async () => {
  // A browser has it; Apollo's link asks for it when an operation is refused, whatever client it is given.
  Object.assign(globalThis, { WebSocket });
  gateway = await ScriptedGateway.start();
  gateway.answer = async () => ({ data: { flag: { key: 'eco', __typename: 'Flag' } } });
  gateway.answerGateway = async ({ query, variables: named = {} }) => {
    if (query.includes('apiKeyCredential'))
      return { data: { k0: { id: 'k1', role: 'READ', rateLimitPerMin: 1_000, expiresAt: null } } };
    const body = registered.find((text) => sha256(text) === named['sha256']);
    if (query.includes('persistedOperation'))
      return {
        data: { persistedOperation: body === undefined ? null : { sha256: sha256(body), body, apiKeys: null } },
      };
    return { data: null };
  };
});
afterAll(() => gateway.close());
beforeEach(() => {
  [requests, registered] = [[], []];
});
afterEach(async () => {
  for (const socket of sockets.splice(0)) await socket.dispose();
});

const counted: typeof fetch = async (url, init) => {
  const answer = await fetch(url, init);
  requests.push({
    method: init?.method ?? 'GET',
    body: typeof init?.body === 'string' ? init.body : '',
    status: answer.status,
  });
  return answer;
};
const wsClient = (connectionParams: Record<string, unknown>) => {
  const socket = createClient({
    url: `${gateway.url.replace('http', 'ws')}/graphql`,
    webSocketImpl: WebSocket,
    retryAttempts: 0,
    connectionParams,
  });
  sockets.push(socket);
  return socket;
};

describe('Apollo Client', () => {
  const httpLink = (headers: Record<string, string> = { authorization: `Bearer ${SESSION}` }) =>
    new HttpLink({ uri: `${gateway.url}/graphql`, fetch: counted, headers });
  const client = (link: ApolloLink) =>
    new ApolloClient({
      link,
      cache: new InMemoryCache(),
      defaultOptions: { query: { fetchPolicy: 'no-cache' }, mutate: { fetchPolicy: 'no-cache' } },
    });
  const hashed = (options = {}) => new PersistedQueryLink({ sha256: (text: string) => sha256(text), ...options });

  test.each<[string, Record<string, string>, string, string]>([
    ['a session is over', { authorization: 'Bearer ffs_over' }, '{ __typename }', 'UNAUTHENTICATED'],
    ['a permission is missing', { authorization: `Bearer ${SESSION}` }, '{ users { totalCount } }', 'FORBIDDEN'],
    ['a document does not fit the schema', { authorization: `Bearer ${SESSION}` }, '{ nothing }', 'BAD_USER_INPUT'],
    ['a key sends a text', { 'x-api-key': KEY }, '{ __typename }', 'PERSISTED_QUERY_REQUIRED'],
  ])('reads the code where %s', async (_what, headers, query, code) => {
    const error: unknown = await client(httpLink(headers))
      .query({ query: gql(query) })
      .catch((caught: unknown) => caught);
    expect(CombinedGraphQLErrors.is(error) && error.errors.map(({ extensions }) => extensions?.['code'])).toEqual([
      code,
    ]);
  });

  test.each([
    [{}, 'POST'],
    [{ useGETForHashedQueries: true }, 'GET'],
  ])('needs one request for a query that it has sent before, with %j', async (options, method) => {
    const apollo = client(ApolloLink.from([hashed(options), httpLink()]));
    const query = gql(`query Counted${method} { flag(key: "eco") { key __typename } }`);
    expect((await apollo.query({ query })).data).toEqual(data);
    expect(requests.map(({ status }) => status)).toEqual([404, 200]);
    for (let again = 0; again < 2; again++) expect((await apollo.query({ query })).data).toEqual(data);
    expect(
      requests
        .slice(2)
        .map(({ status, method: used, body }) => [status, used, body.includes('Counted') && body.includes('"query"')]),
    ).toEqual([
      [200, method, false],
      [200, method, false],
    ]);
  });

  test('runs a registered operation with a key over HTTP and over a websocket, where it sends the text as well', async () => {
    registered = [print(FLAG)];
    expect(
      (await client(ApolloLink.from([hashed(), httpLink({ 'x-api-key': KEY })])).query({ query: FLAG, variables }))
        .data,
    ).toEqual(data);
    const overSocket = client(ApolloLink.from([hashed(), new GraphQLWsLink(wsClient({ 'x-api-key': KEY }))]));
    expect((await overSocket.query({ query: FLAG, variables })).data).toEqual(data);
    const error: unknown = await overSocket
      .query({ query: gql('query Other { __typename }') })
      .catch((caught: unknown) => caught);
    expect(CombinedGraphQLErrors.is(error) && error.errors[0]?.extensions?.['code']).toBe('PERSISTED_QUERY_REQUIRED');
  });

  test.each([
    ['with', true],
    ['without', false],
  ])('subscribes over graphql-ws, %s the link for persisted queries', async (_with, persisted) => {
    const link = new GraphQLWsLink(wsClient({ authorization: `Bearer ${SESSION}` }));
    const received: unknown[] = [];
    const subscription = client(persisted ? ApolloLink.from([hashed(), link]) : link)
      .subscribe({ query: CHANGES })
      .subscribe((result) => received.push(result.data));
    await eventually(() => gateway.counters().distinctOperations === 1, 'the subscription');
    await eventually(() => {
      gateway.events.emit({ data: { flagChanges: { revision: 7, __typename: 'FlagChange' } } });
      return received.length > 0;
    }, 'an event');
    expect(received[0]).toEqual({ flagChanges: { revision: 7, __typename: 'FlagChange' } });
    subscription.unsubscribe();
    await eventually(() => gateway.counters().distinctOperations === 0, 'its end');
  });
});

describe('urql', () => {
  const client = (token = SESSION, preferGetMethod: boolean | 'force' = false) =>
    new Client({
      url: `${gateway.url}/graphql`,
      preferGetMethod,
      fetch: counted,
      fetchOptions: { headers: { authorization: `Bearer ${token}` } },
      exchanges: [
        cacheExchange,
        fetchExchange,
        subscriptionExchange({
          forwardSubscription: ({ query = '', variables: given }) => ({
            subscribe: (sink) => ({
              unsubscribe: wsClient({ authorization: `Bearer ${token}` }).subscribe(
                { query, variables: given as Record<string, unknown> },
                sink as never,
              ),
            }),
          }),
        }),
      ],
    });

  test.each<[string, false | 'force']>([
    ['POST', false],
    ['GET', 'force'],
  ])('queries by %s', async (method, preferred) => {
    expect((await client(SESSION, preferred).query(FLAG, variables).toPromise()).data).toEqual(data);
    expect(requests).toMatchObject([{ method, status: 200 }]);
  });

  test('reads the code of a session that is over, and of what the schema does not accept', async () => {
    const codes = async (token: string, query: string) =>
      (await client(token).query(query, {}).toPromise()).error?.graphQLErrors.map(
        ({ extensions }) => extensions['code'],
      );
    expect(await codes('ffs_over', '{ __typename }')).toEqual(['UNAUTHENTICATED']);
    expect(await codes(SESSION, '{ nothing }')).toEqual(['BAD_USER_INPUT']);
  });

  test('subscribes', async () => {
    const received: unknown[] = [];
    const subscription = client()
      .subscription(CHANGES, {})
      .subscribe(({ data: event }) => received.push(event));
    await eventually(() => {
      gateway.events.emit({ data: { flagChanges: { revision: 8, __typename: 'FlagChange' } } });
      return received.length > 0;
    }, 'an event');
    expect(received[0]).toEqual({ flagChanges: { revision: 8, __typename: 'FlagChange' } });
    subscription.unsubscribe();
  });
});
