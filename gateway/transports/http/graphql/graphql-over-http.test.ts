import { once } from 'node:events';
import { METHODS, request as httpRequest, type IncomingMessage } from 'node:http';
import { connect } from 'node:net';
import { brotliCompressSync, gzipSync } from 'node:zlib';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import fastify from 'fastify';
import { serverAudits } from 'graphql-http';
import { SESSION, ScriptedGateway } from '../../../testing/scripted-gateway.ts';
import { addHttpRefusals } from '../refusal.ts';

const JSON_TYPE = 'application/json; charset=utf-8';
const GRAPHQL_TYPE = 'application/graphql-response+json; charset=utf-8';
/** The header `accept` of Apollo Client. */
const APOLLO_ACCEPT = 'application/graphql-response+json,application/json;q=0.9';
const FLAG = '{ flag(key: "eco") { key } }';

let gateway: ScriptedGateway;
beforeAll(async () => {
  gateway = await ScriptedGateway.start({ metricsToken: 'a-token-of-the-metrics' });
  gateway.answer = async () => ({ data: { flag: { key: 'eco', __typename: 'Flag' } } });
});
afterAll(() => gateway.close());
beforeEach(() => {
  gateway.asked.length = 0;
});

/** fetch sends neither every method nor its answer's headers of all. */
async function send(method: string, path: string, headers: Record<string, string> = {}): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    httpRequest(`${gateway.url}${path}`, { method, headers: { connection: 'close', ...headers } }, (answer) =>
      resolve(answer.resume()),
    )
      .on('error', reject)
      .end();
  });
}

describe("graphql-http's audits", () => {
  const audits = (headers: Record<string, string>) =>
    serverAudits({
      url: `${gateway.url}/graphql`,
      fetchFn: (url: string, init: RequestInit = {}) =>
        fetch(url, { ...init, headers: { ...(init.headers as Record<string, string>), ...headers } }),
    });

  test('pass for a session, every one of them', async () => {
    const results = await Promise.all(audits({ authorization: `Bearer ${SESSION}` }).map((audit) => audit.fn()));
    expect(results.length).toBeGreaterThan(50);
    expect(
      results.flatMap((result) =>
        result.status === 'ok' ? [] : [`${result.status}: ${result.name}: ${result.reason}`],
      ),
    ).toEqual([]);
  });

  test('pass for an anonymous caller, but for GETs that a page of another site could send', async () => {
    const results = await Promise.all(audits({}).map((audit) => audit.fn()));
    const failed = results.flatMap((result) => (result.status === 'ok' ? [] : [`${result.status}: ${result.name}`]));
    expect(failed.filter((name) => !/^notice: MAY .*GET/.test(name))).toEqual([]);
  });
});

