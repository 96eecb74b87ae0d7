import { afterEach, beforeEach, expect, test } from '@jest/globals';
import {
  OpenFeature,
  ProviderEvents,
  ProviderStatus,
  createEvaluationEvent,
  type Client,
} from '@openfeature/server-sdk';
import type { FleetFlagAgent } from '../assembly/fleet-flag-agent.ts';
import { TestControlPlane } from '../testing/control-plane.ts';
import { TestVehicle } from '../testing/test-vehicle.ts';
import { eventually } from '../../core/testing/eventually.ts';
import { FleetFlagProvider, type FleetFlagProviderOptions } from './fleet-flag-provider.ts';
import { PREMIUM } from '../testing/rules.ts';

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
const provide = (agent: FleetFlagAgent, options?: FleetFlagProviderOptions) =>
  OpenFeature.setProviderAndWait(new FleetFlagProvider(agent, options));

function next(event: ProviderEvents): Promise<object> {
  return new Promise((resolve) =>
    client.addHandler(event as ProviderEvents.Ready, (details) => resolve(details ?? {})),
  );
}

const measurements = () =>
  plane.batches.flatMap(({ items }) => items).filter(({ metricName }) => !metricName.startsWith('$'));

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
  expect(await client.getStringDetails('mode', 'sport')).toMatchObject({
    value: 'eco',
    reason: 'DEFAULT',
    variant: 'control',
    flagMetadata: { revision: 2 },
  });
  expect(await client.getNumberValue('limit', 0)).toBe(80);
  expect(await client.getObjectValue('zones', {})).toEqual({ max: [30, 50] });
});

test('a member of the context that cannot be written as JSON counts as missing', async () => {
  await plane.put('a', { rules: [PREMIUM] });
  await provide(await vehicle.start());
  const circular: Record<string, never> = {};
  circular['itself'] = circular as never;
  const context = { circular, count: 5n as never, call: (() => 1) as never, subscription: 'premium' };
  expect(await client.getBooleanDetails('a', false, context)).toMatchObject({ value: true, reason: 'TARGETING_MATCH' });
});

test('the metadata has what OpenTelemetry’s hooks expect: the flag’s revision and its environment', async () => {
  await plane.put('a');
  await plane.put('a', { defaultValue: true });
  await provide(await vehicle.start());
  const details = await client.getBooleanDetails('a', false);
  const { attributes } = createEvaluationEvent(
    { flagKey: 'a', providerMetadata: client.metadata.providerMetadata, context: {} } as never,
    details,
  );
  expect(attributes).toMatchObject({ 'feature_flag.version': '2', 'feature_flag.set.id': 'production' });
});

test('track() reports a measurement for the flag that its details name', async () => {
  await plane.put('a', { defaultValue: true });
  const agent = await vehicle.start({ timings: { metricsIntervalMs: 20 } });
  await provide(agent);
  client.track('checkout', { targetingKey: 'driver' }, { flagKey: 'a' });
  client.track('charge_minutes', {}, { flagKey: 'a', value: 12.5, road: 'city', nested: { left: 'out' } });
  await eventually(() => measurements().length === 2, 'both are reported');
  expect(measurements()).toMatchObject([
    { flagKey: 'a', variant: 'control', metricName: 'checkout', value: 1, tags: null },
    { flagKey: 'a', variant: 'control', metricName: 'charge_minutes', value: 12.5, tags: { road: 'city' } },
  ]);
  const provider = new FleetFlagProvider(agent);
  expect(() => provider.track('checkout', {}, {})).toThrow(
    expect.objectContaining({ code: 'BAD_USER_INPUT', details: { field: 'flagKey' } }),
  );
  expect(() => provider.track('checkout', {}, { flagKey: 'none' })).toThrow(
    expect.objectContaining({ code: 'NOT_FOUND' }),
  );
});

test('a provider whose agent is closed is in ERROR and gives the programs’ own defaults; a new one is never ready', async () => {
  await plane.put('a', { defaultValue: true });
  const agent = await vehicle.start();
  await provide(agent);
  expect(await client.getBooleanValue('a', false)).toBe(true);
  const failed = next(ProviderEvents.Error);
  await agent.close();
  expect(await failed).toMatchObject({ errorCode: 'PROVIDER_NOT_READY', message: expect.stringContaining('closed') });
  expect(client.providerStatus).toBe(ProviderStatus.ERROR);
  expect(await client.getBooleanDetails('a', false)).toMatchObject({
    value: false,
    reason: 'ERROR',
    errorCode: 'PROVIDER_NOT_READY',
  });
  expect(agent.booleanDetails('a', false)).toMatchObject({ value: false, errorCode: 'PROVIDER_NOT_READY' });
  await expect(provide(agent)).rejects.toMatchObject({ code: 'PROVIDER_NOT_READY' });
});

