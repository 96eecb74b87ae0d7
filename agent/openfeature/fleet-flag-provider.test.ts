import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { OpenFeature, ProviderEvents, ProviderStatus, type Client } from '@openfeature/server-sdk';
import type { RuleDefinition } from '../../core/model.ts';
import type { FleetFlagAgent } from '../fleet-flag-agent.ts';
import { TestControlPlane } from '../testing/control-plane.ts';
import { TestVehicle, until } from '../testing/test-vehicle.ts';
import { FleetFlagProvider, type FleetFlagProviderOptions } from './fleet-flag-provider.ts';

const PREMIUM: RuleDefinition = { id: 'premium', type: 'user_attribute', priority: 1, enabled: true, conditions: { attribute: 'subscription', operator: 'in', values: ['premium'] } };
const OTHER_VIN = 'KMHL14JA5PA000009';

let plane: TestControlPlane;
let vehicle: TestVehicle;
let client: Client;

beforeEach(async () => {
  plane = await TestControlPlane.start();
  vehicle = await TestVehicle.create(plane);
  client = OpenFeature.getClient();
});

afterEach(async () => {
  await OpenFeature.clearProviders();
  OpenFeature.clearHandlers();
  await vehicle.dispose();
  await plane.stop();
});

/** Sets a provider on the agent; resolves when it is initialised, rejects when that fails. */
const provide = (agent: FleetFlagAgent, options?: FleetFlagProviderOptions) => OpenFeature.setProviderAndWait(new FleetFlagProvider(agent, options));

function next(event: ProviderEvents): Promise<object> {
  return new Promise((resolve) => client.addHandler(event as ProviderEvents.Ready, (details) => resolve(details ?? {})));
}

test('each type is resolved with value, reason, variant and metadata', async () => {
  await plane.put('lane-keep', { rules: [PREMIUM] });
  await plane.put('mode', { type: 'string', defaultValue: 'eco' });
  await plane.put('limit', { type: 'number', defaultValue: 80 });
  await plane.put('zones', { type: 'json', defaultValue: { max: [30, 50] } });
  await provide(await vehicle.start());
  expect(client.providerStatus).toBe(ProviderStatus.READY);
  expect(await client.getBooleanDetails('lane-keep', false, { subscription: 'premium' })).toMatchObject({
    value: true,
    reason: 'TARGETING_MATCH',
    variant: 'enabled',
    flagMetadata: { revision: 1, environment: 'production', ruleId: 'premium' },
  });
  expect(await client.getStringDetails('mode', 'sport')).toMatchObject({ value: 'eco', reason: 'DEFAULT', variant: 'control', flagMetadata: { revision: 2 } });
  expect(await client.getNumberValue('limit', 0)).toBe(80);
  expect(await client.getObjectValue('zones', {})).toEqual({ max: [30, 50] });
});

test('what cannot be resolved gives the default with its error code', async () => {
  await plane.put('limit', { type: 'number', defaultValue: 80 });
  await provide(await vehicle.start());
  expect(await client.getBooleanDetails('nothing', true)).toMatchObject({ value: true, reason: 'ERROR', errorCode: 'FLAG_NOT_FOUND' });
  expect(await client.getBooleanDetails('limit', true)).toMatchObject({ value: true, reason: 'ERROR', errorCode: 'TYPE_MISMATCH' });
  expect(await client.getNumberDetails('limit', 1, { model: 5 })).toMatchObject({ value: 1, reason: 'ERROR', errorCode: 'INVALID_CONTEXT' });
  const circular: Record<string, never> = {};
  circular['itself'] = circular as never;
  expect(await client.getNumberDetails('limit', 1, { circular })).toMatchObject({ value: 1, errorCode: 'INVALID_CONTEXT' });
});

