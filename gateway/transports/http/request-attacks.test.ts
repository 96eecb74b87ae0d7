import { once } from 'node:events';
import { connect } from 'node:net';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { SESSION, ScriptedGateway } from '../../testing/scripted-gateway.ts';

const FLAG = '{ flag(key: "eco") { key } }';
const MUTATION = 'mutation { enableFlag(key: "eco") { applied } }';

const TIMES = { headersTimeoutMs: 300, requestTimeoutMs: 600, checkIntervalMs: 20 };

let gateway: ScriptedGateway;
beforeAll(async () => {
  gateway = await ScriptedGateway.start({ trustedProxies: ['127.0.0.0/8'] });
  gateway.answer = async () => ({ data: { flag: { key: 'eco', __typename: 'Flag' } } });
});
afterAll(() => gateway.close());
beforeEach(() => {
  gateway.asked.length = 0;
});

/** Sends bytes as they are and gives all that comes back. */
async function raw(...lines: string[]): Promise<string> {
  const socket = connect(Number(new URL(gateway.url).port), '127.0.0.1');
  let answer = '';
  socket.on('data', (data) => (answer += data.toString())).on('error', () => undefined);
  // A gateway that says nothing fails the test instead of holding it up.
  socket.setTimeout(5_000, () => socket.destroy());
  socket.write(`${lines.join('\r\n')}\r\n\r\n`);
  await once(socket, 'close');
  return answer;
}

const UPGRADE = [
  'Host: gateway',
  'Connection: Upgrade',
  'Upgrade: websocket',
  'Sec-WebSocket-Version: 13',
  `Sec-WebSocket-Key: ${Buffer.alloc(16).toString('base64')}`,
  'Sec-WebSocket-Protocol: graphql-transport-ws',
];

describe('an invalid path', () => {
  test.each(['//', '/other', '/graphql/', '/graphql%2f', 'http://[', '/?/graphql', '*'])(
    'takes no websocket and leaves the gateway running: %s',
    async (path) => {
      expect(await raw(`GET ${path} HTTP/1.1`, ...UPGRADE)).toMatch(/^HTTP\/1\.1 40[04] /);
      expect((await gateway.send('/health/live')).status).toBe(200);
    },
  );

  test.each(['/%', '/graphql?query=%', '//', '/%00', '/..%2f..%2fetc/passwd'])(
    'is refused in our form: %s',
    async (path) => {
      const answer = await gateway.send(path);
      expect(answer.status).toBeGreaterThanOrEqual(400);
      expect(answer.status).toBeLessThan(500);
      expect(answer.body.errors).toMatchObject([
        { extensions: { code: expect.stringMatching(/^(NOT_FOUND|BAD_USER_INPUT)$/) } },
      ]);
      expect(answer.headers.get('x-request-id')).toMatch(/^[0-9a-f-]{36}$/);
    },
  );
});

describe('a page of another site', () => {
  const body = JSON.stringify({ query: FLAG });
  const session = { authorization: `Bearer ${SESSION}` };
  const simple: [string, RequestInit][] = [
    ...[
      'text/plain',
      'text/plain; charset=utf-8',
      'application/x-www-form-urlencoded',
      'multipart/form-data; boundary=x',
    ].map((type): [string, RequestInit] => [
      `a POST of ${type}`,
      { method: 'POST', headers: { 'content-type': type }, body },
    ]),
    ['a POST of nothing known', { method: 'POST', headers: { 'content-type': '' }, body }],
  ];

  test('cannot ask by a GET, which browsers send without asking first and without our headers', async () => {
    const answer = await gateway.send(`/graphql?query=${encodeURIComponent(FLAG)}`);
    expect(answer).toMatchObject({ status: 400, body: { errors: [{ extensions: { code: 'BAD_USER_INPUT' } }] } });
    expect(gateway.asked).toEqual([]);
  });

  test.each(simple)('cannot ask by %s, which browsers send without asking first', async (_what, init) => {
    const answer = await gateway.send('/graphql', {
      ...init,
      headers: { ...session, ...(init.headers as Record<string, string>) },
    });
    expect([400, 415]).toContain(answer.status);
    expect(answer.body.errors).toMatchObject([{ extensions: { code: 'BAD_USER_INPUT' } }]);
    expect(gateway.asked).toEqual([]);
  });

  test('is not allowed to by any answer', async () => {
    const answers = [
      await gateway.send('/graphql', {
        method: 'OPTIONS',
        headers: { origin: 'https://evil.example', 'access-control-request-method': 'POST' },
      }),
      await gateway.ask(FLAG, {}, { origin: 'https://evil.example' }),
    ];
    for (const { headers } of answers) expect(headers.get('access-control-allow-origin')).toBeNull();
  });

  test.each(['apollo-require-preflight', 'x-apollo-operation-name'])(
    'is what a program with %s is not',
    async (name) => {
      const answer = await gateway.send(`/graphql?query=${encodeURIComponent(FLAG)}`, {
        headers: { ...session, [name]: 'x' },
      });
      expect(answer).toMatchObject({ status: 200, body: { data: { flag: { key: 'eco' } } } });
    },
  );
});

