/**
 * Compares the ways in which a program may evaluate a flag through OpenFeature: our provider in the agent's process,
 * and over HTTP the stock OFREP providers for servers and for pages. All must give the same details.
 */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { OFREPProvider } from '@openfeature/ofrep-provider';
import { OFREPWebProvider } from '@openfeature/ofrep-web-provider';
import { OpenFeature, type EvaluationDetails, type JsonValue } from '@openfeature/server-sdk';
import { OpenFeature as WebOpenFeature } from '@openfeature/web-sdk';
import type { RuleDefinition } from '../../core/model.ts';
import { LocalServer } from '../api/local-server.ts';
import type { FleetFlagAgent } from '../assembly/fleet-flag-agent.ts';
import { TestControlPlane } from '../testing/control-plane.ts';
import { TestVehicle } from '../testing/test-vehicle.ts';
import { FleetFlagProvider } from './fleet-flag-provider.ts';
import { EU, KILL, PREMIUM } from '../testing/rules.ts';

const EVERY_VEHICLE: RuleDefinition = {
  id: 'all',
  type: 'percentage_rollout',
  priority: 1,
  enabled: true,
  conditions: { rollout_percentage: 100 },
  variant: 'fast',
};
type Kind = 'boolean' | 'string' | 'number' | 'object';
type Details = EvaluationDetails<JsonValue>;
type Ask = (kind: Kind, key: string, defaultValue: JsonValue, context: Record<string, JsonValue>) => Promise<Details>;

let plane: TestControlPlane;
let vehicle: TestVehicle;
let agent: FleetFlagAgent;
let server: LocalServer;

/** The methods that the clients of both SDKs have in common. */
interface Resolver {
  getBooleanDetails(key: string, defaultValue: boolean, context?: object): Details | Promise<Details>;
  getStringDetails(key: string, defaultValue: string, context?: object): Details | Promise<Details>;
  getNumberDetails(key: string, defaultValue: number, context?: object): Details | Promise<Details>;
  getObjectDetails(key: string, defaultValue: JsonValue, context?: object): Details | Promise<Details>;
}

function resolve(
  client: Resolver,
  kind: Kind,
  key: string,
  defaultValue: JsonValue,
  context?: object,
): Details | Promise<Details> {
  if (kind === 'boolean') return client.getBooleanDetails(key, defaultValue as boolean, context);
  if (kind === 'string') return client.getStringDetails(key, defaultValue as string, context);
  if (kind === 'number') return client.getNumberDetails(key, defaultValue as number, context);
  return client.getObjectDetails(key, defaultValue, context);
}

const asks: Record<string, Ask> = {
  'the provider in the process': async (...[kind, key, defaultValue, context]) =>
    resolve(OpenFeature.getClient('own'), kind, key, defaultValue, context),
  'the stock OFREP provider': async (...[kind, key, defaultValue, context]) =>
    resolve(OpenFeature.getClient('ofrep'), kind, key, defaultValue, context),
  'the stock OFREP web provider': async (kind, key, defaultValue, context) => {
    // A page has one context for all of its evaluations.
    await WebOpenFeature.setContext('ofrep', context);
    return resolve(WebOpenFeature.getClient('ofrep'), kind, key, defaultValue);
  },
};

beforeAll(async () => {
  plane = await TestControlPlane.start();
  vehicle = await TestVehicle.create(plane);
  await plane.put('lane-keep', { rules: [PREMIUM] });
  await plane.put('fast-charge', { rules: [EVERY_VEHICLE] });
  await plane.put('killed', { defaultValue: false, rules: [KILL, EVERY_VEHICLE] });
  await plane.put('by-region', { rules: [EU] });
  await plane.put('mode', { type: 'string', defaultValue: 'eco' });
  await plane.put('limit', { type: 'number', defaultValue: 80 });
  await plane.put('zones', { type: 'json', defaultValue: { max: [30, 50] } });
  await plane.put('list', { type: 'json', defaultValue: [1, 2] });
  await plane.put('scalar', { type: 'json', defaultValue: 7 });
  await plane.put('text', { type: 'json', defaultValue: 'seven' });
  await plane.put('needs-lane-keep', { rules: [EVERY_VEHICLE], requires: [{ flag: 'lane-keep' }] });
  agent = await vehicle.start({ vehicle: { region: 'EU' } });
  await agent.ready();
  server = new LocalServer({ host: '127.0.0.1', port: 0, agent });
  const baseUrl = await server.listen();
  await OpenFeature.setProviderAndWait('own', new FleetFlagProvider(agent));
  await OpenFeature.setProviderAndWait('ofrep', new OFREPProvider({ baseUrl }));
  await WebOpenFeature.setProviderAndWait('ofrep', new OFREPWebProvider({ baseUrl, cacheMode: 'disabled' }));
});

