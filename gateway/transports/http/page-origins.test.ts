import { request } from 'node:http';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { WebSocket } from 'ws';
import { eventually } from '../../../core/testing/eventually.ts';
import { SESSION, ScriptedGateway } from '../../testing/scripted-gateway.ts';

const DASHBOARD = 'https://dashboard.example';
const FOREIGN = [
  'https://evil.example',
  'http://dashboard.example',
  'https://dashboard.example:8443',
  'https://dashboard.example.evil',
  'https://x.dashboard.example',
  'null',
  'file://',
  'nonsense',
  '',
];
const PREFLIGHT = {
  'access-control-request-method': 'POST',
  'access-control-request-headers': 'authorization,content-type,x-apollo-operation-name',
};

let gateway: ScriptedGateway;
beforeAll(async () => {
  gateway = await ScriptedGateway.start({ allowedOrigins: [DASHBOARD, 'http://localhost:5173'] });
  gateway.answer = async () => ({ data: { flag: { key: 'eco', __typename: 'Flag' } } });
});
afterAll(() => gateway.close());
beforeEach(() => {
  gateway.logged.length = 0;
});

const cors = ({ headers }: { headers: Headers }) =>
  Object.fromEntries(
    Array.from(headers)
      .filter(([name]) => name.startsWith('access-control-'))
      .map(([name, value]) => [name.slice('access-control-'.length), value]),
  );
const preflight = (origin: string, path = '/graphql') =>
  gateway.send(path, { method: 'OPTIONS', headers: { origin, ...PREFLIGHT } });
const exposed = expect.stringMatching(/ETag.*Retry-After.*RateLimit-Limit.*RateLimit-Remaining.*RateLimit-Reset/);

describe('a page of an origin that the setting names', () => {
  test.each([DASHBOARD, 'http://localhost:5173'])('learns from the preflight what it may send: %s', async (origin) => {
    const answer = await preflight(origin);
    expect(answer.status).toBe(204);
    expect(cors(answer)).toMatchObject({
      'allow-origin': origin,
      'allow-credentials': 'true',
      'allow-methods': 'GET, POST',
      'allow-headers': PREFLIGHT['access-control-request-headers'],
      'max-age': '600',
    });
    expect(answer.headers.get('vary')).toContain('Origin');
  });

  test.each<[string, () => ReturnType<typeof gateway.send>, number]>([
    ['an answer', () => gateway.ask('{ flag(key: "eco") { key } }', {}, { origin: DASHBOARD }), 200],
    [
      'an answer by GET',
      () =>
        gateway.send('/graphql?query={__typename}', {
          headers: { origin: DASHBOARD, authorization: `Bearer ${SESSION}` },
        }),
      200,
    ],
    [
      'that its session is over',
      () => gateway.ask('{ flag(key: "eco") { key } }', {}, { origin: DASHBOARD, authorization: 'Bearer ffs_over' }),
      401,
    ],
    ['that its body is not JSON', () => gateway.post('{', { origin: DASHBOARD }), 400],
    ['that its body is too large', () => gateway.post('x'.repeat(1024 * 1024 + 1), { origin: DASHBOARD }), 413],
  ])('may read %s', async (_what, ask, status) => {
    const answer = await ask();
    expect(answer.status).toBe(status);
    expect(cors(answer)).toEqual({ 'allow-origin': DASHBOARD, 'allow-credentials': 'true', 'expose-headers': exposed });
    expect(answer.headers.get('vary')).toContain('Origin');
  });

  test('may open a websocket', async () => {
    const client = await gateway.client({ origin: DASHBOARD });
    client.subscribe('q', '{ flag(key: "eco") { key } }');
    expect(await client.result('q')).toEqual({ data: { flag: { key: 'eco' } } });
  });

  test('has no business with anything but /graphql', async () => {
    for (const path of ['/metrics', '/health/ready', '/.well-known/jwks.json', '/']) {
      expect((await preflight(DASHBOARD, path)).status).toBe(405);
      expect(cors(await gateway.send(path, { headers: { origin: DASHBOARD } }))).toEqual({});
    }
  });
});

