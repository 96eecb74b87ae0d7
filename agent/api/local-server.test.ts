import { request } from 'node:http';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import type { RuleDefinition } from '../../core/model.ts';
import type { FleetFlagAgent } from '../fleet-flag-agent.ts';
import { TestControlPlane } from '../testing/control-plane.ts';
import { TEST_VIN, TestVehicle, until } from '../testing/test-vehicle.ts';
import { LocalServer } from './local-server.ts';

const EU: RuleDefinition = { id: 'eu', type: 'vehicle_target', priority: 1, enabled: true, conditions: { regions: ['EU'] } };
const PREMIUM: RuleDefinition = { id: 'premium', type: 'user_attribute', priority: 1, enabled: true, conditions: { attribute: 'subscription', operator: 'in', values: ['premium'] } };

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
  const response = await fetch(base + path, { method: 'POST', body: typeof body === 'string' ? body : JSON.stringify(body), headers: { 'content-type': 'application/json', ...headers } });
  const text = await response.text();
  return { status: response.status, etag: response.headers.get('etag'), body: text === '' ? null : (JSON.parse(text) as unknown) };
}

const ONE = '/ofrep/v1/evaluate/flags/';
const ALL = '/ofrep/v1/evaluate/flags';

describe('one flag', () => {
  test('is answered with value, reason, variant and metadata', async () => {
    expect(await post(`${ONE}lane-keep`, { context: { targetingKey: 'driver-1' } })).toEqual({
      status: 200,
      etag: null,
      body: { key: 'lane-keep', value: true, reason: 'TARGETING_MATCH', variant: 'enabled', metadata: { revision: 1, environment: 'production', ruleId: 'eu' } },
    });
    expect((await post(`${ONE}limits`, {})).body).toMatchObject({ value: { max: 80 }, reason: 'DEFAULT' });
  });

  test('sees what the request says of the vehicle and of the driver, but keeps the VIN', async () => {
    expect((await post(`${ONE}lane-keep`, { context: { region: 'NA' } })).body).toMatchObject({ value: false, reason: 'DEFAULT' });
    expect((await post(`${ONE}seat-heat`, { context: { subscription: 'premium' } })).body).toMatchObject({ value: true });
    expect((await post(`${ONE}seat-heat`, { context: { attributes: { subscription: 'premium' } } })).body).toMatchObject({ value: true });
    await plane.put('whitelisted', { rules: [{ id: 'w', type: 'vehicle_whitelist', priority: 1, enabled: true, conditions: { vins: ['KMHL14JA5PA000009'] } }] });
    await until('the flag arrives', () => agent.status().revision === 4);
    expect((await post(`${ONE}whitelisted`, { context: { vin: 'KMHL14JA5PA000009', targetingKey: 'KMHL14JA5PA000009' } })).body).toMatchObject({ value: false });
  });

  test('that does not exist is 404 FLAG_NOT_FOUND, whatever its name', async () => {
    for (const key of ['nothing', '__proto__', '%F0%9F%9A%97']) {
      expect(await post(ONE + key, {})).toMatchObject({ status: 404, body: { key: decodeURIComponent(key), errorCode: 'FLAG_NOT_FOUND', errorDetails: expect.any(String) } });
    }
  });

  test.each([
    ['{', 'PARSE_ERROR'],
    ['', 'PARSE_ERROR'],
    ['[]', 'INVALID_CONTEXT'],
    ['null', 'INVALID_CONTEXT'],
    ['{"context":[]}', 'INVALID_CONTEXT'],
    ['{"context":null}', 'INVALID_CONTEXT'],
    ['{"context":{"model":5}}', 'INVALID_CONTEXT'],
    ['{"context":{"attributes":"x"}}', 'INVALID_CONTEXT'],
  ])('asked for with the body %s is 400 %s', async (body, errorCode) => {
    expect(await post(`${ONE}lane-keep`, body)).toMatchObject({ status: 400, body: { key: 'lane-keep', errorCode } });
    expect(await post(ALL, body)).toMatchObject({ status: 400, body: { errorCode } });
  });
});

describe('all flags', () => {
  test('are answered with an ETag, and not again until something is different', async () => {
    const first = await post(ALL, { context: {} });
    expect(first).toMatchObject({ status: 200, body: { flags: [{ key: 'lane-keep', value: true }, { key: 'limits' }, { key: 'seat-heat', value: false }] } });
    expect(await post(ALL, { context: {} }, { 'if-none-match': first.etag! })).toEqual({ status: 304, etag: first.etag, body: null });
    expect(await post(ALL, { context: { region: 'NA' } }, { 'if-none-match': first.etag! })).toMatchObject({ status: 200 });
    await plane.put('lane-keep', { enabled: false });
    await until('the change arrives', () => agent.status().revision === 4);
    const second = await post(ALL, { context: {} }, { 'if-none-match': first.etag! });
    expect(second).toMatchObject({ status: 200, body: { flags: [{ key: 'lane-keep', value: false, reason: 'DISABLED' }, {}, {}] } });
  });
});

test('the status tells revision, environment, connection, flags, sizes and version', async () => {
  const status = (await (await fetch(`${base}/v1/status`)).json()) as Record<string, unknown>;
  expect(status).toMatchObject({ version: '1.0.0', vin: TEST_VIN, environment: 'production', ready: true, connected: true, revision: 3, evaluatedRevision: 3, flags: 3, staleFlags: 0, syncCount: 1, refusals: {}, pinnedKeys: [plane.key.kid] });
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
  expect((await post('/v1/status', {})).status).toBe(405);
  for (const path of ['/', '/ofrep/v1/evaluate/flags/', '/ofrep/v1/evaluate/flags/a/b', '/ofrep/v1/evaluate/flags/%']) expect((await post(path, {})).status).toBe(404);
});

test('a page that points its own name at this machine is refused', async () => {
  const status = await new Promise((resolve, reject) => {
    request(`${base}/v1/status`, { headers: { host: 'attacker.example:7788' } }, (response) => {
      response.resume();
      resolve(response.statusCode);
    })
      .on('error', reject)
      .end();
  });
  expect(status).toBe(403);
});
