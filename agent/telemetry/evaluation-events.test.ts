import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { OpenFeature } from '@openfeature/server-sdk';
import { FleetFlagAgent } from '../assembly/fleet-flag-agent.ts';
import { FleetFlagProvider } from '../openfeature/fleet-flag-provider.ts';
import { LocalServer } from '../api/local-server.ts';
import { TEST_VIN } from '../testing/control-plane.ts';
import { EvaluationEvents, type EvaluationEvent } from './evaluation-events.ts';

const FLAGS = `fleetflag: 1
flags:
  lane_keep:
    name: Lane keeping
    type: boolean
    safetyLevel: ASIL-B
    enabled: true
    defaultValue: false
    rules:
      - type: vehicle_target
        conditions: { regions: [EU] }
  limit: { name: Limit, type: number, safetyLevel: Non-Critical, enabled: true, defaultValue: 80 }
`;

let folder: string;
let file: string;
const events: EvaluationEvent[] = [];
const closing: { close(): Promise<unknown> }[] = [];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'fleetflag-events-'));
  file = join(folder, 'flags.yaml');
  await writeFile(file, FLAGS);
  events.length = 0;
});
afterEach(async () => {
  for (const each of closing.splice(0).reverse()) await each.close();
  await rm(folder, { recursive: true, force: true });
});

async function started(isAsked = true): Promise<FleetFlagAgent> {
  const agent = new FleetFlagAgent({
    flagsFile: file,
    vin: TEST_VIN,
    vehicle: { region: 'EU' },
    ...(isAsked && { evaluationEvents: { emit: (event) => events.push(event) } }),
  });
  closing.push(agent);
  await agent.start();
  return agent;
}

const attributes = () => events.map((event) => event.attributes);
const SERVED = {
  'feature_flag.key': 'lane_keep',
  'feature_flag.provider.name': 'fleetflag',
  'feature_flag.result.reason': 'targeting_match',
  'feature_flag.result.variant': 'enabled',
};

describe('an event of OpenTelemetry', () => {
  test('is emitted for each evaluation, once, and says nothing of the vehicle or the value', async () => {
    const agent = await started();
    agent.booleanValue('lane_keep', false);
    agent.booleanDetails('lane_keep', false);
    agent.evaluate('lane_keep', { region: 'EU' });
    expect(attributes()).toEqual([1, 2, 3].map(() => expect.objectContaining(SERVED)));
    expect(Object.keys(events[0]?.attributes ?? {}).sort()).toEqual([
      'feature_flag.key',
      'feature_flag.provider.name',
      'feature_flag.result.reason',
      'feature_flag.result.variant',
      'feature_flag.set.id',
      'feature_flag.version',
    ]);
    expect(events[0]).toMatchObject({ eventName: 'feature_flag.evaluation' });
    expect(Math.abs((events[0]?.timestamp ?? 0) - Date.now())).toBeLessThan(60_000);
    expect(JSON.stringify(events)).not.toContain(TEST_VIN);
  });

  test('says why a program got its own default', async () => {
    const agent = await started();
    expect(agent.numberValue('lane_keep', 7)).toBe(7);
    expect(agent.booleanValue('no_such\nflag', true)).toBe(true);
    await agent.close();
    expect(agent.booleanValue('lane_keep', true)).toBe(true);
    expect(attributes()).toEqual([
      { ...ERROR, 'feature_flag.key': 'lane_keep', 'error.type': 'type_mismatch' },
      { ...ERROR, 'feature_flag.key': 'no_such?flag', 'error.type': 'flag_not_found' },
      { ...ERROR, 'feature_flag.key': 'lane_keep', 'error.type': 'provider_not_ready' },
    ]);
  });

  test('comes from OpenFeature and OFREP, too', async () => {
    const agent = await started();
    await OpenFeature.setProviderAndWait('events', new FleetFlagProvider(agent));
    expect(await OpenFeature.getClient('events').getBooleanValue('lane_keep', false)).toBe(true);
    await OpenFeature.clearProviders();
    const server = new LocalServer({ host: '127.0.0.1', port: 0, agent, allowedOrigins: [] });
    closing.push(server);
    const address = await server.listen();
    await fetch(`${address}/ofrep/v1/evaluate/flags/lane_keep`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: '{"context":{}}',
    });
    expect(attributes()).toEqual([expect.objectContaining(SERVED), expect.objectContaining(SERVED)]);
  });

  test('is emitted only when it is asked for', async () => {
    const agent = await started(false);
    expect(agent.booleanValue('lane_keep', false)).toBe(true);
    expect([events, agent.status().droppedEvaluationEvents]).toEqual([[], 0]);
  });
});

const ERROR = { 'feature_flag.provider.name': 'fleetflag', 'feature_flag.result.reason': 'error' };

describe('the number of events', () => {
  test('is bounded in each second, and what is more is counted', () => {
    let now = 1_000;
    const bounded = new EvaluationEvents(
      { emit: (event) => events.push(event), maxPerSecond: 3 },
      () => now,
      () => undefined,
    );
    for (let n = 0; n < 10; n++) bounded.evaluated('a', undefined, null);
    expect([events.length, bounded.dropped]).toEqual([3, 7]);
    now = 2_000;
    bounded.evaluated('a', undefined, null);
    // A clock that is set back does not stop them.
    now = 1_500;
    bounded.evaluated('a', undefined, null);
    expect([events.length, bounded.dropped]).toEqual([5, 7]);
  });

  test('a receiver that fails is logged once and hinders no evaluation', () => {
    const log: string[] = [];
    const failing = new EvaluationEvents(
      {
        emit() {
          throw new Error('the receiver is down');
        },
      },
      () => 1_000,
      (_level, message) => log.push(message),
    );
    for (let n = 0; n < 3; n++) failing.evaluated('a', undefined, 'FLAG_NOT_FOUND');
    expect(log).toEqual(['cannot emit an evaluation event; evaluating flags without it: the receiver is down']);
  });
});
