import { createHash } from 'node:crypto';
import { afterAll, beforeEach, beforeAll, describe, expect, test } from '@jest/globals';
import type { FastifyInstance } from 'fastify';
import { FleetFlagError } from '../../../../core/errors.ts';
import { permissionScope, type Caller } from '../../../../core/access/caller.ts';
import {
  SUBGRAPH_NAMES,
  type SubgraphConnection,
  type SubgraphName,
  type SubgraphRequest,
  type SubgraphResponse,
} from '../../../../core/wire/subgraph/subgraph.ts';
import { compose, type Subgraphs } from '../../../composition/supergraph.ts';
import { OperationPipeline } from '../../../operations/pipeline.ts';
import { CurrentInputs, inputsOf } from '../../../operations/answers/current-inputs.ts';
import { RevisionAnswers } from '../../../operations/answers/revision-answers.ts';
import { AccountConcurrency } from '../../../operations/turns/account-concurrency.ts';
import { RightOfWay } from '../../../operations/turns/right-of-way.ts';
import { personalDataFinder } from '../../../operations/persisted-operations/personal-data.ts';
import { OperationTexts } from '../../../operations/persisted-operations/operation-texts.ts';
import { SentTexts } from '../../../operations/persisted-operations/sent-texts.ts';
import { countingLimiter } from '../../../testing/counting-limiter.ts';
import { startGraphqlServer, type GraphqlServer } from '../../../operations/graphql-server.ts';
import { GatewayMetrics } from '../../../monitoring/gateway-metrics.ts';
import { PREFLIGHT_HEADERS, pageOrigins } from '../page-origins.ts';
import { peerReader } from '../request-origin.ts';
import { createRoutes } from '../routes.ts';

const sha256 = (text: string) => createHash('sha256').update(text).digest('hex');
const OPERATIONS = {
  flag: 'query FlagByKey($key: String!) {\n  flag(key: $key) {\n    key\n    __typename\n  }\n}',
  evaluate: 'query Evaluate($context: EvaluationContext!) { evaluateFlag(key: "eco", context: $context) { value } }',
  value: 'query Value($key: String!) { evaluateFlag(key: $key, context: {}) { value } }',
  statistics: 'query Statistics { flag(key: "eco") { totalEvaluations } }',
  stop: 'mutation Stop { killSwitch(flagKey: "eco", reason: "x") { applied } }',
  changes: 'subscription Changes { flagChanges(environment: STAGING) { revision } }',
  trail: 'query Trail { auditLogs { nodes { ipAddress user { email } } } }',
  secret: 'query Secret { fleet { total } }',
  people: 'query People { flag(key: "eco") { updatedBy { name } } }',
  users: 'query Users { users { totalCount } }',
};
/** The keys to which a persisted operation is bound, by its id. */
const BOUND: Record<string, string[]> = { trail: ['k1'], secret: ['k2'] };
const CALLERS: Record<string, Caller> = {
  partner: { kind: 'apiKey', apiKeyId: 'k1', role: 'READ', rateLimitPerMin: 5 },
  stopper: { kind: 'apiKey', apiKeyId: 'k2', role: 'WRITE', rateLimitPerMin: 5 },
  boss: { kind: 'apiKey', apiKeyId: 'k3', role: 'ADMIN', rateLimitPerMin: 5 },
  person: { kind: 'user', userId: 'u1', role: 'READ', sessionKey: null },
  car: { kind: 'vehicle', vin: 'KMHK281HGNU000001', environment: 'staging' },
};

const limiter = countingLimiter();
let asked: (SubgraphRequest & { name: SubgraphName })[] = [];
let revision = 1;
let evaluations = 7;
/** The revisions of vehicles and of drafts that `answerInputs` gives. */
let registered: Record<string, string> = {};
let drafts: Record<string, string> = {};
let flagsAway = false;
let registryAway = false;
let graphql: GraphqlServer;
let app: FastifyInstance;

