import { randomUUID } from 'node:crypto';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { ERROR_CATALOGUE, FleetFlagError } from '../core/errors.ts';
import { ScriptedGateway, VIN, type HttpAnswer } from './testing/scripted-gateway.ts';

const FLAG = '{ flag(key: "eco") { key } }';
const FAULT = 'connect ECONNREFUSED 10.0.0.7:5432';
const SHOWN = new Set(['code', 'field', 'currentRevision', 'limit', 'retryAfter', 'requestId']);

let gateway: ScriptedGateway;
beforeAll(async () => {
  gateway = await ScriptedGateway.start();
});
afterAll(() => gateway.close());

let fresh: Pick<ScriptedGateway, 'answer' | 'findSession'>;
beforeEach(() => {
  fresh = { answer: gateway.answer, findSession: gateway.findSession };
  gateway.answer = async () => ({ data: { flag: { key: 'eco', id: 'f1', __typename: 'Flag' } } });
});
afterEach(() => {
  Object.assign(gateway, fresh);
  gateway.ready = {};
  gateway.asked.length = 0;
  gateway.logged.length = 0;
});

/** The one error of an answer: with a code of the catalogue, and nothing that a client must not see. */
function refused(answer: HttpAnswer): Record<string, unknown> {
  expect(answer.body.errors).toHaveLength(1);
  const [error] = answer.body.errors ?? [];
  expect(Object.keys(ERROR_CATALOGUE)).toContain(error?.extensions['code']);
  expect(Object.keys(error?.extensions ?? {}).filter((name) => !SHOWN.has(name))).toEqual([]);
  expect(answer.text).not.toMatch(/serviceName|stacktrace|node_modules|\.ts:|10\.0\.0\.7|ECONN|Context creation/);
  return { status: answer.status, ...error?.extensions };
}

describe('an invalid request', () => {
  const preflight = { 'apollo-require-preflight': 'true' };
  const get = (query: string, headers: Record<string, string> = preflight) =>
    gateway.send(`/graphql?query=${encodeURIComponent(query)}`, {
      headers: { authorization: 'Bearer ffs_writer', ...headers },
    });

  test('is refused with 413 when its body is too large, naming the limit', async () => {
    expect(refused(await gateway.ask(FLAG, { text: 'x'.repeat(1024 * 1024) }))).toMatchObject({
      status: 413,
      code: 'LIMIT_EXCEEDED',
      limit: 1024 * 1024,
    });
  });

  test.each<[string, () => Promise<HttpAnswer>, number]>([
    ['a body that is not JSON', () => gateway.post('{'), 400],
    ['an empty body', () => gateway.post(''), 400],
    ['a body that is not an object', () => gateway.post('7'), 400],
    ['a body without an operation', () => gateway.post({}), 400],
    ['a query that is no text', () => gateway.post({ query: 7 }), 400],
    ['variables that are no object', () => gateway.post({ query: FLAG, variables: 'x' }), 400],
    [
      'an operation that is not in the document',
      () => gateway.post({ query: 'query A { __typename }', operationName: 'B' }),
      400,
    ],
    [
      'several operations and no name',
      () => gateway.post({ query: 'query A { __typename } query B { __typename }' }),
      400,
    ],
    ['a batch', () => gateway.post([{ query: FLAG }, { query: FLAG }]), 400],
    ['a form', () => gateway.post('query=x', { 'content-type': 'application/x-www-form-urlencoded' }), 415],
    [
      'plain text, as a page of another site can send it',
      () => gateway.post(JSON.stringify({ query: FLAG }), { 'content-type': 'text/plain' }),
      400,
    ],
    [
      'a GET that a page of another site can send',
      () => gateway.send(`/graphql?query=${encodeURIComponent(FLAG)}`),
      400,
    ],
    ['a mutation by GET', () => get('mutation { enableFlag(key: "eco") { applied } }'), 405],
    ['a subscription', () => gateway.ask('subscription { flagChanges(environment: STAGING) { revision } }'), 400],
    [
      "a persisted query of Apollo's kind",
      () => gateway.post({ extensions: { persistedQuery: { version: 1, sha256Hash: 'x' } } }),
      400,
    ],
    ['an operation that is not GraphQL', () => gateway.ask('{ flag('), 400],
    ['an operation that does not fit the schema', () => gateway.ask('{ nothing }'), 400],
  ])('is refused: %s', async (_what, send, status) => {
    expect(refused(await send())).toMatchObject({ status, code: 'BAD_USER_INPUT' });
    expect(gateway.asked).toEqual([]);
  });

  test('gets the path of a variable that does not fit', async () => {
    const mutation = 'mutation ($input: CreateFlagInput!) { createFlag(input: $input) { applied } }';
    expect(refused(await gateway.ask(mutation, { input: { key: 'a', colour: 'red' } }))).toMatchObject({
      status: 400,
      code: 'BAD_USER_INPUT',
      field: expect.stringMatching(/^input\./),
    });
  });

  test('gets the path of a null that came by a variable with a default', async () => {
    const query = 'query ($e: Environment = STAGING) { flagSync(environment: $e) { revision } }';
    expect(refused(await gateway.ask(query, { e: null }))).toMatchObject({
      status: 400,
      code: 'BAD_USER_INPUT',
      field: 'environment',
    });
  });

  test.each([
    ['GET', '/nothing'],
    ['PUT', '/nothing'],
    ['OPTIONS', '/nothing'],
    ['GET', '/graphql/x'],
  ])('%s %s is 404', async (method, path) => {
    expect(refused(await gateway.send(path, { method }))).toEqual({ status: 404, code: 'NOT_FOUND' });
  });

  test('does not stand in the way of a query by GET with a header that only programs can set', async () => {
    for (const headers of [preflight, {}])
      expect(await get(FLAG, headers)).toMatchObject({ status: 200, body: { data: { flag: { key: 'eco' } } } });
  });
});