describe('a GET', () => {
  const get = (parameters: Record<string, string>) =>
    gateway.send(`/graphql?${new URLSearchParams(parameters).toString()}`, {
      headers: { authorization: `Bearer ${SESSION}`, 'apollo-require-preflight': 'x' },
    });

  test.each([
    [{ query: MUTATION }],
    [{ query: `query A ${FLAG} ${MUTATION.replace('mutation', 'mutation B')}`, operationName: 'B' }],
    [{ query: 'subscription { flagChanges(environment: STAGING) { revision } }' }],
  ])('changes nothing: %j', async (parameters) => {
    expect(await get(parameters)).toMatchObject({
      status: 405,
      body: { errors: [{ extensions: { code: 'BAD_USER_INPUT' } }] },
    });
    expect(gateway.asked).toEqual([]);
  });

  test('may read from a document that has a mutation, too', async () => {
    expect(
      (await get({ query: `query A ${FLAG} ${MUTATION.replace('mutation', 'mutation B')}`, operationName: 'A' }))
        .status,
    ).toBe(200);
  });
});

test.each([1, 2, 100])('a batch of %i is refused as a whole', async (count) => {
  const answer = await gateway.post(
    Array.from({ length: count }, () => ({ query: FLAG })),
    { authorization: `Bearer ${SESSION}` },
  );
  expect(answer).toMatchObject({ status: 400, body: { errors: [{ extensions: { code: 'BAD_USER_INPUT' } }] } });
  expect(gateway.asked).toEqual([]);
});

describe('an address that is passed on', () => {
  const forwarded = { 'x-forwarded-for': '198.51.100.1, 203.0.113.9' };
  const addresses = () => gateway.asked.map(({ identity }) => identity.origin.ipAddress);

  test('is what a subgraph gets, over HTTP and a websocket, when a trusted proxy sends it', async () => {
    await gateway.ask(FLAG, {}, forwarded);
    const client = await gateway.client(forwarded);
    client.subscribe('a', FLAG);
    await client.result('a');
    expect(addresses()).toEqual(['203.0.113.9', '203.0.113.9']);
  });

  test('is what anybody may say, and counts for nothing, when no proxy is trusted', async () => {
    const bare = await ScriptedGateway.start();
    try {
      await bare.ask(FLAG, {}, forwarded);
      const client = await bare.client(forwarded);
      client.subscribe('a', FLAG);
      await client.result('a');
      expect(bare.asked.map(({ identity }) => identity.origin.ipAddress)).toEqual(['127.0.0.1', '127.0.0.1']);
    } finally {
      await bare.close();
    }
  });
});

describe('a request that trickles in', () => {
  let hurried: ScriptedGateway;
  beforeAll(async () => {
    hurried = await ScriptedGateway.start({ requestTimes: TIMES });
  });
  afterAll(() => hurried.close());

  /** Sends `head`, then a byte at a time for as long as anybody listens; gives what comes back. */
  async function trickle(head: string): Promise<string> {
    const socket = connect(Number(new URL(hurried.url).port), '127.0.0.1');
    let answer = '';
    socket.on('data', (data) => (answer += data.toString())).on('error', () => undefined);
    // Node would not check before 30 s by default.
    socket.setTimeout(10_000, () => socket.destroy());
    socket.write(head);
    const drip = setInterval(() => socket.write('x'), 20);
    const deadline = setTimeout(() => socket.destroy(), 10_000);
    await once(socket, 'close');
    clearInterval(drip);
    clearTimeout(deadline);
    return answer;
  }

  test.each([
    ['headers', 'POST /graphql HTTP/1.1\r\nHost: gateway\r\nX-Slow: '],
    [
      'body',
      'POST /graphql HTTP/1.1\r\nHost: gateway\r\nContent-Type: application/json\r\nContent-Length: 100000\r\n\r\n',
    ],
  ])('is cut off when the timeout of its %s is over, and not at the default check of Node', async (_part, head) => {
    expect(await trickle(head)).toMatch(/^HTTP\/1\.1 408 /);
  });
});

describe('a body of lists in lists', () => {
  const nested = (levels: number) =>
    gateway.post(
      `{"query":${JSON.stringify(FLAG)},"variables":{"x":${'['.repeat(levels - 2)}${']'.repeat(levels - 2)}}}`,
      { authorization: `Bearer ${SESSION}` },
    );

  test('is refused where it is deeper than may be, and read where it is not', async () => {
    const [within, beyond] = [await nested(500), await nested(501)];
    expect(within.status).toBe(200);
    expect([beyond.status, beyond.body.errors?.[0]?.extensions]).toEqual([400, { code: 'LIMIT_EXCEEDED', limit: 500 }]);
  });
});