function answer(name: SubgraphName, { query, variables = {} }: SubgraphRequest): SubgraphResponse {
  if (name === 'audit' && query.includes('persistedOperation')) {
    if (registryAway)
      throw new FleetFlagError('SERVICE_UNAVAILABLE', 'A part of the service is not answering; try again.');
    const found = Object.entries(OPERATIONS).find(
      ([id, body]) => id === variables['id'] || sha256(body) === variables['sha256'],
    );
    return {
      data: {
        persistedOperation:
          found === undefined ? null : { sha256: sha256(found[1]), body: found[1], apiKeys: BOUND[found[0]] ?? null },
      },
    };
  }
  if (flagsAway) throw new FleetFlagError('SERVICE_UNAVAILABLE', 'A part of the service is not answering; try again.');
  if (query.includes('answerInputs'))
    return {
      data: {
        answerInputs: { second: 1, environments: { staging: `${revision}@1` }, vehicles: registered, flags: drafts },
      },
    };
  if (query.includes('evaluateFlag')) return { data: { evaluateFlag: { value: true } } };
  if (query.includes('killSwitch')) return { data: { killSwitch: { applied: true } } };
  if (query.includes('totalEvaluations')) return { data: { flag: { totalEvaluations: evaluations } } };
  return { data: { flag: { key: 'eco', __typename: 'Flag' } } };
}

function connection(name: SubgraphName): SubgraphConnection {
  return {
    name,
    async execute(request) {
      // For an answer that has been sent, the state is read once more.
      if (!request.query.includes('answerInputs')) asked.push({ name, ...request });
      return structuredClone(answer(name, request));
    },
    subscribe: () => {
      throw new Error('not part of these tests');
    },
    ready: async () => true,
    close: async () => undefined,
  };
}

beforeAll(async () => {
  const subgraphs = Object.fromEntries(SUBGRAPH_NAMES.map((name) => [name, connection(name)])) as unknown as Subgraphs;
  const composition = compose(subgraphs);
  const logger = { info: () => undefined, warn: () => undefined, error: () => undefined };
  const metrics = new GatewayMetrics();
  const rightOfWay = new RightOfWay();
  const pipeline = new OperationPipeline({
    authenticate: async ({ apiKey, authorization }) => ({
      caller: CALLERS[apiKey ?? authorization ?? ''] ?? { kind: 'anonymous' },
      expiresAt: null,
      credential: null,
    }),
    apiKeys: { known: () => null },
    limiter,
    texts: {
      registered: new OperationTexts(subgraphs.audit),
      sent: new SentTexts(),
      personal: personalDataFinder(composition.apiSchema),
    },
    schema: () => composition.apiSchema,
    introspection: true,
    accounts: new AccountConcurrency(),
    rightOfWay,
    answers: new RevisionAnswers({
      inputs: new CurrentInputs(inputsOf(subgraphs.flags), logger),
      flags: subgraphs.flags,
      ...composition,
    }),
    answered: () => undefined,
  });
  graphql = await startGraphqlServer({
    composition,
    pipeline,
    introspection: true,
    preflightHeaders: PREFLIGHT_HEADERS,
    logger,
    metrics,
  });
  app = createRoutes({
    pipeline,
    graphql,
    rightOfWay,
    publicKeys: async () => ({}),
    readiness: async () => ({}),
    peerOf: peerReader([]),
    pages: pageOrigins([]),
    metrics,
    scrape: async () => ({ type: 'text/plain', body: '' }),
    checkScrape: async () => undefined,
    logger,
  });
});
afterAll(async () => {
  await app.close();
  await graphql.apollo.stop();
});
beforeEach(async () => {
  asked = [];
  [revision, evaluations, registered, drafts, flagsAway, registryAway] = [revision + 1, 7, {}, {}, false, false];
  for (const { apiKeyId } of [CALLERS['partner'], CALLERS['stopper'], CALLERS['boss']] as { apiKeyId: string }[])
    await limiter.reset(`api-key:${apiKeyId}`, 60);
});

const credentials = (who: string | null) =>
  who === null ? {} : { [CALLERS[who]?.kind === 'apiKey' ? 'x-api-key' : 'authorization']: who };
const post = (who: string | null, payload: object) =>
  app.inject({ method: 'POST', url: '/graphql', headers: credentials(who), payload });
const get = (who: string | null, search: Record<string, string>, headers = {}) =>
  app.inject({
    method: 'GET',
    url: `/graphql?${new URLSearchParams(search).toString()}`,
    headers: { ...credentials(who), ...headers },
  });
const refused = (response: { statusCode: number; json(): unknown }) => {
  const { errors, data } = response.json() as { errors: { message: string; extensions: object }[]; data?: unknown };
  expect(data ?? null).toBeNull();
  expect(errors).toHaveLength(1);
  return { status: response.statusCode, ...errors[0]?.extensions };
};
const key = { key: 'eco' };
const variables = JSON.stringify(key);
const hash = sha256(OPERATIONS.flag);
const apollo = (sha256Hash: unknown, version: unknown = 1) => ({ persistedQuery: { version, sha256Hash } });
const ran = () => asked.filter(({ query }) => !query.includes('persistedOperation')).length;