describe('who is calling', () => {
  const callers = () => gateway.asked.map(({ identity }) => identity.caller);

  test('is passed to the subgraph, with the origin of the request', async () => {
    await gateway.ask(FLAG, {}, { 'user-agent': 'dashboard/1.0', 'x-fleetflag-identity': 'forged' });
    expect(gateway.asked).toMatchObject([
      {
        name: 'flags',
        identity: {
          caller: { kind: 'user', role: 'WRITE' },
          origin: { ipAddress: '127.0.0.1', userAgent: 'dashboard/1.0' },
        },
      },
    ]);
    const token = await gateway.vehicleTokens.issue(VIN, 'staging', new Date(Date.now() + 60_000));
    await gateway.post({ query: `{ vehicle(vin: "${VIN}") { vin } }` }, { authorization: `Bearer ${token}` });
    expect(callers()[1]).toEqual({ kind: 'vehicle', vin: VIN, environment: 'staging', partition: '*' });
  });

  test.each([
    ['an anonymous caller', {}],
    ['a session that is over', { authorization: 'Bearer ffs_over' }],
    ['a forged vehicle token', { authorization: 'Bearer eyJhbGciOiJub25lIn0.e30.' }],
    ['another scheme', { authorization: 'Basic YWRtaW46YWRtaW4=' }],
    ['an unknown key', { 'x-api-key': 'unknown' }],
    ['a good session beside an unknown key', { authorization: 'Bearer ffs_writer', 'x-api-key': 'unknown' }],
  ])('has to be authenticated: %s is UNAUTHENTICATED', async (_what, headers) => {
    expect(refused(await gateway.post({ query: FLAG }, headers))).toEqual({ status: 401, code: 'UNAUTHENTICATED' });
    expect(gateway.asked).toEqual([]);
  });

  test('has to have the permission', async () => {
    expect(refused(await gateway.ask('{ users { totalCount } }'))).toEqual({ status: 403, code: 'FORBIDDEN' });
    expect(gateway.asked).toEqual([]);
  });

  test('is SERVICE_UNAVAILABLE to find out while sessions cannot be read, and vehicles do not notice', async () => {
    gateway.findSession = async () => {
      throw new FleetFlagError('SERVICE_UNAVAILABLE', 'Sessions cannot be read; try again.', { retryAfter: 1 });
    };
    expect(refused(await gateway.ask(FLAG))).toEqual({ status: 503, code: 'SERVICE_UNAVAILABLE', retryAfter: 1 });
    const token = await gateway.vehicleTokens.issue(VIN, 'staging', new Date(Date.now() + 60_000));
    expect((await gateway.post({ query: '{ __typename }' }, { authorization: `Bearer ${token}` })).status).toBe(200);
  });

  test('is answered with INTERNAL_SERVER_ERROR, without details, when authentication fails unexpectedly', async () => {
    gateway.findSession = async () => {
      throw new Error(FAULT);
    };
    const requestId = randomUUID();
    expect(refused(await gateway.ask(FLAG, {}, { 'x-request-id': requestId }))).toEqual({
      status: 500,
      code: 'INTERNAL_SERVER_ERROR',
      requestId,
    });
    expect(gateway.logged).toMatchObject([{ level: 'error', fields: { requestId } }]);
  });
});