describe('a page of another origin', () => {
  test.each(FOREIGN)('learns nothing from the preflight, and may read nothing: %j', async (origin) => {
    const asked = await preflight(origin);
    expect([asked.status, asked.headers.get('allow'), cors(asked)]).toEqual([405, 'GET, POST', {}]);
    const answer = await gateway.ask('{ __typename }', {}, { origin });
    expect(cors(answer)).toEqual({});
    expect(answer.headers.get('vary')).toContain('Origin');
  });

  test.each(FOREIGN.filter((origin) => origin !== ''))('opens no websocket: %s', async (origin) => {
    const socket = new WebSocket(`${gateway.url.replace('http', 'ws')}/graphql`, 'graphql-transport-ws', {
      headers: { origin },
    });
    let status: number | undefined;
    socket
      .on('error', () => undefined)
      .on('unexpected-response', (_request, response) => (status = response.statusCode));
    await eventually(() => status, 'the refusal');
    expect(status).toBe(403);
    socket.terminate();
  });

  test('is named in the log once, since its browser says nothing', async () => {
    const attempts = Array.from({ length: 3 }, () => gateway.socket({ origin: 'https://curious.example' }).close());
    await Promise.all(attempts);
    expect(gateway.logged).toMatchObject([
      {
        level: 'warn',
        fields: { origin: 'https://curious.example' },
        message: expect.stringContaining('FLEETFLAG_ALLOWED_ORIGINS'),
      },
    ]);
  });
});

describe("the gateway's own page", () => {
  test('asks over HTTP and websockets, behind a proxy that ends TLS, too', async () => {
    for (const origin of [gateway.url, gateway.url.replace('http:', 'https:')]) {
      const answer = await gateway.ask('{ __typename }', {}, { origin });
      expect(answer.status).toBe(200);
      expect(cors(answer)).not.toHaveProperty('allow-credentials');
      await gateway.client({ origin });
    }
  });

  test('and programs, which send no origin, are asked for none', async () => {
    await gateway.client();
    expect(cors(await gateway.ask('{ __typename }'))).toEqual({});
  });
});

describe('a page that has its own name lead to the gateway', () => {
  const host = 'evil.example';
  const origin = `http://${host}`;
  /** Sends a request as a browser does, which takes `Host` from the page's address. */
  const ask = (path: string, headers: Record<string, string> = {}) =>
    new Promise<{ status: number; body: string }>((resolve, reject) => {
      const sent = request(
        {
          port: new URL(gateway.url).port,
          path,
          method: path === '/graphql' ? 'POST' : 'GET',
          headers: { host, origin, ...headers },
        },
        (answer) => {
          let body = '';
          answer.setEncoding('utf8').on('data', (part: string) => (body += part));
          answer.on('end', () => resolve({ status: answer.statusCode ?? 0, body }));
        },
      ).on('error', reject);
      sent.end(path === '/graphql' ? '{"query":"{ flag(key: \\"eco\\") { key } }"}' : undefined);
    });

  test('has no credentials there, whatever its browser adds by itself', async () => {
    const { status, body } = await ask('/graphql', {
      'content-type': 'application/json',
      cookie: `session=${SESSION}; authorization=Bearer ${SESSION}`,
    });
    expect({
      status,
      code: (JSON.parse(body) as { errors: { extensions: { code: string } }[] }).errors[0]?.extensions.code,
    }).toEqual({
      status: 401,
      code: 'UNAUTHENTICATED',
    });
  });

  test('may not read the metrics, though its browser is on this machine', async () => {
    expect((await ask('/metrics')).status).toBe(403);
  });

  test('is closed on a websocket for want of credentials', async () => {
    const socket = new WebSocket(`${gateway.url.replace('http', 'ws')}/graphql`, 'graphql-transport-ws', {
      headers: { host, origin },
    });
    const closed = new Promise<number>((resolve) => socket.on('close', resolve));
    socket.on('open', () => socket.send('{"type":"connection_init"}'));
    expect(await closed).toBe(4403);
  });
});
