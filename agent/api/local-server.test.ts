import { connect } from 'node:net';
import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import type { FleetFlagAgent } from '../assembly/fleet-flag-agent.ts';
import { TEST_VIN, TestControlPlane } from '../testing/control-plane.ts';
import { TestVehicle } from '../testing/test-vehicle.ts';
import { eventually } from '../../core/testing/eventually.ts';
import { sampled } from '../../core/testing/rounds.ts';
import { AGENT_VERSION } from '../version.ts';
import { LocalServer } from './local-server.ts';
import { EU, PREMIUM } from '../testing/rules.ts';

let plane: TestControlPlane;
let vehicle: TestVehicle;
let agent: FleetFlagAgent;
let server: LocalServer;
let base: string;

beforeEach(async () => {
  plane = await TestControlPlane.start();
  vehicle = await TestVehicle.create(plane);
  await plane.put('lane-keep', { rules: [EU] });
  await plane.put('seat-heat', { rules: [PREMIUM] });
  await plane.put('limits', { type: 'json', defaultValue: { max: 80 } });
  agent = await vehicle.start({ vehicle: { region: 'EU' } });
  await agent.ready();
  server = new LocalServer({ host: '127.0.0.1', port: 0, agent });
  base = await server.listen();
});

afterEach(async () => {
  await server.close();
  await vehicle.dispose();
  await plane.stop();
});

async function post(path: string, body: unknown, headers: Record<string, string> = {}) {
  const response = await fetch(base + path, {
    method: 'POST',
    body: typeof body === 'string' ? body : JSON.stringify(body),
    headers: { 'content-type': 'application/json', ...headers },
  });
  const text = await response.text();
  return {
    status: response.status,
    etag: response.headers.get('etag'),
    body: text === '' ? null : (JSON.parse(text) as unknown),
  };
}

const ONE = '/ofrep/v1/evaluate/flags/';
const ALL = '/ofrep/v1/evaluate/flags';

describe('one flag', () => {
  test('is answered with value, reason, variant and metadata', async () => {
    expect(await post(`${ONE}lane-keep`, { context: { targetingKey: 'driver-1' } })).toEqual({
      status: 200,
      etag: null,
      body: {
        key: 'lane-keep',
        value: true,
        reason: 'TARGETING_MATCH',
        variant: 'enabled',
        metadata: { revision: 1, environment: 'production', ruleId: 'eu', version: '1', flagSetId: 'production' },
      },
    });
    expect((await post(`${ONE}limits`, {})).body).toMatchObject({ value: { max: 80 }, reason: 'DEFAULT' });
  });

  test('is evaluated with the facts in the request, except for the VIN, which stays the agent’s own', async () => {
    expect((await post(`${ONE}lane-keep`, { context: { region: 'NA' } })).body).toMatchObject({
      value: false,
      reason: 'DEFAULT',
    });
    expect((await post(`${ONE}seat-heat`, { context: { subscription: 'premium' } })).body).toMatchObject({
      value: true,
    });
    expect(
      (await post(`${ONE}seat-heat`, { context: { attributes: { subscription: 'premium' } } })).body,
    ).toMatchObject({ value: true });
    await plane.put('whitelisted', {
      rules: [
        { id: 'w', type: 'vehicle_whitelist', priority: 1, enabled: true, conditions: { vins: ['KMHL14JA5PA000009'] } },
      ],
    });
    await eventually(() => agent.status().revision === 4, 'the flag arrives');
    expect(
      (await post(`${ONE}whitelisted`, { context: { vin: 'KMHL14JA5PA000009', targetingKey: 'KMHL14JA5PA000009' } }))
        .body,
    ).toMatchObject({ value: false });
  });

  test('that does not exist is 404 FLAG_NOT_FOUND, whatever its name', async () => {
    for (const key of ['nothing', '__proto__', '%F0%9F%9A%97', 'a/b', 'a%2Fb', 'lane-keep/', '../flags', 'a%20b', '']) {
      const named = key === '../flags' ? '%2E%2E%2Fflags' : key;
      expect(await post(ONE + named, {})).toMatchObject({
        status: 404,
        body: { key: decodeURIComponent(named), errorCode: 'FLAG_NOT_FOUND', errorDetails: expect.any(String) },
      });
    }
    expect(await post(`${ONE}%E0%A4%A`, {})).toMatchObject({
      status: 404,
      body: { key: '%E0%A4%A', errorCode: 'FLAG_NOT_FOUND' },
    });
  });

  test.each(['{', '', '{"context":', 'undefined'])(
    'asked for with the body %s, which is not JSON, is 400 PARSE_ERROR',
    async (body) => {
      expect(await post(`${ONE}lane-keep`, body)).toMatchObject({
        status: 400,
        body: { key: 'lane-keep', errorCode: 'PARSE_ERROR' },
      });
      expect(await post(ALL, body)).toMatchObject({ status: 400, body: { errorCode: 'PARSE_ERROR' } });
    },
  );
});