describe('an API key', () => {
  test.each<[string, () => ReturnType<typeof post>]>([
    ['id', () => post('partner', { id: 'flag', variables: key })],
    ['SHA-256', () => post('partner', { id: hash, variables: key })],
    ['SHA-256 in capitals', () => post('partner', { id: hash.toUpperCase(), variables: key })],
    [
      "Apollo's extension",
      () => post('partner', { extensions: apollo(hash), operationName: 'FlagByKey', variables: key }),
    ],
    ['id by GET', () => get('partner', { id: 'flag', variables })],
    ['SHA-256 by GET', () => get('partner', { id: hash, variables })],
    ['document id', () => post('partner', { documentId: 'flag', variables: key })],
    ['document id that is a SHA-256', () => post('partner', { documentId: `sha256:${hash}`, variables: key })],
    ['SHA-256 with its prefix', () => post('partner', { id: `sha256:${hash}`, variables: key })],
    ['document id by GET', () => get('partner', { documentId: `sha256:${hash}`, variables })],
    [
      'text beside its own hash',
      () => post('partner', { query: OPERATIONS.flag, extensions: apollo(hash), variables: key }),
    ],
    [
      'text beside its own hash as the id',
      () => post('partner', { query: OPERATIONS.flag, documentId: `sha256:${hash}`, variables: key }),
    ],
    [
      'text beside its own hash by GET',
      () => get('partner', { query: OPERATIONS.flag, extensions: JSON.stringify(apollo(hash)), variables }),
    ],
    [
      "Apollo's extension by GET",
      () => get('partner', { extensions: JSON.stringify(apollo(hash)), operationName: 'FlagByKey', variables }),
    ],
  ])('runs a registered operation by its %s', async (_how, send) => {
    const response = await send();
    expect(response.json()).toEqual({ data: { flag: { key: 'eco', __typename: 'Flag' } } });
    expect(response.statusCode).toBe(200);
    expect(asked.at(-1)?.identity.caller).toEqual(permissionScope(CALLERS['partner']!));
  });

  test.each<[string, () => ReturnType<typeof post>]>([
    ['a text', () => post('partner', { query: '{ __typename }' })],
    ['a text beside an id', () => post('partner', { query: '{ __typename }', id: 'flag' })],
    ['a registered text alone', () => post('partner', { query: OPERATIONS.flag, variables: key })],
    [
      "a registered text beside another's hash",
      () => post('partner', { query: OPERATIONS.flag, extensions: apollo(sha256(OPERATIONS.statistics)) }),
    ],
    ['a registered text beside an id', () => post('partner', { query: OPERATIONS.flag, id: 'flag' })],
    ['a text by GET', () => get('partner', { query: '{ __typename }' })],
    ['an invalid text', () => post('partner', { query: { kind: 'Document' }, id: 'flag' })],
    ['nothing', () => post('partner', { variables: key })],
    ['a batch', () => post('partner', [{ id: 'flag' }, { query: '{ __typename }' }])],
  ])('gets PERSISTED_QUERY_REQUIRED for %s', async (_what, send) => {
    expect(refused(await send())).toEqual({ status: 400, code: 'PERSISTED_QUERY_REQUIRED' });
    expect(asked).toEqual([]);
  });

  test('gets PERSISTED_QUERY_REQUIRED for a text with its own hash that is not registered, and the text is not remembered', async () => {
    const text = 'query Unregistered { __typename }';
    const byHash = { extensions: apollo(sha256(text)) };
    for (const again of [1, 2]) {
      expect([again, refused(await post('partner', { query: text, ...byHash }))]).toEqual([
        again,
        { status: 400, code: 'PERSISTED_QUERY_REQUIRED' },
      ]);
      expect(refused(await post('partner', byHash))).toEqual({ status: 404, code: 'PERSISTED_QUERY_NOT_FOUND' });
      // Nor does it profit from what a person has sent.
      expect((await post('person', { query: text, ...byHash })).statusCode).toBe(200);
    }
    expect(ran()).toBe(0);
  });

  test('may do with a registered operation what its role may, and no more', async () => {
    expect(refused(await post('partner', { id: 'stop' }))).toEqual({ status: 403, code: 'FORBIDDEN' });
    expect(refused(await get('partner', { id: 'users' }))).toEqual({ status: 403, code: 'FORBIDDEN' });
    expect((await post('stopper', { id: 'stop' })).json()).toEqual({ data: { killSwitch: { applied: true } } });
    expect((await get('stopper', { id: 'stop' })).statusCode).toBe(405);
    expect(refused(await post('partner', { id: 'changes' }))).toMatchObject({ status: 400, code: 'BAD_USER_INPUT' });
  });

  test('gets an error that names the faulty variables', async () => {
    expect(refused(await post('partner', { id: 'flag', variables: { key: 7 } }))).toEqual({
      status: 400,
      code: 'BAD_USER_INPUT',
      field: 'key',
    });
  });
});

