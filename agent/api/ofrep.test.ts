import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { OFREPProvider } from '@openfeature/ofrep-provider';
import { OpenFeature, type Client } from '@openfeature/server-sdk';
import type { FlagType, JsonValue, RuleDefinition } from '../../core/model.ts';
import { TestControlPlane } from '../testing/control-plane.ts';
import { TestVehicle } from '../testing/test-vehicle.ts';
import { LocalServer } from './local-server.ts';

const PREMIUM: RuleDefinition = { id: 'premium', type: 'user_attribute', priority: 1, enabled: true, conditions: { attribute: 'subscription', operator: 'in', values: ['premium'] } };

let plane: TestControlPlane;
let vehicle: TestVehicle;
let server: LocalServer;
let base: string;
let client: Client;

beforeEach(async () => {
  plane = await TestControlPlane.start();
  vehicle = await TestVehicle.create(plane);
  await plane.put('lane-keep', { rules: [PREMIUM] });
  for (const [key, type, defaultValue] of [['mode', 'string', 'eco'], ['limit', 'number', 80], ['zones', 'json', { max: 50 }]] as [string, FlagType, JsonValue][]) {
    await plane.put(key, { type, defaultValue });
  }
  const agent = await vehicle.start();
  await agent.ready();
  server = new LocalServer({ host: '127.0.0.1', port: 0, agent });
  base = await server.listen();
  await OpenFeature.setProviderAndWait(new OFREPProvider({ baseUrl: base }));
  client = OpenFeature.getClient();
});

afterEach(async () => {
  await OpenFeature.clearProviders();
  await server.close();
  await vehicle.dispose();
  await plane.stop();
});

test('the stock OFREP provider resolves every type, with reason, variant and metadata', async () => {
  expect(await client.getBooleanDetails('lane-keep', false, { subscription: 'premium' })).toMatchObject({
    value: true,
    reason: 'TARGETING_MATCH',
    variant: 'enabled',
    flagMetadata: { revision: 1, environment: 'production', ruleId: 'premium' },
  });
  expect(await client.getBooleanDetails('lane-keep', true, { subscription: 'basic' })).toMatchObject({ value: false, reason: 'DEFAULT' });
  expect(await client.getStringValue('mode', 'sport')).toBe('eco');
  expect(await client.getNumberValue('limit', 0)).toBe(80);
  expect(await client.getObjectValue('zones', {})).toEqual({ max: 50 });
});

test('the stock OFREP provider understands what the agent refuses', async () => {
  expect(await client.getBooleanDetails('nothing', true)).toMatchObject({ value: true, reason: 'ERROR', errorCode: 'FLAG_NOT_FOUND' });
  expect(await client.getBooleanDetails('lane-keep', true, { model: 5 })).toMatchObject({ value: true, errorCode: 'INVALID_CONTEXT' });
  expect(await client.getBooleanDetails('limit', true)).toMatchObject({ value: true, errorCode: 'TYPE_MISMATCH' });
});

/** What `service/openapi.yaml` of the protocol (version 0.1.0) says of each answer's members: required ones and all there may be. */
const SHAPES = {
  evaluation: { required: ['value'], all: ['key', 'reason', 'variant', 'metadata', 'value', 'cacheable'] },
  evaluationFailure: { required: ['key', 'errorCode'], all: ['key', 'errorCode', 'errorDetails'] },
  bulk: { required: ['flags'], all: ['flags', 'metadata'] },
  bulkFailure: { required: ['errorCode'], all: ['errorCode', 'errorDetails'] },
  general: { required: [], all: ['errorDetails'] },
} as const;

function expectShape(body: unknown, { required, all }: { readonly required: readonly string[]; readonly all: readonly string[] }): void {
  const members = Object.keys(body as object);
  expect(members).toEqual(expect.arrayContaining([...required]));
  expect(members.filter((member) => !all.includes(member))).toEqual([]);
}

async function post(path: string, body: string): Promise<{ status: number; type: string | null; body: Record<string, unknown> }> {
  const response = await fetch(base + path, { method: 'POST', body, headers: { 'content-type': 'application/json' } });
  return { status: response.status, type: response.headers.get('content-type'), body: (await response.json()) as Record<string, unknown> };
}

test('every answer has the form that the OpenAPI document gives it', async () => {
  const one = await post('/ofrep/v1/evaluate/flags/lane-keep', '{"context":{"targetingKey":"driver"}}');
  expect([one.status, one.type]).toEqual([200, 'application/json; charset=utf-8']);
  expectShape(one.body, SHAPES.evaluation);
  for (const value of Object.values(one.body['metadata'] as object)) expect(['boolean', 'string', 'number']).toContain(typeof value);

  const all = await post('/ofrep/v1/evaluate/flags', '{}');
  expectShape(all.body, SHAPES.bulk);
  expect(all.body['flags']).toHaveLength(4);
  for (const flag of all.body['flags'] as object[]) expectShape(flag, { ...SHAPES.evaluation, required: ['key', 'value'] });

  const missing = await post('/ofrep/v1/evaluate/flags/nothing', '{}');
  expect([missing.status, missing.body['errorCode']]).toEqual([404, 'FLAG_NOT_FOUND']);
  expectShape(missing.body, SHAPES.evaluationFailure);

  for (const body of ['{', '{"context":5}']) {
    const refused = await post('/ofrep/v1/evaluate/flags/lane-keep', body);
    expect(refused.status).toBe(400);
    expectShape(refused.body, SHAPES.evaluationFailure);
    expect(['PARSE_ERROR', 'TARGETING_KEY_MISSING', 'INVALID_CONTEXT', 'GENERAL']).toContain(refused.body['errorCode']);
    const refusedAll = await post('/ofrep/v1/evaluate/flags', body);
    expect(refusedAll.status).toBe(400);
    expectShape(refusedAll.body, SHAPES.bulkFailure);
  }
  expectShape((await post('/ofrep/v1/elsewhere', '{}')).body, SHAPES.general);
});
