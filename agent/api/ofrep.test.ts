import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { OFREPProvider } from '@openfeature/ofrep-provider';
import { OFREPWebProvider } from '@openfeature/ofrep-web-provider';
import { OpenFeature, ProviderStatus } from '@openfeature/server-sdk';
import { OpenFeature as WebOpenFeature } from '@openfeature/web-sdk';
import type { FlagType, JsonValue } from '../../core/model.ts';
import { TestControlPlane } from '../testing/control-plane.ts';
import { TestVehicle } from '../testing/test-vehicle.ts';
import { LocalServer } from './local-server.ts';
import { PREMIUM } from '../testing/rules.ts';

let plane: TestControlPlane;
let vehicle: TestVehicle;
let server: LocalServer;
let base: string;

beforeEach(async () => {
  plane = await TestControlPlane.start();
  vehicle = await TestVehicle.create(plane);
  await plane.put('lane-keep', { rules: [PREMIUM] });
  for (const [key, type, defaultValue] of [
    ['mode', 'string', 'eco'],
    ['limit', 'number', 80],
    ['zones', 'json', { max: 50 }],
  ] as [string, FlagType, JsonValue][]) {
    await plane.put(key, { type, defaultValue });
  }
  const agent = await vehicle.start();
  await agent.ready();
  server = new LocalServer({ host: '127.0.0.1', port: 0, agent });
  base = await server.listen();
});

afterEach(async () => {
  await OpenFeature.clearProviders();
  await server.close();
  await vehicle.dispose();
  await plane.stop();
});

test("with an agent that has never synced, the stock providers are not ready and serve the programs' defaults", async () => {
  const unsynced = await TestVehicle.create(plane);
  await plane.stop();
  const agent = await unsynced.start();
  const other = new LocalServer({ host: '127.0.0.1', port: 0, agent });
  try {
    const baseUrl = await other.listen();
    await expect(
      WebOpenFeature.setProviderAndWait('unsynced', new OFREPWebProvider({ baseUrl, cacheMode: 'disabled' })),
    ).rejects.toThrow();
    const page = WebOpenFeature.getClient('unsynced');
    expect(page.providerStatus).toBe(ProviderStatus.ERROR);
    await OpenFeature.setProviderAndWait('unsynced', new OFREPProvider({ baseUrl }));
    const program = OpenFeature.getClient('unsynced');
    expect(await program.getBooleanDetails('lane-keep', true)).toMatchObject({
      value: true,
      reason: 'ERROR',
      errorCode: 'GENERAL',
    });

    await plane.listen();
    await agent.ready();
    await WebOpenFeature.setProviderAndWait('unsynced', new OFREPWebProvider({ baseUrl, cacheMode: 'disabled' }));
    expect(page.providerStatus).toBe(ProviderStatus.READY);
    expect(page.getBooleanDetails('lane-keep', true)).toMatchObject({ value: false, reason: 'DEFAULT' });
    expect(await program.getBooleanDetails('lane-keep', true)).toMatchObject({ value: false, reason: 'DEFAULT' });
  } finally {
    await WebOpenFeature.clearProviders();
    await other.close();
    await unsynced.dispose();
  }
});

/**
 * The members of each answer in `service/openapi.yaml` of the protocol (version 0.3.0): those required, and all that
 * are allowed.
 */
const SHAPES = {
  evaluation: { required: ['key', 'reason', 'value'], all: ['key', 'reason', 'variant', 'metadata', 'value'] },
  evaluationFailure: { required: ['key', 'errorCode'], all: ['key', 'errorCode', 'errorDetails', 'metadata'] },
  bulk: { required: ['flags'], all: ['flags', 'metadata', 'eventStreams'] },
  bulkFailure: { required: ['errorCode'], all: ['errorCode', 'errorDetails'] },
} as const;

function expectShape(
  body: unknown,
  { required, all }: { readonly required: readonly string[]; readonly all: readonly string[] },
): void {
  const members = Object.keys(body as object);
  expect(members).toEqual(expect.arrayContaining([...required]));
  expect(members.filter((member) => !all.includes(member))).toEqual([]);
}

async function post(
  path: string,
  body: string,
): Promise<{ status: number; type: string | null; body: Record<string, unknown> }> {
  const response = await fetch(base + path, { method: 'POST', body, headers: { 'content-type': 'application/json' } });
  return {
    status: response.status,
    type: response.headers.get('content-type'),
    body: (await response.json()) as Record<string, unknown>,
  };
}

test('every answer has the form that the OpenAPI document gives it', async () => {
  const one = await post('/ofrep/v1/evaluate/flags/lane-keep', '{"context":{"targetingKey":"driver"}}');
  expect([one.status, one.type]).toEqual([200, 'application/json; charset=utf-8']);
  expectShape(one.body, SHAPES.evaluation);
  for (const value of Object.values(one.body['metadata'] as object))
    expect(['boolean', 'string', 'number']).toContain(typeof value);

  const all = await post('/ofrep/v1/evaluate/flags', '{}');
  expectShape(all.body, SHAPES.bulk);
  expect(all.body['flags']).toHaveLength(4);
  for (const flag of all.body['flags'] as object[]) expectShape(flag, SHAPES.evaluation);

  const missing = await post('/ofrep/v1/evaluate/flags/nothing', '{}');
  expect([missing.status, missing.body['errorCode']]).toEqual([404, 'FLAG_NOT_FOUND']);
  expectShape(missing.body, SHAPES.evaluationFailure);

  const refused = await post('/ofrep/v1/evaluate/flags/lane-keep', '{');
  expect([refused.status, refused.body['errorCode']]).toEqual([400, 'PARSE_ERROR']);
  expectShape(refused.body, SHAPES.evaluationFailure);
  const refusedAll = await post('/ofrep/v1/evaluate/flags', '{');
  expect([refusedAll.status, refusedAll.body['errorCode']]).toEqual([400, 'PARSE_ERROR']);
  expectShape(refusedAll.body, SHAPES.bulkFailure);
  expectShape((await post('/ofrep/v1/elsewhere', '{}')).body, SHAPES.bulkFailure);
});