describe('an answer', () => {
  test('carries the request id that the caller gave, or one of ours', async () => {
    const requestId = randomUUID();
    expect((await gateway.ask(FLAG, {}, { 'x-request-id': requestId })).headers.get('x-request-id')).toBe(requestId);
    expect(gateway.asked[0]?.identity.origin.requestId).toBe(requestId);
    const answer = await gateway.ask(FLAG, {}, { 'x-request-id': 'not a uuid' });
    expect(answer.headers.get('x-request-id')).toMatch(/^[0-9a-f-]{36}$/);
    expect(gateway.asked[1]?.identity.origin.requestId).toBe(answer.headers.get('x-request-id'));
  });

  test('carries the request id, too, when the request never became one', async () => {
    const headers = { 'x-request-id': randomUUID() };
    for (const answer of [
      await gateway.post('{', headers),
      await gateway.post([], headers),
      await gateway.post({ query: FLAG }, { ...headers, 'content-type': 'text/plain' }),
      await gateway.send('/nothing', { headers }),
    ]) {
      expect(answer.status).toBeGreaterThanOrEqual(400);
      expect(answer.headers.get('x-request-id')).toBe(headers['x-request-id']);
    }
  });

  test('passes on what a subgraph refuses, with its details and the status of its code', async () => {
    gateway.answer = async () => ({
      data: { flag: null },
      errors: [
        {
          message: 'Changed since.',
          path: ['flag'],
          extensions: { code: 'CONFLICT', currentRevision: 7, field: 'key' },
        },
      ],
    });
    const answer = await gateway.ask(FLAG);
    expect(answer.body.errors).toMatchObject([{ message: 'Changed since.', path: ['flag'] }]);
    expect(refused(answer)).toEqual({ status: 200, code: 'CONFLICT', currentRevision: 7, field: 'key' });
    gateway.answer = async () => ({ errors: [{ message: 'Changed since.', extensions: { code: 'CONFLICT' } }] });
    expect(refused(await gateway.ask('mutation { enableFlag(key: "eco") { applied } }'))).toMatchObject({
      status: 409,
      code: 'CONFLICT',
    });
  });

  test.each<[string, () => Promise<never> | Promise<object>]>([
    [
      'an error of a library',
      async () => ({
        data: null,
        errors: [
          {
            message: FAULT,
            path: ['flag'],
            extensions: { code: 'SOMETHING', stacktrace: [`at x.ts:1`], serviceName: 'flags' },
          },
        ],
      }),
    ],
    ['an error without a code', async () => ({ data: null, errors: [{ message: FAULT }] })],
    ['an exception', () => Promise.reject(new Error(FAULT))],
  ])('shows nothing of %s but the id under which the log has it', async (_what, answer) => {
    gateway.answer = answer;
    const requestId = randomUUID();
    expect(refused(await gateway.ask(FLAG, {}, { 'x-request-id': requestId }))).toMatchObject({
      code: 'INTERNAL_SERVER_ERROR',
      requestId,
    });
    expect(gateway.logged).toContainEqual(
      expect.objectContaining({ level: 'error', fields: expect.objectContaining({ requestId }) }),
    );
  });

  test('answers null and SERVICE_UNAVAILABLE for a subgraph that does not answer', async () => {
    gateway.answer = () =>
      Promise.reject(
        new FleetFlagError('SERVICE_UNAVAILABLE', 'A part of the service is not answering; try again.', {
          retryAfter: 1,
        }),
      );
    const answer = await gateway.ask(FLAG);
    expect(answer.body.data ?? { flag: null }).toEqual({ flag: null });
    expect(refused(answer)).toMatchObject({ code: 'SERVICE_UNAVAILABLE', retryAfter: 1 });
  });
});

describe('beside the API', () => {
  test('the playground is served, which loads nothing from other hosts', async () => {
    const answer = await gateway.send('/');
    expect(answer.status).toBe(200);
    expect(answer.headers.get('content-type')).toContain('text/html');
    expect(answer.text).not.toMatch(/<(script|link)[^>]+(src|href)="https?:/);
  });

  test('there are health, readiness and the public keys', async () => {
    expect(await gateway.send('/health/live')).toMatchObject({ status: 200, body: { status: 'ok' } });
    expect(await gateway.send('/health/ready')).toMatchObject({ status: 200, text: '{"status":"ok"}' });
    expect(await gateway.send('/.well-known/jwks.json')).toMatchObject({
      status: 200,
      body: { keys: [{ kid: 'k1' }] },
    });
  });

  test.each(['flags', 'audit', 'sessions'])(
    'readiness says when %s does not answer, and only the log says what it is',
    async (part) => {
      gateway.ready = { [part]: false };
      for (let asked = 0; asked < 3; asked++)
        expect(await gateway.send('/health/ready')).toMatchObject({ status: 503, text: '{"status":"unavailable"}' });
      gateway.ready = {};
      expect((await gateway.send('/health/ready')).status).toBe(200);
      expect(gateway.logged.map(({ fields }) => fields)).toEqual([{ missing: [part] }, { missing: [] }]);
    },
  );

  test('introspection answers when it is on', async () => {
    expect((await gateway.ask('{ __schema { queryType { name } } }')).body.data).toEqual({
      __schema: { queryType: { name: 'Query' } },
    });
  });
});

describe('a gateway with playground and introspection off', () => {
  let closed: ScriptedGateway;
  beforeAll(async () => {
    closed = await ScriptedGateway.start({ playground: false, introspection: false });
  });
  afterAll(() => closed.close());

  test('has nothing at /', async () => {
    expect(refused(await closed.send('/'))).toEqual({ status: 404, code: 'NOT_FOUND' });
  });

  test('refuses introspection and suggests no names of the schema', async () => {
    for (const query of ['{ __schema { queryType { name } } }', '{ __type(name: "Flag") { name } }']) {
      const answer = await closed.ask(query);
      expect(answer.body.errors?.[0]?.extensions['code']).toBe('BAD_USER_INPUT');
      expect(answer.status).toBe(400);
    }
    expect((await closed.ask('{ flg(key: "x") { key } }')).text).not.toContain('Did you mean');
  });
});