describe('a name that leads nowhere', () => {
  test('is PERSISTED_QUERY_NOT_FOUND, in the words that clients of Apollo know', async () => {
    for (const response of [
      await post('partner', { id: 'unknown' }),
      await get('person', { id: sha256('unknown') }),
      await post('car', { extensions: apollo(sha256('other')) }),
    ]) {
      expect(refused(response)).toEqual({ status: 404, code: 'PERSISTED_QUERY_NOT_FOUND' });
      expect(response.json<{ errors: { message: string }[] }>().errors[0]?.message).toBe('PersistedQueryNotFound');
      expect(response.headers['cache-control']).toBe('no-store');
    }
  });

  test('is SERVICE_UNAVAILABLE while it cannot be looked up, and known ones go on', async () => {
    await post('partner', { id: 'flag', variables: key });
    registryAway = true;
    expect(refused(await post('partner', { id: 'somewhere' }))).toEqual({ status: 503, code: 'SERVICE_UNAVAILABLE' });
    expect((await post('partner', { id: 'flag', variables: key })).statusCode).toBe(200);
  });

  test.each<[string, () => ReturnType<typeof post>, string]>([
    ['an id that is no text', () => post('person', { id: 7 }), 'id'],
    ['an empty id', () => post('person', { id: '' }), 'id'],
    ['an id that is too long', () => get('person', { id: 'x'.repeat(129) }), 'id'],
    ['two ids', () => app.inject({ url: '/graphql?id=a&id=b', headers: credentials('person') }), 'id'],
    ['a document id that is no text', () => post('person', { documentId: 7 }), 'documentId'],
    ['a document id whose SHA-256 is none', () => post('person', { documentId: 'sha256:x' }), 'documentId'],
    [
      'two document ids',
      () => app.inject({ url: '/graphql?documentId=a&documentId=b', headers: credentials('person') }),
      'documentId',
    ],
    ['an id and a document id', () => post('person', { id: 'flag', documentId: 'flag' }), 'id'],
    ['a document id and a text', () => post('person', { documentId: 'flag', query: '{ __typename }' }), 'documentId'],
    [
      "a document id that is another text's",
      () => post('person', { documentId: `sha256:${hash}`, query: '{ __typename }' }),
      'documentId',
    ],
    ['an id and a hash', () => post('person', { id: 'flag', extensions: apollo(hash) }), 'id'],
    ['an id and a text', () => post('person', { id: 'flag', query: '{ __typename }' }), 'id'],
    ['another version', () => post('person', { extensions: apollo(hash, 2) }), 'extensions.persistedQuery.version'],
    ['no hash', () => post('person', { extensions: { persistedQuery: 'x' } }), 'extensions.persistedQuery.version'],
    ['an invalid hash', () => post('person', { extensions: apollo('x') }), 'extensions.persistedQuery.sha256Hash'],
    [
      "another text's hash",
      () => post('person', { query: '{ __typename }', extensions: apollo(hash) }),
      'extensions.persistedQuery.sha256Hash',
    ],
    ['extensions that are not JSON', () => get('person', { extensions: '{' }), 'extensions'],
    ['variables that are not JSON', () => get('person', { id: 'flag', variables: '{' }), 'variables'],
  ])('is BAD_USER_INPUT when it cannot be one: %s', async (_what, send, field) => {
    expect(refused(await send())).toEqual({ status: 400, code: 'BAD_USER_INPUT', field });
    expect(ran()).toBe(0);
  });
});