describe('all flags', () => {
  test('are answered with an ETag, and again only after a change', async () => {
    const first = await post(ALL, { context: {} });
    expect(first).toMatchObject({
      status: 200,
      body: { flags: [{ key: 'lane-keep', value: true }, { key: 'limits' }, { key: 'seat-heat', value: false }] },
    });
    expect(await post(ALL, { context: {} }, { 'if-none-match': first.etag! })).toEqual({
      status: 304,
      etag: first.etag,
      body: null,
    });
    expect(await post(ALL, { context: { region: 'NA' } }, { 'if-none-match': first.etag! })).toMatchObject({
      status: 200,
    });
    await plane.put('lane-keep', { enabled: false });
    await eventually(() => agent.status().revision === 4, 'the change arrives');
    const second = await post(ALL, { context: {} }, { 'if-none-match': first.etag! });
    expect(second).toMatchObject({
      status: 200,
      body: { flags: [{ key: 'lane-keep', value: false, reason: 'DISABLED' }, {}, {}] },
    });
  });
});

test('the status shows revision, environment, connection, flags, sizes and version', async () => {
  const status = (await (await fetch(`${base}/v1/status`)).json()) as Record<string, unknown>;
  expect(status).toMatchObject({
    version: AGENT_VERSION,
    vin: TEST_VIN,
    environment: 'production',
    ready: true,
    connected: true,
    revision: 3,
    evaluatedRevision: 3,
    flags: 3,
    staleFlags: 0,
    syncCount: 1,
    refusals: {},
    pinnedKeys: [plane.key.kid],
  });
  expect(Number(status.cacheBytes)).toBeGreaterThan(4096);
  expect(Number(status.memoryBytes)).toBeGreaterThan(1_000_000);
  expect(Date.parse(String(status.lastSyncAt))).not.toBeNaN();
  expect(JSON.stringify(status)).not.toContain('eyJ');
});

test('a body over 64 KB is refused with 413, and the next request is served', async () => {
  const body = JSON.stringify({ context: { filler: 'x'.repeat(70_000) } });
  expect(await post(`${ONE}lane-keep`, body)).toMatchObject({ status: 413 });
  expect(await post(`${ONE}lane-keep`, {})).toMatchObject({ status: 200 });
});

test('other methods and paths are refused', async () => {
  const get = await fetch(base + ALL);
  expect([get.status, get.headers.get('allow')]).toEqual([405, 'POST']);
  expect(await post('/v1/status', {})).toMatchObject({ status: 405, body: { errorCode: 'GENERAL' } });
  for (const path of [
    '/',
    '/ofrep/v1/evaluate',
    '/ofrep/v2/evaluate/flags',
    '/ofrep/v1/evaluate/flagsy',
    '/v1/status/',
  ]) {
    expect(await post(path, {})).toMatchObject({
      status: 404,
      body: { errorCode: 'GENERAL', errorDetails: expect.any(String) },
    });
  }
});