test("a program's context is merged with the vehicle's own, and cannot make it another vehicle", async () => {
  await plane.put('listed', { rules: [{ id: 'w', type: 'vehicle_whitelist', priority: 1, enabled: true, conditions: { vins: [OTHER_VIN] } }] });
  await plane.put('eu', { rules: [{ id: 't', type: 'vehicle_target', priority: 1, enabled: true, conditions: { models: ['Ioniq 6'], regions: ['EU'] } }] });
  await plane.put('before', { rules: [{ id: 'b', type: 'user_attribute', priority: 1, enabled: true, conditions: { attribute: 'since', operator: 'starts_with', values: ['2026-01'] } }] });
  await provide(await vehicle.start({ vehicle: { model: 'Ioniq 6', region: 'NA' } }));
  expect(await client.getBooleanValue('listed', true, { targetingKey: OTHER_VIN, vin: OTHER_VIN })).toBe(false);
  expect(await client.getBooleanValue('eu', false)).toBe(false);
  expect(await client.getBooleanValue('eu', false, { region: 'EU' })).toBe(true);
  expect(await client.getBooleanDetails('before', false, { since: new Date('2026-01-31') })).toMatchObject({ value: true });
});

test('changes are told with the keys of the flags, while READY', async () => {
  await plane.put('a');
  const agent = await vehicle.start();
  await provide(agent);
  const changed = next(ProviderEvents.ConfigurationChanged);
  await plane.put('a', { defaultValue: true });
  expect(await changed).toMatchObject({ flagsChanged: ['a'] });
  expect(await client.getBooleanValue('a', false)).toBe(true);
});

test('out of touch it is STALE and goes on evaluating; in touch again it is READY', async () => {
  await plane.put('a', { defaultValue: true });
  await provide(await vehicle.start(), { staleAfterMs: 10 });
  const stale = next(ProviderEvents.Stale);
  await plane.stop();
  await stale;
  expect(client.providerStatus).toBe(ProviderStatus.STALE);
  expect(await client.getBooleanValue('a', false)).toBe(true);
  await plane.listen();
  await until('it is ready again', () => client.providerStatus === ProviderStatus.READY);
});

test('started with flags past their TTL it is STALE at once, and the flags give their safe defaults', async () => {
  await plane.put('a', { rules: [{ ...PREMIUM, conditions: { attribute: 'x', operator: 'exists', value: false } }] });
  await (await vehicle.start()).ready();
  await plane.stop();
  const stale = next(ProviderEvents.Stale);
  await provide(await vehicle.start({ now: () => Date.now() + 8 * 86_400_000 }));
  await stale;
  expect(await client.getBooleanDetails('a', true)).toMatchObject({ value: false, reason: 'STALE' });
});

test('without flags in time it is in ERROR with PROVIDER_NOT_READY, and READY once they come', async () => {
  await plane.put('a', { defaultValue: true });
  await plane.stop();
  const failed = next(ProviderEvents.Error);
  await expect(provide(await vehicle.start(), { initializeTimeoutMs: 10 })).rejects.toMatchObject({ code: 'PROVIDER_NOT_READY' });
  expect(await failed).toMatchObject({ message: 'The agent has had no flags within 10 ms.' });
  expect(client.providerStatus).toBe(ProviderStatus.ERROR);
  expect(await client.getBooleanDetails('a', false)).toMatchObject({ value: false, errorCode: 'PROVIDER_NOT_READY' });
  await plane.listen();
  await until('it is ready', () => client.providerStatus === ProviderStatus.READY);
  expect(await client.getBooleanValue('a', false)).toBe(true);
});

test('a closed provider tells nothing more, and its agent goes on', async () => {
  await plane.put('a');
  const agent = await vehicle.start();
  const provider = new FleetFlagProvider(agent);
  await OpenFeature.setProviderAndWait(provider);
  let told = 0;
  provider.events.addHandler(ProviderEvents.ConfigurationChanged, () => void told++);
  await OpenFeature.clearProviders();
  await plane.put('a', { defaultValue: true });
  await until('the agent has the change', () => agent.booleanValue('a', false));
  expect(told).toBe(0);
});