describe('other callers', () => {
  test('may run operations by name and by text', async () => {
    expect((await get('person', { id: 'flag', variables })).statusCode).toBe(200);
    expect(
      (await post('person', { query: OPERATIONS.flag, extensions: apollo(hash), variables: key })).statusCode,
    ).toBe(200);
    expect((await post('person', { query: '{ __typename }' })).json()).toEqual({ data: { __typename: 'Query' } });
    expect(refused(await post('car', { id: 'flag', variables: key }))).toEqual({ status: 403, code: 'FORBIDDEN' });
  });

  test('with a session send a text once, and its hash from then on', async () => {
    const text = 'query Dashboard { __typename }';
    const byHash = { extensions: apollo(sha256(text)) };
    expect(refused(await post('person', byHash))).toEqual({ status: 404, code: 'PERSISTED_QUERY_NOT_FOUND' });
    expect((await post('person', { query: text, ...byHash })).json()).toEqual({ data: { __typename: 'Query' } });
    asked = [];
    const lookedUp = () => asked.filter(({ query }) => query.includes('persistedOperation'));
    for (const response of [
      await post('person', byHash),
      await get('person', { extensions: JSON.stringify(byHash.extensions) }),
      await post('person', { documentId: `sha256:${sha256(text)}` }),
    ]) {
      expect(response.json()).toEqual({ data: { __typename: 'Query' } });
    }
    expect(lookedUp()).toEqual([]);
    for (const response of [await post('car', byHash), await post('partner', byHash)])
      expect(refused(response)).toEqual({ status: 404, code: 'PERSISTED_QUERY_NOT_FOUND' });
  });

  test('may do by a hash what they may do by the text, and no more', async () => {
    const text = 'query Everybody { users { totalCount } }';
    for (const body of [{ query: text, extensions: apollo(sha256(text)) }, { extensions: apollo(sha256(text)) }])
      expect(refused(await post('person', body))).toEqual({ status: 403, code: 'FORBIDDEN' });
  });

  test('without credentials learn nothing of what is registered', async () => {
    for (const response of [
      await post(null, { id: 'flag' }),
      await post(null, { id: 'unknown' }),
      await get(null, { id: 'flag' }),
    ]) {
      expect(refused(response)).toEqual({ status: 401, code: 'UNAUTHENTICATED' });
    }
    expect(asked).toEqual([]);
  });
});

describe('the rate of a key', () => {
  const rate = ({ headers }: { headers: Record<string, unknown> }) => [
    headers['ratelimit-limit'],
    headers['ratelimit-remaining'],
    headers['ratelimit-reset'],
    headers['ratelimit-policy'],
    headers['retry-after'],
  ];

  test('comes with each answer, and what exceeds it is refused with 429', async () => {
    const call = () => get('partner', { id: 'flag', variables });
    expect(rate(await call())).toEqual(['5', '4', '60', '5;w=60', undefined]);
    expect(rate(await post('partner', { id: 'unknown' }))).toEqual(['5', '3', '60', '5;w=60', undefined]);
    const { etag } = (await call()).headers;
    expect(rate(await get('partner', { id: 'flag', variables }, { 'if-none-match': etag }))).toEqual([
      '5',
      '1',
      '60',
      '5;w=60',
      undefined,
    ]);
    await call();
    const response = await call();
    expect(refused(response)).toEqual({ status: 429, code: 'RATE_LIMITED', limit: 5, retryAfter: 60 });
    expect(rate(response)).toEqual(['5', '0', '60', '5;w=60', '60']);
    asked = [];
    await call();
    expect(asked).toEqual([]);
  });

  test('is its own, and others have none', async () => {
    for (let use = 0; use < 6; use++) await post('partner', { id: 'flag', variables: key });
    expect((await post('stopper', { id: 'flag', variables: key })).statusCode).toBe(200);
    expect(rate(await post('person', { id: 'flag', variables: key }))).toEqual([
      undefined,
      undefined,
      undefined,
      undefined,
      undefined,
    ]);
  });
});

describe('an operation and the keys that it is bound to', () => {
  const NOT_THERE = { status: 404, code: 'PERSISTED_QUERY_NOT_FOUND' };

  test('one that is bound to another key is not there, by id or by hash, by POST or by GET', async () => {
    for (const response of [
      await post('partner', { id: 'secret' }),
      await post('partner', { id: sha256(OPERATIONS.secret) }),
      await get('partner', { id: 'secret' }),
      await post('stopper', { id: 'trail' }),
    ]) {
      expect(refused(response)).toMatchObject(NOT_THERE);
    }
    expect(
      refused(await post('partner', { query: OPERATIONS.secret, extensions: apollo(sha256(OPERATIONS.secret)) })),
    ).toMatchObject({ code: 'PERSISTED_QUERY_REQUIRED' });
  });

  test('one that is bound to the key runs, with personal data too; people run it as any text', async () => {
    for (const response of [
      await post('partner', { id: 'trail' }),
      await post('person', { id: 'trail' }),
      await post('person', { id: 'secret' }),
    ]) {
      expect(['PERSISTED_QUERY_NOT_FOUND', 'FORBIDDEN']).not.toContain(
        response.json<{ errors?: { extensions: { code: string } }[] }>().errors?.[0]?.extensions.code,
      );
    }
  });

  test('one with personal data that is bound to no key is for keys of administrators alone', async () => {
    expect(refused(await post('partner', { id: 'people' }))).toMatchObject({ status: 403, code: 'FORBIDDEN' });
    expect(refused(await post('stopper', { id: 'people' }))).toMatchObject({ status: 403, code: 'FORBIDDEN' });
    expect((await post('boss', { id: 'people' })).statusCode).toBe(200);
  });
});