test.each(sampled([[65_537], [200_000_000], [1_100_000], [20_000_000]], 2))(
  'a body of %d bytes is answered with 413 before the connection closes, with a Content-Length and without one',
  async (size) => {
    const { port } = new URL(base);
    for (const hasLength of [true, false]) {
      const answer = await new Promise<string>((resolve, reject) => {
        const socket = connect(Number(port), '127.0.0.1');
        let text = '';
        socket
          .on('data', (data: Buffer) => (text += data.toString()))
          .on('error', (error) => (text === '' ? reject(error) : undefined))
          .on('close', () => resolve(text));
        socket.write(
          `POST ${ONE}lane-keep HTTP/1.1\r\nHost: localhost\r\n${hasLength ? `Content-Length: ${size}` : 'Transfer-Encoding: chunked'}\r\n\r\n${hasLength ? '' : `${size.toString(16)}\r\n`}`,
        );
        const part = Buffer.alloc(65_536, 32);
        let left = size;
        const send = () => {
          while (left > 0 && !socket.destroyed) {
            const bytes = part.subarray(0, Math.min(left, part.length));
            left -= bytes.length;
            if (!socket.write(bytes)) return void socket.once('drain', send);
          }
          if (!hasLength) socket.write('\r\n0\r\n\r\n');
        };
        send();
      });
      expect(answer).toMatch(/^HTTP\/1\.1 413 .*"errorCode":"PARSE_ERROR"/s);
    }
    expect((await post(`${ONE}lane-keep`, '{}')).status).toBe(200);
  },
);

test('an agent that has never synced answers PROVIDER_NOT_READY, neither "not found" nor "no flags"', async () => {
  await plane.stop();
  const other = await TestVehicle.create(plane);
  try {
    const unsynced = new LocalServer({ host: '127.0.0.1', port: 0, agent: await other.start() });
    const address = await unsynced.listen();
    for (const [path, body] of [
      [`${ONE}lane-keep`, { key: 'lane-keep', errorCode: 'PROVIDER_NOT_READY' }],
      [ALL, { errorCode: 'PROVIDER_NOT_READY' }],
    ] as const) {
      const response = await fetch(address + path, {
        method: 'POST',
        body: '{}',
        headers: { 'content-type': 'application/json' },
      });
      expect([response.status, response.headers.get('retry-after')]).toEqual([503, '1']);
      expect(await response.json()).toMatchObject(body);
    }
    const tracked = await fetch(`${address}/v1/track`, {
      method: 'POST',
      body: '{"metric":"m","value":1,"flagKey":"lane-keep"}',
      headers: { 'content-type': 'application/json' },
    });
    expect([tracked.status, tracked.headers.get('retry-after'), await tracked.json()]).toMatchObject([
      503,
      '1',
      { errorCode: 'PROVIDER_NOT_READY' },
    ]);
    await unsynced.close();
  } finally {
    await other.dispose();
  }
});

test('a request that the agent fails to answer is logged, once for each reason, and no client can fill the log', async () => {
  await server.close();
  const logged: string[] = [];
  const log = (level: string, line: string) => void logged.push(`${level} ${line}`);
  server = new LocalServer({ host: '127.0.0.1', port: 0, agent, log });
  base = await server.listen();
  jest.spyOn(agent, 'status').mockImplementation(() => {
    throw new Error('there is no state');
  });
  jest.spyOn(agent, 'evaluate').mockImplementation((key) => {
    throw new Error(`${key} has no content`);
  });
  const failure = { status: 500, body: { errorCode: 'GENERAL', errorDetails: 'The agent failed to answer.' } };
  for (let n = 0; n < 3; n++) expect((await fetch(`${base}/v1/status?n=${n}`)).status).toBe(500);
  expect(await post(`${ONE}lane-keep`, {})).toMatchObject(failure);
  expect(logged).toEqual([
    'error cannot answer GET /v1/status: there is no state',
    'error cannot answer POST /ofrep/v1/evaluate/flags/{key}: lane-keep has no content',
  ]);
  for (let n = 0; n < 110; n++) await post(`${ONE}flag_${n}`, {});
  expect(logged).toHaveLength(100);
});
