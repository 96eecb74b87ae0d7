import { request, type IncomingHttpHeaders } from 'node:http';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { sourceOf, testFlag } from '../testing/held-flags.ts';
import { isOrigin } from './browser-guard.ts';
import { LocalServer } from './local-server.ts';

const OWN_PAGE = 'http://hmi.local:8080';
const JSON_TYPE = { 'content-type': 'application/json' };
const MEASUREMENT = '{"metric":"m","value":1,"flagKey":"a"}';
/** Every endpoint, with a body that it accepts. */
const ENDPOINTS: [method: string, path: string, body: string][] = [
  ['POST', '/v1/track', MEASUREMENT],
  ['POST', '/v1/fault', '{"flagKey":"a","message":"m"}'],
  ['POST', '/ofrep/v1/evaluate/flags/a', '{}'],
  ['POST', '/ofrep/v1/evaluate/flags', '{}'],
  ['PUT', '/v1/vehicle-state', '{"ignition":"off","moving":false}'],
  ['GET', '/v1/status', ''],
];

let server: LocalServer;
let port: number;
/** The number of calls that reached the agent. */
let calls = 0;

beforeAll(async () => {
  const source = sourceOf([testFlag('a')]);
  const agent = {
    isReady: true,
    evaluate: (...asked: Parameters<typeof source.evaluate>) => (calls++, source.evaluate(...asked)),
    flagKeys: () => (calls++, source.flagKeys()),
    track: () => void calls++,
    reportFault: () => void calls++,
    faultsWritten: () => Promise.resolve(),
    setVehicleState: () => (calls++, Promise.resolve()),
    status: () => (calls++, {} as never),
    onChange: () => () => undefined,
    onContact: () => () => undefined,
  };
  server = new LocalServer({ host: '127.0.0.1', port: 0, agent, allowedOrigins: [OWN_PAGE] });
  port = Number(new URL(await server.listen()).port);
});

beforeEach(() => {
  calls = 0;
});
afterAll(() => server.close());

function ask(
  method: string,
  path: string,
  headers: Record<string, string>,
  body = '',
): Promise<{ status: number; headers: IncomingHttpHeaders; body: Record<string, unknown> }> {
  return new Promise((resolve, reject) => {
    request({ host: '127.0.0.1', port, method, path, headers }, (response) => {
      const chunks: Buffer[] = [];
      response
        .on('data', (chunk: Buffer) => chunks.push(chunk))
        .on('end', () => {
          const text = Buffer.concat(chunks).toString();
          resolve({
            status: response.statusCode!,
            headers: response.headers,
            body: text === '' ? {} : (JSON.parse(text) as Record<string, unknown>),
          });
        });
    })
      .on('error', reject)
      .end(body);
  });
}

const everyEndpoint = test.each(ENDPOINTS);

describe('a page whose origin is not allowed', () => {
  everyEndpoint('may not %s %s, whatever its origin and its content type', async (method, path, body) => {
    const origin = fc.oneof(
      fc.webUrl().map((url) => new URL(url).origin),
      fc.constantFrom(
        'null',
        'file://',
        'http://localhost:8080',
        'http://hmi.local',
        'https://hmi.local:8080',
        `${OWN_PAGE}0`,
        'http://127.0.0.1:7788',
        '',
      ),
    );
    const type = fc.constantFrom(
      'text/plain',
      'application/json',
      'application/x-www-form-urlencoded',
      'multipart/form-data; boundary=x',
      'text/plain; application/json',
    );
    await fc.assert(
      fc.asyncProperty(origin, type, async (from, contentType) => {
        const answer = await ask(method, path, { origin: from, 'content-type': contentType }, body);
        expect(answer).toMatchObject({
          status: 403,
          body: { errorCode: 'FORBIDDEN', errorDetails: expect.stringContaining('--allow-origin') },
        });
        expect(answer.headers['access-control-allow-origin']).toBeUndefined();
      }),
      { numRuns: 20 },
    );
    expect(calls).toBe(0);
  });

  everyEndpoint('may not %s %s without CORS, by a form, an image or a link', async (method, path, body) => {
    expect(
      await ask(method, path, { ...JSON_TYPE, 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'no-cors' }, body),
    ).toMatchObject({ status: 403, body: { errorCode: 'FORBIDDEN' } });
    expect(calls).toBe(0);
  });

  everyEndpoint('gets a preflight answer that refuses %s %s', async (method, path, _body) => {
    const answer = await ask('OPTIONS', path, {
      origin: 'http://evil.example',
      'access-control-request-method': method,
      'access-control-request-headers': 'content-type',
    });
    expect(answer.status).toBe(403);
    expect(Object.keys(answer.headers).filter((name) => name.startsWith('access-control-'))).toEqual([]);
  });
});