describe('the answer to a persisted query by GET', () => {
  const flag = (headers = {}) => get('person', { id: 'value', variables }, headers);

  test('has a tag, and is not sent again while the revisions are as they were, without running the query', async () => {
    const first = await flag();
    expect(first.headers).toMatchObject({
      etag: expect.stringMatching(/^W\/"[\w-]{43}"$/),
      'cache-control': 'private, no-cache',
      vary: 'x-api-key, authorization, accept, origin',
    });
    const before = ran();
    const second = await flag({ 'if-none-match': `"other", ${first.headers.etag}` });
    expect([second.statusCode, second.body, second.headers.etag, second.headers['cache-control']]).toEqual([
      304,
      '',
      first.headers.etag,
      'private, no-cache',
    ]);
    expect(ran()).toBe(before);
  });

  test('is sent again when a revision has moved', async () => {
    const { etag } = (await flag()).headers;
    revision += 1;
    const again = await flag({ 'if-none-match': etag });
    expect(again.statusCode).toBe(200);
    expect(again.headers.etag).not.toBe(etag);
  });

  test('has another tag for other variables, another operation and another role', async () => {
    const tags = [
      await flag(),
      await get('person', { id: 'value', variables: '{"key":"sport"}' }),
      await get('partner', { id: 'value', variables }),
      await get('person', { id: 'evaluate', variables: '{"context":{}}' }),
    ].map(({ headers }) => headers.etag);
    expect(new Set(tags).size).toBe(4);
    expect((await get('person', { id: sha256(OPERATIONS.value), variables })).headers.etag).toBe(tags[0]);
  });

  test('is read again where more than a revision can change it', async () => {
    const ask = (headers = {}) => get('person', { id: 'statistics' }, headers);
    const first = await ask();
    expect(first.headers.etag).toMatch(/^"[\w-]{43}"$/);
    expect((await ask({ 'if-none-match': first.headers.etag })).statusCode).toBe(304);
    expect(ran()).toBe(2);
    evaluations++;
    expect((await ask({ 'if-none-match': first.headers.etag })).statusCode).toBe(200);
  });

  test('has another tag when the flag becomes a draft, which makes no revision', async () => {
    const ask = async () => (await get('person', { id: 'flag', variables })).headers.etag;
    const before = await ask();
    drafts = { eco: '1 draft' };
    const draft = await ask();
    expect([draft, before]).toEqual([expect.stringMatching(/^W/), expect.not.stringMatching(draft ?? '')]);
  });

  test('has another tag when what is registered of the vehicle changes', async () => {
    const vin = 'KMHK281HGNU000001';
    const ask = async (context: object) =>
      (await get('person', { id: 'evaluate', variables: JSON.stringify({ context }) })).headers.etag;
    const before = await ask({ vin, model: 'Ioniq 6' });
    registered = { [vin]: '["EV9"]' };
    const after = await ask({ vin, model: 'Ioniq 6' });
    expect([after, before]).toEqual([expect.stringMatching(/^W/), expect.not.stringMatching(after ?? '')]);
  });

  test('is not kept when there are errors in it, nor is any refusal', async () => {
    const { etag } = (await flag()).headers;
    flagsAway = true;
    for (const response of [
      await flag(),
      await flag({ 'if-none-match': etag }),
      await get('person', { id: 'value', variables: '{}' }),
    ]) {
      expect(response.statusCode).not.toBe(304);
      expect(response.headers.etag).toBeUndefined();
      expect(response.headers['cache-control']).toBe('no-store');
    }
  });

  test('has a tag of neither a text by GET nor a persisted query by POST', async () => {
    for (const response of [
      await get('person', { query: OPERATIONS.value, variables }),
      await post('person', { id: 'value', variables: key }),
    ])
      expect(response.headers.etag).toBeUndefined();
  });
});
