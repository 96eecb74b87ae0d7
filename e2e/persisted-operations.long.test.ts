import { createHash } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { createClient, type Client } from 'graphql-ws';
import { WebSocket } from 'ws';
import { Api, Listener } from './harness/api.ts';
import { DISTRIBUTED, Deployment } from './harness/deployment.ts';
import { eventually } from './harness/process.ts';

const EVALUATE =
  'query Evaluate($key: String!, $context: EvaluationContext!) {\n  evaluateFlag(key: $key, context: $context) {\n    value\n    reason\n    __typename\n  }\n}';
const CHANGES =
  'subscription Changes {\n  flagChanges(environment: STAGING) {\n    revision\n    flag {\n      key\n      __typename\n    }\n    __typename\n  }\n}';
const sha256 = (text: string) => createHash('sha256').update(text).digest('hex');
const MANIFEST = {
  format: 'apollo-persisted-query-manifest',
  version: 1,
  operations: [
    { id: sha256(EVALUATE), name: 'Evaluate', type: 'query', body: EVALUATE },
    { id: 'acme/changes@1', name: 'Changes', type: 'subscription', body: CHANGES },
  ],
};
const VARIABLES = { key: 'wipers', context: {} };

let deployment: Deployment;
let admin: Api;

beforeAll(async () => {
  deployment = await Deployment.start();
  admin = await Api.admin(deployment);
  await admin.ok(
    'mutation { createFlag(input: { key: "wipers", name: "Wipers", type: BOOLEAN, defaultValue: false, safetyLevel: NON_CRITICAL, environment: STAGING, enabled: true }) { applied } }',
  );
  await admin.ok('mutation ($manifest: JSON!) { registerPersistedOperations(manifest: $manifest) { id } }', {
    manifest: MANIFEST,
  });
}, 120_000);

afterAll(() => deployment?.remove(), 60_000);

async function newKey(rateLimitPerMin: number): Promise<string> {
  const { createApiKey } = await admin.ok<{ createApiKey: { key: string } }>(
    'mutation ($input: CreateApiKeyInput!) { createApiKey(input: $input) { key } }',
    { input: { name: 'Acme', role: 'READ', rateLimitPerMin } },
  );
  return createApiKey.key;
}

const partnerSocket = (key: string): Client =>
  createClient({
    url: deployment.wsUrl,
    webSocketImpl: WebSocket,
    retryAttempts: 0,
    connectionParams: { 'x-api-key': key },
  });
const post = (key: string, body: object, url = deployment.url) =>
  fetch(`${url}/graphql`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'x-api-key': key },
    body: JSON.stringify(body),
  });
const get = (key: string, id: string, headers = {}) =>
  fetch(`${deployment.url}/graphql?${new URLSearchParams({ id, variables: JSON.stringify(VARIABLES) }).toString()}`, {
    headers: { 'x-api-key': key, ...headers },
  });
const codeOf = async (response: Response) => [
  response.status,
  ((await response.json()) as { errors: { extensions: { code: string } }[] }).errors[0]?.extensions.code,
];