afterAll(async () => {
  await OpenFeature.clearProviders();
  await WebOpenFeature.clearProviders();
  await server.close();
  await vehicle.dispose();
  await plane.stop();
});

type Case = readonly [
  title: string,
  kind: Kind,
  key: string,
  defaultValue: JsonValue,
  context: Record<string, JsonValue>,
  expected: Partial<Details>,
];

const of = (revision: number, ruleId?: string) => ({
  flagMetadata: {
    revision,
    environment: 'production',
    version: String(revision),
    flagSetId: 'production',
    ...(ruleId !== undefined && { ruleId }),
  },
});
const failed = (value: JsonValue, errorCode: string) => ({ value, reason: 'ERROR', errorCode: errorCode as never });

const failedBy = (key: string) => ({
  flagMetadata: { ...of(11).flagMetadata, failedPrerequisite: key },
});

const CASES: Case[] = [
  [
    'a rule that matches',
    'boolean',
    'lane-keep',
    false,
    { subscription: 'premium' },
    { value: true, variant: 'enabled', reason: 'TARGETING_MATCH', ...of(1, 'premium') },
  ],
  [
    'no rule that matches',
    'boolean',
    'lane-keep',
    true,
    { subscription: 'basic' },
    { value: false, variant: 'control', reason: 'DEFAULT', ...of(1) },
  ],
  [
    'a rollout',
    'boolean',
    'fast-charge',
    false,
    {},
    { value: true, variant: 'fast', reason: 'SPLIT', ...of(2, 'all') },
  ],
  [
    'a kill switch',
    'boolean',
    'killed',
    true,
    {},
    { value: false, variant: 'control', reason: 'DISABLED', ...of(3, 'kill') },
  ],
  [
    'the vehicle’s own region',
    'boolean',
    'by-region',
    false,
    {},
    { value: true, reason: 'TARGETING_MATCH', ...of(4, 'eu') },
  ],
  [
    'a flag whose required flag serves control',
    'boolean',
    'needs-lane-keep',
    true,
    {},
    { value: false, variant: 'control', reason: 'PREREQUISITE_FAILED', ...failedBy('lane-keep') },
  ],
  [
    'a flag whose required flag is on for the same context',
    'boolean',
    'needs-lane-keep',
    false,
    { subscription: 'premium' },
    { value: true, variant: 'fast', reason: 'SPLIT', ...of(11, 'all') },
  ],
  ['another region', 'boolean', 'by-region', true, { region: 'NA' }, { value: false, reason: 'DEFAULT', ...of(4) }],
  [
    'a region that is null',
    'boolean',
    'by-region',
    false,
    { region: null },
    { value: true, reason: 'TARGETING_MATCH', ...of(4, 'eu') },
  ],
  [
    'a region of a wrong type',
    'boolean',
    'by-region',
    false,
    { region: 5, attributes: 'x', model: [] },
    { value: true, reason: 'TARGETING_MATCH', ...of(4, 'eu') },
  ],
  ['text', 'string', 'mode', 'sport', {}, { value: 'eco', variant: 'control', reason: 'DEFAULT', ...of(5) }],
  ['a number', 'number', 'limit', 0, {}, { value: 80, ...of(6) }],
  ['an object', 'object', 'zones', {}, {}, { value: { max: [30, 50] }, ...of(7) }],
  ['a list', 'object', 'list', {}, {}, { value: [1, 2], ...of(8) }],
  ['a scalar of a JSON flag, asked for by its own type', 'number', 'scalar', 0, {}, { value: 7, ...of(9) }],
  ['text of a JSON flag, asked for by its own type', 'string', 'text', '', {}, { value: 'seven', ...of(10) }],
  ['a scalar of a JSON flag, with a default of its kind', 'object', 'scalar', 1, {}, { value: 7, ...of(9) }],
  [
    'a scalar of a JSON flag, asked for as an object',
    'object',
    'scalar',
    { a: 1 },
    {},
    failed({ a: 1 }, 'TYPE_MISMATCH'),
  ],
  ['an object, asked for as text', 'string', 'zones', 'x', {}, failed('x', 'TYPE_MISMATCH')],
  ['a flag of another type', 'boolean', 'limit', true, {}, failed(true, 'TYPE_MISMATCH')],
  ['a flag that does not exist', 'boolean', 'nothing', true, {}, failed(true, 'FLAG_NOT_FOUND')],
  ['a key with a slash', 'string', 'mode/eco', 'x', {}, failed('x', 'FLAG_NOT_FOUND')],
  ['a key that no flag can have', 'number', '🚗 %', 3, {}, failed(3, 'FLAG_NOT_FOUND')],
];

describe.each(Object.keys(asks))('%s', (name) => {
  test.each(CASES)(
    'gives the same details as the others for %s',
    async (_title, kind, key, defaultValue, context, expected) => {
      expect(await asks[name]!(kind, key, defaultValue, context)).toMatchObject(expected);
    },
  );
});