describe('a refusal', () => {
  const REFUSED: [string, number, (headers: Record<string, string>) => ReturnType<typeof gateway.send>][] = [
    [
      'a session that is over',
      401,
      (headers) => gateway.ask(FLAG, {}, { ...headers, authorization: 'Bearer ffs_over' }),
    ],
    ['an anonymous caller', 401, (headers) => gateway.post({ query: FLAG }, headers)],
    [
      'an operation by a key that is not known',
      401,
      (headers) => gateway.post({ id: 'x' }, { ...headers, 'x-api-key': 'x' }),
    ],
    ['a permission that is missing', 403, (headers) => gateway.ask('{ users { totalCount } }', {}, headers)],
    [
      'a name that leads nowhere',
      404,
      (headers) => gateway.post({ id: 'x' }, { ...headers, authorization: `Bearer ${SESSION}` }),
    ],
    ['a body that is not JSON', 400, (headers) => gateway.post('{', headers)],
    ['a body that is too large', 413, (headers) => gateway.post('x'.repeat(1024 * 1024 + 1), headers)],
    [
      'a body of a strange type',
      415,
      (headers) => gateway.post('x', { ...headers, 'content-type': 'application/xml' }),
    ],
    [
      'a body that is compressed',
      415,
      (headers) =>
        gateway.send('/graphql', {
          method: 'POST',
          headers: { ...headers, 'content-type': 'application/json', 'content-encoding': 'gzip' },
          body: gzipSync(JSON.stringify({ query: FLAG })),
        }),
    ],
    [
      'a body that is no UTF-8',
      400,
      (headers) =>
        gateway.send('/graphql', {
          method: 'POST',
          headers: { ...headers, 'content-type': 'application/json' },
          body: Buffer.from(JSON.stringify({ query: '{ flag(key: "\u00ff") { key } }' }), 'latin1'),
        }),
    ],
    ['an unknown method', 405, (headers) => gateway.send('/graphql', { method: 'PUT', headers })],
    ['an unknown path', 404, (headers) => gateway.send('/nothing', { headers })],
    ['an invalid URL', 400, (headers) => gateway.send('/%', { headers })],
    ['an invalid document', 400, (headers) => gateway.ask('{', {}, headers)],
  ];

  test.each(REFUSED)('comes as the client accepts it, with its status and its code: %s', async (_what, status, ask) => {
    for (const [accept, type] of [
      [APOLLO_ACCEPT, GRAPHQL_TYPE],
      ['application/graphql-response+json', GRAPHQL_TYPE],
      ['*/*', JSON_TYPE],
      ['application/graphql-response+json;q=0.5, application/json;q=0.1', GRAPHQL_TYPE],
    ] as const) {
      const answer = await ask({ accept });
      expect([answer.status, answer.headers.get('content-type')]).toEqual([status, type]);
      expect(JSON.parse(answer.text)).toMatchObject({
        errors: [{ message: expect.any(String), extensions: { code: expect.any(String) } }],
      });
    }
    const plain = await ask({ accept: 'application/json' });
    expect(plain.headers.get('content-type')).toBe(JSON_TYPE);
    // What GraphQL itself refuses is a 200 to those who know no other type; what HTTP has a status for keeps it.
    expect(plain.status).toBe(_what === 'an invalid document' ? 200 : status);
  });

  test('by GraphQL is a 200 to a client that names application/json, and nothing else is', async () => {
    const plain = { accept: 'application/json' };
    for (const query of [
      '{ nothing }',
      'query ($key: String!) { flag(key: $key) { key } }',
      'query A { __typename } query B { __typename }',
    ]) {
      expect(await gateway.ask(query, { key: 7 }, plain)).toMatchObject({
        status: 200,
        body: { errors: [{ extensions: { code: 'BAD_USER_INPUT' } }] },
      });
      expect((await gateway.ask(query, { key: 7 })).status).toBe(400);
    }
    gateway.answer = async () => ({ errors: [{ message: 'Not so.', extensions: { code: 'BAD_USER_INPUT' } }] });
    expect((await gateway.ask('mutation { enableFlag(key: "eco") { applied } }', {}, plain)).status).toBe(400);
    gateway.answer = async () => ({ data: { flag: { key: 'eco', __typename: 'Flag' } } });
  });

  test('of a client that accepts neither form comes before anything is run', async () => {
    for (const accept of ['text/html', 'application/xml', 'application/json;q=0']) {
      expect(await gateway.ask('mutation { enableFlag(key: "eco") { applied } }', {}, { accept })).toMatchObject({
        status: 406,
        body: { errors: [{ extensions: { code: 'BAD_USER_INPUT' } }] },
      });
    }
    expect(gateway.asked).toEqual([]);
  });
});

describe('a body', () => {
  const post = (headers: Record<string, string>, body: NonNullable<RequestInit['body']>) =>
    gateway.send('/graphql', {
      method: 'POST',
      headers: { authorization: `Bearer ${SESSION}`, 'content-type': 'application/json', ...headers },
      body,
    });

  test.each(['gzip', 'br', 'deflate', 'zstd', 'identity, gzip'])(
    'with the content encoding %s is refused by its name',
    async (encoding) => {
      const { status, headers, text } = await post(
        { 'content-encoding': encoding },
        brotliCompressSync(JSON.stringify({ query: FLAG })),
      );
      expect([status, headers.get('accept-encoding')]).toEqual([415, 'identity']);
      expect(JSON.parse(text)).toMatchObject({
        errors: [{ message: expect.stringContaining(`"${encoding}"`), extensions: { code: 'BAD_USER_INPUT' } }],
      });
    },
  );

  test('that says that it has no encoding is read, in UTF-8', async () => {
    const body = JSON.stringify({
      query: 'query ($key: String!) { flag(key: $key) { key } }',
      variables: { key: '\u00ff\ucc28\ud83d\ude97' },
    });
    expect((await post({ 'content-encoding': 'Identity' }, body)).status).toBe(200);
    expect(gateway.asked.length).toBe(1);
  });

  test('with bytes that are no UTF-8 is refused and not read with other letters', async () => {
    for (const bytes of [[0xff], [0xc0, 0xaf], [0xed, 0xa0, 0x80], [0xe2, 0x82]]) {
      const { status, text } = await post(
        {},
        Buffer.concat([Buffer.from('{"query":"{ flag(key: \\"'), Buffer.from(bytes), Buffer.from('\\") { key } }"}')]),
      );
      expect([status, JSON.parse(text)]).toMatchObject([
        400,
        { errors: [{ message: 'The body must be UTF-8.', extensions: { code: 'BAD_USER_INPUT' } }] },
      ]);
    }
    expect(gateway.asked).toEqual([]);
  });
});

