import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { randomUUID } from 'node:crypto';
import { request, type OutgoingHttpHeaders } from 'node:http';
import { text } from 'node:stream/consumers';
import fc from 'fast-check';
import { newApiKey } from '../../../../core/credentials/api-key.ts';
import { eventually } from '../../../../core/testing/eventually.ts';
import type { SubgraphRequest, SubgraphResponse } from '../../../../core/wire/subgraph/subgraph.ts';
import { rounds } from '../../../../core/testing/rounds.ts';
import { KnownRequests } from './known-requests.ts';
import { ScriptedGateway, type HttpAnswer } from '../../../testing/scripted-gateway.ts';

const TEXT = 'query ($key: String!) { flag(key: $key) { key } }';
const KEY = newApiKey();
const ID = randomUUID();

let gateway: ScriptedGateway;
let revision = 1;
let limit = 1_000;
let hasErrors = false;

async function answerGateway({ query }: SubgraphRequest): Promise<SubgraphResponse> {
  if (query.includes('apiKeyCredential'))
    return { data: { k0: { id: ID, role: 'READ', rateLimitPerMin: limit, expiresAt: null } } };
  if (query.includes('persistedOperation'))
    return { data: { persistedOperation: { sha256: 'a'.repeat(64), body: TEXT, apiKeys: [ID] } } };
  return { data: { answerInputs: { second: 1, environments: { staging: `${revision}@1` }, vehicles: {}, flags: {} } } };
}

beforeEach(async () => {
  [revision, limit, hasErrors] = [1, 1_000, false];
  gateway = await ScriptedGateway.start();
  gateway.answerGateway = answerGateway;
  gateway.answer = async () =>
    hasErrors
      ? { data: null, errors: [{ message: 'Away.', extensions: { code: 'SERVICE_UNAVAILABLE' } }] }
      : { data: { flag: { key: `eco ${revision}` } } };
});
afterEach(() => gateway.close());

const PATH = `/graphql?id=flag&variables=${encodeURIComponent('{"key":"eco"}')}`;
const get = (headers: Record<string, string> = {}, path = PATH) =>
  gateway.send(path, { headers: { 'x-api-key': KEY, ...headers } });

/** Gives an answer without its date, request id and remaining rate, which differ each time. */
const lasting = ({ status, headers, text }: HttpAnswer) => {
  const { date: _, 'x-request-id': __, 'ratelimit-remaining': ___, ...rest } = Object.fromEntries(headers);
  return { status, headers: rest, text };
};
const remaining = ({ headers }: HttpAnswer) => Number(headers.get('ratelimit-remaining'));

/** Asks until the answer is kept. */
async function kept(headers: Record<string, string> = {}): Promise<HttpAnswer> {
  const first = await get(headers);
  await eventually(async () => {
    const before = gateway.asked.length;
    await get(headers);
    return gateway.asked.length === before;
  }, 'an answer that is kept');
  return first;
}

describe('a request in the words of an earlier one', () => {
  test('has the same answer and the same header fields, with an id of its own', async () => {
    const first = await kept();
    const later = await get();
    expect(lasting(later)).toEqual(lasting(first));
    expect(later.headers.get('x-request-id')).not.toBe(first.headers.get('x-request-id'));
    const given = randomUUID();
    expect((await get({ 'x-request-id': given })).headers.get('x-request-id')).toBe(given);
    const unchanged = { 'if-none-match': first.headers.get('etag') ?? '' };
    const [one, two] = [await get(unchanged), await get(unchanged)];
    expect(lasting(two)).toEqual(lasting(one));
    expect(two.status).toBe(304);
  });

  test('is counted once, whether its answer is kept, has to be computed, or has errors', async () => {
    let before = remaining(await kept());
    before = remaining(await get());
    expect(remaining(await get())).toBe(before - 1);
    revision = 2;
    expect(remaining(await get())).toBe(before - 2);
    [revision, hasErrors] = [3, true];
    const refused = await get();
    expect(refused.body.errors?.[0]?.extensions['code']).toBe('SERVICE_UNAVAILABLE');
    expect(remaining(refused)).toBe(before - 3);
  });

  test('gets the new answer when the data have changed', async () => {
    const { headers } = await kept();
    revision = 2;
    const changed = await get({ 'if-none-match': headers.get('etag') ?? '' });
    expect([changed.status, changed.body.data]).toEqual([200, { flag: { key: 'eco 2' } }]);
  });

  test('is refused when its key is over its rate', async () => {
    limit = 4;
    const answers = [];
    for (let n = 0; n < 6; n++) answers.push(await get());
    expect(answers.map(({ status }) => status)).toEqual([200, 200, 200, 200, 429, 429]);
    expect(answers.map(remaining)).toEqual([3, 2, 1, 0, 0, 0]);
    expect(answers[5]?.body.errors?.[0]?.extensions['code']).toBe('RATE_LIMITED');
    expect(answers[5]?.headers.get('retry-after')).toBe('60');
  });

  test('causes no read while its key is over its rate, and is answered when the key is below it again', async () => {
    const reads = () => gateway.askedForItself.filter(({ query }) => query.includes('answerInputs')).length;
    limit = 4;
    for (let n = 0; n < 4; n++) await get();
    const before = reads();
    const refused = await Promise.all(Array.from({ length: 20 }, () => get()));
    expect(new Set(refused.map(({ status }) => status))).toEqual(new Set([429]));
    expect(reads()).toBe(before);
    await gateway.limiter.reset(`api-key:${ID}`, 60);
    expect([(await get()).status, reads()]).toEqual([200, before + 1]);
  });

  test('is refused as soon as its key is known to be revoked', async () => {
    await kept();
    gateway.endedCredentials.emit({
      data: { endedCredentials: { position: 1, userId: null, sessionKey: null, apiKeyId: ID, vin: null } },
    });
    await eventually(async () => (await get()).status === 401, 'the end of the key');
  });

  test('is handled as a new request where another header field matters', async () => {
    const first = await kept();
    expect((await get({ authorization: 'Bearer ffs_writer' })).status).toBe(401);
    expect((await get({ accept: 'text/html' })).status).toBe(406);
    expect((await get({ 'x-api-key': newApiKey().slice(0, -1) })).status).toBe(401);
    const ofPage = await get({ origin: gateway.url });
    expect(ofPage.headers.get('access-control-allow-origin')).toBe(gateway.url);
    const other = await get({ accept: 'application/graphql-response+json' });
    expect(other.headers.get('content-type')).toBe('application/graphql-response+json; charset=utf-8');
    expect((await get()).headers.get('content-type')).toBe(first.headers.get('content-type'));
  });
});