test("a program's context is merged with the vehicle's own, and cannot make it another vehicle", async () => {
  await plane.put('listed', {
    rules: [{ id: 'w', type: 'vehicle_whitelist', priority: 1, enabled: true, conditions: { vins: [OTHER_VIN] } }],
  });
  await plane.put('eu', {
    rules: [
      {
        id: 't',
        type: 'vehicle_target',
        priority: 1,
        enabled: true,
        conditions: { models: ['Ioniq 6'], regions: ['EU'] },
      },
    ],
  });
  await plane.put('before', {
    rules: [
      {
        id: 'b',
        type: 'user_attribute',
        priority: 1,
        enabled: true,
        conditions: { attribute: 'since', operator: 'starts_with', values: ['2026-01'] },
      },
    ],
  });
  await provide(await vehicle.start({ vehicle: { model: 'Ioniq 6', region: 'NA' } }));
  expect(await client.getBooleanValue('listed', true, { targetingKey: OTHER_VIN, vin: OTHER_VIN })).toBe(false);
  expect(await client.getBooleanValue('eu', false)).toBe(false);
  expect(await client.getBooleanValue('eu', false, { region: 'EU' })).toBe(true);
  expect(await client.getBooleanDetails('before', false, { since: new Date('2026-01-31') })).toMatchObject({
    value: true,
  });
});

test('changes are announced with the keys of the flags while READY', async () => {
  await plane.put('a');
  const agent = await vehicle.start();
  await provide(agent);
  const changed = next(ProviderEvents.ConfigurationChanged);
  await plane.put('a', { defaultValue: true });
  expect(await changed).toMatchObject({ flagsChanged: ['a'] });
  expect(await client.getBooleanValue('a', false)).toBe(true);
});

test('without the gateway it is STALE and goes on evaluating; connected again, it is READY', async () => {
  await plane.put('a', { defaultValue: true });
  await provide(await vehicle.start(), { staleAfterMs: 10 });
  const stale = next(ProviderEvents.Stale);
  await plane.stop();
  await stale;
  expect(client.providerStatus).toBe(ProviderStatus.STALE);
  expect(await client.getBooleanValue('a', false)).toBe(true);
  await plane.listen();
  await eventually(() => client.providerStatus === ProviderStatus.READY, 'it is ready again');
});

test('started with flags past their TTL it is STALE at once, and the flags give their safe defaults', async () => {
  await plane.put('a', { rules: [{ ...PREMIUM, conditions: { attribute: 'x', operator: 'exists', value: false } }] });
  const before = await vehicle.start();
  await before.ready();
  await before.close();
  await plane.stop();
  const stale = next(ProviderEvents.Stale);
  await provide(await vehicle.start({ now: () => Date.now() + 8 * 86_400_000 }));
  await stale;
  expect(await client.getBooleanDetails('a', true)).toMatchObject({ value: false, reason: 'STALE' });
});

test('without flags before the timeout it is in ERROR with PROVIDER_NOT_READY, and READY once they come', async () => {
  await plane.put('a', { defaultValue: true });
  await plane.stop();
  const failed = next(ProviderEvents.Error);
  await expect(provide(await vehicle.start(), { initializeTimeoutMs: 10 })).rejects.toMatchObject({
    code: 'PROVIDER_NOT_READY',
  });
  expect(await failed).toMatchObject({ message: 'The agent got no flags within 10 ms.' });
  expect(client.providerStatus).toBe(ProviderStatus.ERROR);
  expect(await client.getBooleanDetails('a', false)).toMatchObject({ value: false, errorCode: 'PROVIDER_NOT_READY' });
  await plane.listen();
  await eventually(() => client.providerStatus === ProviderStatus.READY, 'it is ready');
  expect(await client.getBooleanValue('a', false)).toBe(true);
});

test('a closed provider emits no more events, and its agent goes on', async () => {
  await plane.put('a');
  const agent = await vehicle.start();
  const provider = new FleetFlagProvider(agent);
  await OpenFeature.setProviderAndWait(provider);
  let notified = 0;
  provider.events.addHandler(ProviderEvents.ConfigurationChanged, () => void notified++);
  await OpenFeature.clearProviders();
  await plane.put('a', { defaultValue: true });
  await eventually(() => agent.booleanValue('a', false), 'the agent has the change');
  expect(notified).toBe(0);
});