test.each([
  ['what is no HTTP', '\0\x01\x02\r\n\r\n', 400, 'BAD_USER_INPUT'],
  [
    'two lengths',
    'POST /graphql HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
    400,
    'BAD_USER_INPUT',
  ],
  [
    'a header that is too large',
    `GET / HTTP/1.1\r\nHost: a\r\nX-A: ${'x'.repeat(20_000)}\r\n\r\n`,
    431,
    'LIMIT_EXCEEDED',
  ],
])('%s is refused in the form of all errors', async (_what, bytes, status, code) => {
  const socket = connect(Number(new URL(gateway.url).port), '127.0.0.1');
  let answer = '';
  socket.on('data', (data) => (answer += data.toString())).on('error', () => undefined);
  socket.write(bytes);
  await once(socket, 'close');
  expect(answer).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `));
  expect(JSON.parse(answer.slice(answer.indexOf('\r\n\r\n')))).toEqual({
    errors: [{ message: expect.any(String), extensions: expect.objectContaining({ code }) }],
  });
});

describe('a 401', () => {
  test.each<[string, () => Promise<{ status: number; headers: Headers }>, boolean]>([
    ['to an anonymous caller', () => gateway.post({ query: FLAG }), false],
    ['to an anonymous caller of a persisted operation', () => gateway.post({ id: 'flag' }), false],
    ['to a session that is over', () => gateway.ask(FLAG, {}, { authorization: 'Bearer ffs_over' }), true],
    ['to an unknown key', () => gateway.post({ query: FLAG }, { 'x-api-key': 'unknown' }), false],
    ['to a scrape of metrics without a token', () => gateway.send('/metrics'), false],
    [
      'to a scrape of metrics with another token',
      () => gateway.send('/metrics', { headers: { authorization: 'Bearer another-token-of-16' } }),
      true,
    ],
  ])('says which credentials it wants: %s', async (_what, ask, shown) => {
    const { status, headers } = await ask();
    expect([status, headers.get('www-authenticate')]).toEqual([
      401,
      `Bearer realm="FleetFlag"${shown ? ', error="invalid_token"' : ''}`,
    ]);
  });
});

describe('a method', () => {
  const ROUTES: Record<string, string[]> = {
    '/': ['GET', 'HEAD'],
    '/graphql': ['GET', 'POST'],
    '/health/live': ['GET', 'HEAD'],
    '/health/ready': ['GET', 'HEAD'],
    '/metrics': ['GET', 'HEAD'],
    '/.well-known/jwks.json': ['GET', 'HEAD'],
  };
  /** CONNECT asks for a tunnel, and names no path. */
  const methods = METHODS.filter((method) => method !== 'CONNECT');

  test.each(Object.entries(ROUTES))(
    'that %s does not accept is refused with 405 and the accepted ones',
    async (path, taken) => {
      for (const method of methods) {
        const { statusCode, headers } = await send(method, `${path}?x=%25`);
        if (taken.includes(method)) expect([method, statusCode === 405 || statusCode === 404]).toEqual([method, false]);
        else expect([method, statusCode, headers.allow?.split(', ').sort()]).toEqual([method, 405, taken]);
      }
    },
  );

  test('is 404 where there is nothing, whatever it is', async () => {
    for (const method of methods) expect([method, (await send(method, '/nothing')).statusCode]).toEqual([method, 404]);
  });

  test('that there is not is refused whatever comes with it', async () => {
    const init = { method: 'PUT', headers: { 'content-type': 'application/xml' }, body: '<' };
    expect((await gateway.send('/graphql', init)).status).toBe(405);
    expect((await gateway.send('/nothing', init)).status).toBe(404);
  });

  test('of any route that is ever added has the same', async () => {
    const app = fastify();
    addHttpRefusals(app);
    app.route({ url: '/both', method: ['PUT', 'DELETE'], handler: () => 'x' });
    void app.register(async (scope) => void scope.get('/inner', () => 'x'), { prefix: '/scope' });
    const answer = async (method: 'GET' | 'POST', url: string) => {
      const { statusCode, headers } = await app.inject({ method, url });
      return [statusCode, headers.allow];
    };
    expect(await answer('GET', '/both')).toEqual([405, 'PUT, DELETE']);
    expect(await answer('POST', '/scope/inner')).toEqual([405, 'GET, HEAD']);
    expect(await answer('POST', '/inner')).toEqual([404, undefined]);
    await app.close();
  });
});