describe('a request that is known', () => {
  const TARGETS = [
    PATH,
    `${PATH}&operationName=`,
    `${PATH}&extensions={}`,
    `${PATH}&documentId=flag`,
    `${PATH}&query=`,
    `${PATH}&x=1#end`,
    '/graphql?documentId=flag&variables={"key":"eco","key":"sport"}',
    '/graphql?id=flag&variables={"key":"eco","__proto__":{"key":"x"}}',
    '/graphql?id=flag&variables={"key":1}',
    '/graphql?id=flag&variables={',
    '/graphql?id=flag&id=flag',
    '/graphql?variables={"key":"eco"}',
    '//graphql?id=flag&variables={"key":"eco"}',
  ];
  const tag = Symbol('the tag of the answer');
  const VALUES: Readonly<Record<string, readonly (string | string[] | typeof tag)[]>> = {
    accept: ['*/*', 'application/json', 'application/graphql-response+json', 'text/html', '', 'application/json;q=0'],
    'if-none-match': [tag, '*', '"x"', '', ['"x"', 'W/"y"']],
    'content-encoding': ['gzip', 'identity', ' ', 'br'],
    'accept-encoding': ['gzip', 'identity;q=0'],
    'content-type': ['application/json', 'text/plain'],
    authorization: ['Bearer ffs_writer', ''],
    origin: ['http://elsewhere.example', 'null'],
    'x-api-key': [KEY, KEY.toUpperCase(), '', [KEY, KEY]],
    'x-request-id': ['x', '\u00e9'],
    'x-forwarded-for': ['192.0.2.1', 'x'],
    'access-control-request-method': ['GET'],
    range: ['bytes=0-1'],
    te: ['trailers'],
    cookie: ['a=b'],
  };

  /**
   * Sends a request without any header fields but these. Gives its answer without what differs each time.
   *
   * @param extra header fields that make the gateway read the request as if it were the first
   */
  const raw = (path: string, headers: OutgoingHttpHeaders, extra: OutgoingHttpHeaders = {}) =>
    new Promise<object>((resolve, reject) => {
      request(
        `${gateway.url}/`,
        { path, headers: { 'x-api-key': KEY, ...headers, ...extra }, agent: false },
        (answer) => {
          const { date: _, 'x-request-id': __, 'ratelimit-remaining': left, ...others } = answer.headers;
          text(answer).then((body) => {
            const withoutId = body.replace(/"requestId":"[^"]*"/, '');
            resolve({ status: answer.statusCode, headers: others, body: withoutId, counted: left !== undefined });
          }, reject);
        },
      )
        .on('error', reject)
        .end();
    });

  test('is answered as if it were the first, whatever it says', async () => {
    limit = 1_000_000;
    const etag = (await kept()).headers.get('etag') ?? '';
    const some = fc.record(
      Object.fromEntries(Object.entries(VALUES).map(([name, values]) => [name, fc.constantFrom(...values)])),
      { requiredKeys: [] },
    );
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(...TARGETS),
        fc.subarray(Object.keys(VALUES), { maxLength: 3 }),
        some,
        async (path, names, all) => {
          const headers = Object.fromEntries(
            names.flatMap((name) => {
              const value = all[name];
              return value === undefined ? [] : [[name, value === tag ? etag : value]];
            }),
          );
          const first = await raw(path, headers, { 'content-length': '0' });
          for (let n = 0; n < 2; n++) expect(await raw(path, headers)).toEqual(first);
        },
      ),
      { numRuns: rounds(60, 300) },
    );
  });
});

test('known requests are bounded by the bytes that they hold, with the texts of their operations', () => {
  const known = new KnownRequests({
    pipeline: {
      callerOfKnown: () => null,
      readState: async () => null,
      count: async () => null,
      held: () => null,
    },
    rightOfWay: { isTaken: false },
    answered: () => undefined,
  });
  const learn = (n: number, bodyLength: number) =>
    known.learn(`${PATH}&n=${n}`, {
      known: {
        credential: 'a'.repeat(64),
        role: 'READ',
        operation: { sha256: 'a'.repeat(64), body: 'x'.repeat(bodyLength) },
        call: {
          ...{
            given: {},
            cost: 1,
            text: '',
            operationName: undefined,
            scope: { kind: 'anonymous' },
            key: '',
            schema: '',
          },
          dependencies: { environments: [], vins: [], keys: [], isDated: false },
        },
      },
      accept: undefined,
      type: 'application/json',
    });
  learn(0, 100_000);
  expect(known.bytes).toBe(0);
  for (let n = 0; n < 2_000; n++) learn(n, 30_000);
  expect(known.bytes).toBeLessThanOrEqual(32 * 1024 * 1024);
  expect(known.bytes).toBeGreaterThan(30 * 1024 * 1024);
});