describe('a page of the head unit whose origin is allowed', () => {
  everyEndpoint('may %s %s and read the answer, and no cache gives it to another page', async (method, path, body) => {
    const answer = await ask(method, path, { ...JSON_TYPE, origin: OWN_PAGE, 'sec-fetch-site': 'cross-site' }, body);
    expect(answer.status).toBeLessThan(300);
    expect(answer.headers).toMatchObject({
      'access-control-allow-origin': OWN_PAGE,
      vary: 'Origin',
      'access-control-expose-headers': 'ETag, Retry-After',
    });
    expect(answer.headers['access-control-allow-credentials']).toBeUndefined();
    expect(calls).toBeGreaterThan(0);
  });

  everyEndpoint('gets a preflight answer that allows %s %s', async (method, path, _body) => {
    const asked = {
      'access-control-request-method': method,
      'access-control-request-headers': 'content-type, if-none-match, traceparent',
      'access-control-request-private-network': 'true',
    };
    const answer = await ask('OPTIONS', path, { ...asked, origin: OWN_PAGE });
    expect(answer).toMatchObject({
      status: 204,
      headers: {
        'access-control-allow-origin': OWN_PAGE,
        'access-control-allow-methods': method,
        'access-control-allow-headers': 'content-type, if-none-match, traceparent',
        'access-control-allow-private-network': 'true',
        vary: expect.stringContaining('Origin'),
      },
    });
    expect(calls).toBe(0);
  });
});

test('a POST needs the JSON content type, and a program needs no other header', async () => {
  for (const type of ['text/plain', 'application/x-www-form-urlencoded', 'text/json', 'application/jsonp', undefined]) {
    const answer = await ask('POST', '/v1/track', type === undefined ? {} : { 'content-type': type }, MEASUREMENT);
    expect(answer).toMatchObject({
      status: 415,
      body: { errorCode: 'BAD_USER_INPUT', errorDetails: expect.stringContaining('content-type: application/json') },
    });
  }
  expect(calls).toBe(0);
  for (const type of ['application/json', 'Application/JSON', 'application/json; charset=utf-8']) {
    expect((await ask('POST', '/v1/track', { 'content-type': type }, MEASUREMENT)).status).toBe(202);
  }
});

describe('the host name of a request', () => {
  everyEndpoint(
    'must be a loopback name for %s %s, in capital or lower-case letters, with a port or without',
    async (method, path, body) => {
      for (const host of [
        'localhost',
        'LocalHost:7788',
        'LOCALHOST.',
        '127.0.0.1',
        '127.0.0.1:1',
        '[::1]:7788',
        '[::1]',
      ]) {
        expect((await ask(method, path, { ...JSON_TYPE, host }, body)).status).toBeLessThan(300);
      }
      calls = 0;
      for (const host of [
        'attacker.example:7788',
        'localhost.attacker.example',
        'ATTACKER.example',
        '127.0.0.1.attacker.example',
        '192.168.0.5:7788',
        'localhost@attacker.example',
        '[::2]',
      ]) {
        expect(await ask(method, path, { ...JSON_TYPE, host }, body)).toMatchObject({
          status: 403,
          body: { errorCode: 'FORBIDDEN' },
        });
      }
      expect(calls).toBe(0);
    },
  );
});

test('an origin is distinguished from text that only looks like one', () => {
  for (const origin of [
    'http://hmi.local:8080',
    'https://hmi.local',
    'http://127.0.0.1:3000',
    'http://[::1]:3000',
    'app://hmi',
    'capacitor://localhost',
  ])
    expect([origin, isOrigin(origin)]).toEqual([origin, true]);
  for (const text of [
    '*',
    'null',
    'hmi.local',
    'http://hmi.local/',
    'http://HMI.local',
    'http://hmi.local:80',
    'http://hmi.local/path',
    'http://u@hmi.local',
    'http://',
    'http://*.local:x',
    'http://*.hmi.local',
    'app://*',
    'file://',
    '',
  ])
    expect([text, isOrigin(text)]).toEqual([text, false]);
});