describe('a partner', () => {
  let key: string;
  beforeAll(async () => {
    key = await newKey(10_000);
  });

  test('runs what is registered by id over POST and GET, and nothing else', async () => {
    const data = { data: { evaluateFlag: { value: false, reason: 'DEFAULT', __typename: 'Evaluation' } } };
    expect(await (await post(key, { id: sha256(EVALUATE), variables: VARIABLES })).json()).toEqual(data);
    expect(
      await (
        await post(key, {
          extensions: { persistedQuery: { version: 1, sha256Hash: sha256(EVALUATE) } },
          variables: VARIABLES,
        })
      ).json(),
    ).toEqual(data);
    expect(await (await get(key, sha256(EVALUATE))).json()).toEqual(data);
    expect(await codeOf(await post(key, { query: EVALUATE, variables: VARIABLES }))).toEqual([
      400,
      'PERSISTED_QUERY_REQUIRED',
    ]);
    expect(await codeOf(await get(key, 'unknown'))).toEqual([404, 'PERSISTED_QUERY_NOT_FOUND']);
  });

  test('may call an operation that was not found as soon as it is registered', async () => {
    const body = 'query Version { flags { totalCount } }';
    expect(await codeOf(await post(key, { id: sha256(body) }))).toEqual([404, 'PERSISTED_QUERY_NOT_FOUND']);
    await admin.ok('mutation ($manifest: JSON!) { registerPersistedOperations(manifest: $manifest) { id } }', {
      manifest: { ...MANIFEST, operations: [{ id: sha256(body), name: 'Version', type: 'query', body }] },
    });
    const answer = await eventually(async () => {
      const response = await post(key, { id: sha256(body) });
      return response.status === 200 && ((await response.json()) as object);
    }, 'the operation is found');
    expect(answer).toEqual({ data: { flags: { totalCount: 1 } } });
  });

  test('gets 304 until the environment has another revision', async () => {
    const first = await get(key, sha256(EVALUATE));
    const etag = first.headers.get('etag') ?? '';
    expect(etag).toMatch(/^W\//);
    const unchanged = await get(key, sha256(EVALUATE), { 'if-none-match': etag });
    expect([unchanged.status, await unchanged.text(), unchanged.headers.get('etag')]).toEqual([304, '', etag]);
    await admin.ok('mutation { disableFlag(key: "wipers") { applied } }');
    const changed = await get(key, sha256(EVALUATE), { 'if-none-match': etag });
    expect(changed.status).toBe(200);
    expect(await changed.json()).toMatchObject({ data: { evaluateFlag: { reason: 'DISABLED' } } });
    expect(changed.headers.get('etag')).not.toBe(etag);
  });

  test('may send a registered text beside its own hash, as stock clients do on websockets', async () => {
    const client = partnerSocket(key);
    const beside = (query: string) => ({
      query,
      extensions: { persistedQuery: { version: 1, sha256Hash: sha256(query) } },
    });
    try {
      const allowed = new Listener(client, beside(EVALUATE), VARIABLES);
      const refused = new Listener(client, beside('query Other { flags { totalCount } }'));
      await eventually(() => allowed.ended && refused.ended, 'both have ended');
      expect(allowed.events).toMatchObject([{ data: { evaluateFlag: { __typename: 'Evaluation' } } }]);
      expect(refused.error).toMatchObject([{ extensions: { code: 'PERSISTED_QUERY_REQUIRED' } }]);
    } finally {
      await client.dispose();
    }
  });

  test('subscribes by id, and a text alone is refused on the same socket', async () => {
    const client = partnerSocket(key);
    try {
      const named = { query: '', id: 'acme/changes@1' } as unknown as { query: string };
      const changes = new Listener(client, named);
      const text = new Listener(client, { query: CHANGES });
      await eventually(() => text.ended, 'the text is refused');
      expect(text.error).toMatchObject([{ extensions: { code: 'PERSISTED_QUERY_REQUIRED' } }]);
      await eventually(async () => {
        await admin.ok('mutation { enableFlag(key: "wipers") { applied } disableFlag(key: "wipers") { applied } }');
        return changes.events.length > 0;
      }, 'a change arrives');
      expect(changes.events[0]).toMatchObject({ data: { flagChanges: { flag: { key: 'wipers' } } } });
      changes.stop();
    } finally {
      await client.dispose();
    }
  });
});

describe('the rate of a key', () => {
  test('is one for HTTP and websockets, and for all gateways', async () => {
    const key = await newKey(4);
    const second = DISTRIBUTED ? await deployment.anotherGateway() : deployment.url;
    const call = (url: string) => post(key, { id: sha256(EVALUATE), variables: VARIABLES }, url);
    const answers = [await call(deployment.url), await call(second), await call(deployment.url)];
    expect(
      answers.map(({ status, headers }) => [
        status,
        headers.get('ratelimit-limit'),
        headers.get('ratelimit-remaining'),
      ]),
    ).toEqual([
      [200, '4', '3'],
      [200, '4', '2'],
      [200, '4', '1'],
    ]);
    const client = partnerSocket(key);
    try {
      const allowed = new Listener(
        client,
        { query: '', extensions: { persistedQuery: { version: 1, sha256Hash: sha256(EVALUATE) } } },
        VARIABLES,
      );
      await eventually(() => allowed.ended, 'the query has run');
      expect(allowed.events).toMatchObject([{ data: { evaluateFlag: { __typename: 'Evaluation' } } }]);
      const beyond = new Listener(
        client,
        { query: '', extensions: { persistedQuery: { version: 1, sha256Hash: sha256(EVALUATE) } } },
        VARIABLES,
      );
      await eventually(() => beyond.ended, 'the query is refused');
      expect(beyond.error).toMatchObject([
        { extensions: { code: 'RATE_LIMITED', limit: 4, retryAfter: expect.any(Number) } },
      ]);
    } finally {
      await client.dispose();
    }
    const refused = await call(second);
    expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0);
    expect(refused.headers.get('ratelimit-remaining')).toBe('0');
    expect(await codeOf(refused)).toEqual([429, 'RATE_LIMITED']);
  });
});
