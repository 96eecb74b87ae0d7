import { setImmediate as turn } from 'node:timers/promises';
import { chmod, readFile, writeFile } from 'node:fs/promises';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import type { RuleDefinition } from '../../core/model.ts';
import type { FlagChange } from './agent-events.ts';
import { TEST_VIN, TestControlPlane } from '../testing/control-plane.ts';
import { TestVehicle, vehicleToken } from '../testing/test-vehicle.ts';
import { eventually } from '../../core/testing/eventually.ts';
import { AGENT_VERSION } from '../version.ts';
import { ON } from '../testing/rules.ts';

const OFF: RuleDefinition = {
  id: 'off',
  type: 'kill_switch',
  priority: 1,
  enabled: true,
  conditions: { force_disabled: true, reason: 'test' },
};

let plane: TestControlPlane;
let vehicle: TestVehicle;

beforeEach(async () => {
  plane = await TestControlPlane.start();
  vehicle = await TestVehicle.create(plane);
});

afterEach(async () => {
  await vehicle.dispose();
  await plane.stop();
});

describe('the whole path', () => {
  test('an agent syncs, follows changes, goes on without network, and catches up with exactly what it missed', async () => {
    await plane.put('lane-keep', { rules: [ON] });
    await plane.put('eco', { type: 'string', defaultValue: 'eco' });
    const agent = await vehicle.start();
    await agent.ready();
    expect(agent.status()).toMatchObject({
      revision: 2,
      flags: 2,
      environment: 'production',
      vin: TEST_VIN,
      connected: true,
      refusals: {},
    });
    expect(agent.booleanValue('lane-keep', false)).toBe(true);
    expect(agent.stringValue('eco', 'sport')).toBe('eco');

    await plane.put('lane-keep', { rules: [ON, OFF] });
    await eventually(() => agent.status().revision === 3, 'the kill switch arrives');
    expect(agent.booleanDetails('lane-keep', true)).toMatchObject({
      value: false,
      reason: 'DISABLED',
      variant: 'control',
    });

    await plane.stop();
    await eventually(() => !agent.status().connected, 'the loss is noticed');
    expect(agent.booleanValue('lane-keep', true)).toBe(false);
    await agent.close();

    const restarted = await vehicle.start();
    await restarted.ready();
    expect(restarted.status()).toMatchObject({
      revision: 3,
      flags: 2,
      connected: false,
      store: { source: 'current', faults: [] },
    });
    expect(restarted.stringDetails('eco', 'sport')).toMatchObject({ value: 'eco', reason: 'DEFAULT' });

    await plane.put('lane-keep', { rules: [ON] });
    await plane.remove('eco');
    plane.syncs.length = 0;
    let sent: string[] = [];
    plane.onSync = (answer) => {
      sent = answer.flags.map(({ key }) => key);
      return answer;
    };
    await plane.listen();
    await eventually(() => restarted.status().revision === 5, 'it has caught up');
    expect(plane.syncs).toEqual([3]);
    expect(sent.sort()).toEqual(['eco', 'lane-keep']);
    expect(restarted.booleanValue('lane-keep', false)).toBe(true);
    expect(restarted.stringDetails('eco', 'sport')).toMatchObject({
      value: 'sport',
      errorCode: 'FLAG_NOT_FOUND',
      reason: 'ERROR',
    });
  });

  test('listeners hear each change once, after it is on disk, and a failing listener affects nothing else', async () => {
    await plane.put('a');
    const agent = await vehicle.start();
    await agent.ready();
    const seen: (FlagChange & { persisted: number })[] = [];
    agent.onChange(() => {
      throw new Error('a faulty program');
    });
    const stop = agent.onChange((change) => seen.push({ ...change, persisted: agent.status().revision }));
    await plane.put('a', { enabled: false });
    await plane.remove('a');
    await eventually(() => agent.status().flags === 0, 'the tombstone is applied');
    // Changes that arrive together are one write, and listeners hear only their result.
    expect(seen.at(-1)).toEqual({ key: 'a', revision: 3, removed: true, persisted: 3 });
    expect(seen.every(({ revision, persisted }) => persisted >= revision)).toBe(true);
    stop();
    const before = seen.length;
    await plane.put('b');
    await eventually(() => agent.status().flags === 1, 'the next change is applied');
    expect(seen).toHaveLength(before);
  });

  test('the stream has the same operation id in every vehicle', async () => {
    // The question for a backup comes first; neither the heartbeat nor the question for its facts before it is ready.
    const agent = await vehicle.start({ timings: { heartbeatSpreadMs: 600_000 }, random: () => 0.5 });
    await agent.ready();
    expect(plane.subscriptionIds).toEqual(['request-1', 'changes', 'request-2']);
  });

  test('an idle connection syncs again for a fresh proof', async () => {
    const agent = await vehicle.start({ timings: { resyncMs: 20 } });
    await eventually(() => agent.status().syncCount > 2, 'several syncs were made');
    expect(plane.syncs.length).toBeGreaterThan(2);
    expect(agent.status().refusals).toEqual({});
  });
});

describe('evaluation', () => {
  test('a flag of another type gives the default and TYPE_MISMATCH, and before the first sync nothing is found', async () => {
    await plane.put('limit', { type: 'number', defaultValue: 80 });
    const agent = await vehicle.start();
    expect(agent.numberDetails('limit', 1)).toMatchObject({ value: 1, errorCode: 'PROVIDER_NOT_READY' });
    await agent.ready();
    expect(agent.numberDetails('limit', 1)).toEqual({
      flagKey: 'limit',
      value: 80,
      variant: 'control',
      reason: 'DEFAULT',
      flagMetadata: { revision: 1, environment: 'production', version: '1', flagSetId: 'production' },
    });
    expect(agent.booleanDetails('limit', true)).toMatchObject({
      value: true,
      reason: 'ERROR',
      errorCode: 'TYPE_MISMATCH',
    });
  });

  test('the vehicle has its own facts, a program may add to them, and no program can change the VIN', async () => {
    await plane.put('whitelisted', {
      rules: [{ id: 'w', type: 'vehicle_whitelist', priority: 1, enabled: true, conditions: { vins: [TEST_VIN] } }],
    });
    await plane.put('targeted', {
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
    await plane.put('premium', {
      rules: [
        {
          id: 'u',
          type: 'user_attribute',
          priority: 1,
          enabled: true,
          conditions: { attribute: 'subscription', operator: 'in', values: ['premium'] },
        },
      ],
    });
    const agent = await vehicle.start({ vehicle: { model: 'Ioniq 6', swVersion: '2.5.0', region: 'EU' } });
    await agent.ready();
    const forged = { vin: 'KMHL14JA5PA000009' } as object;
    expect(agent.booleanValue('whitelisted', false, forged)).toBe(true);
    expect(agent.booleanValue('targeted', false)).toBe(true);
    expect(agent.booleanValue('targeted', false, { region: 'NA' })).toBe(false);
    expect(agent.booleanValue('premium', false)).toBe(false);
    expect(agent.booleanValue('premium', false, { attributes: { subscription: 'premium' } })).toBe(true);
  });

  test('a flag past its TTL gives its default until the next verified contact', async () => {
    const day = 86_400_000;
    let clock = Date.now();
    plane.now = () => clock;
    await plane.put('lane-keep', { rules: [ON] });
    const agent = await vehicle.start({ now: () => clock });
    await agent.ready();
    await agent.close();
    await plane.stop();

    const offline = await vehicle.start({ now: () => clock });
    clock += 7 * day - 10_000;
    expect(offline.booleanDetails('lane-keep', false)).toMatchObject({ value: true, reason: 'SPLIT' });
    clock += 20_000;
    // The clock is read once in each run of the program.
    await turn();
    expect(offline.booleanDetails('lane-keep', true)).toMatchObject({
      value: false,
      reason: 'STALE',
      variant: 'control',
    });
    expect(offline.status().staleFlags).toBe(1);
    await plane.listen();
    await eventually(() => offline.status().staleFlags === 0, 'the contact is verified');
    expect(offline.booleanValue('lane-keep', false)).toBe(true);
  });

  test('replaying an older proof, or one from the future, keeps no stale flag alive', async () => {
    const day = 86_400_000;
    let clock = Date.now();
    plane.now = () => clock;
    await plane.put('lane-keep', { rules: [ON] });
    const old = await plane.proof();
    clock += 60_000;
    const agent = await vehicle.start({ now: () => clock, timings: { resyncMs: 20 } });
    await agent.ready();
    plane.onProof = () => old;
    plane.onSync = (answer) => ({ ...answer, proof: old });
    clock += 8 * day;
    await eventually(() => (agent.status().refusals['proof-out-of-time'] ?? 0) > 0, 'the replay is refused');
    expect(agent.booleanDetails('lane-keep', true).reason).toBe('STALE');

    const future = await plane.proof({ issuedAt: Math.floor((clock + 3 * day) / 1000) });
    const { length } = plane.syncs;
    plane.onSync = (answer) => ({ ...answer, proof: future });
    await eventually(() => plane.syncs.length > length + 2, 'the future has been answered');
    expect(agent.booleanDetails('lane-keep', true).reason).toBe('STALE');

    plane.onSync = (answer) => answer;
    await eventually(() => agent.status().staleFlags === 0, 'a true proof counts');
  });

  test('a vehicle that starts with its clock in 1970 has fresh flags once its nonce is answered, and still when the clock is set', async () => {
    await plane.put('lane-keep', { rules: [ON] });
    let clock = 100_000;
    const agent = await vehicle.start({ now: () => clock });
    await agent.ready();
    await eventually(() => agent.status().staleFlags === 0, 'its question is answered');
    expect(agent.booleanValue('lane-keep', false)).toBe(true);
    clock = Date.now();
    await eventually(() => agent.status().staleFlags === 0, 'a proof is accepted');
    expect(agent.booleanValue('lane-keep', false)).toBe(true);
    expect(plane.nonces).toHaveLength(1);
  });

  test('a clock that is set back does not make a flag younger than the last statement', async () => {
    let clock = Date.now();
    plane.now = () => clock;
    await plane.put('lane-keep', { rules: [ON] });
    const agent = await vehicle.start({ now: () => clock });
    await agent.ready();
    clock -= 365 * 86_400_000;
    expect(agent.booleanDetails('lane-keep', false)).toMatchObject({ value: true, reason: 'SPLIT' });
  });
});

describe('the token', () => {
  test('a refused token is read again at each attempt, so that replacing the file is enough', async () => {
    const [bad, good] = [
      await vehicleToken(TEST_VIN, 'production', 'bad'),
      await vehicleToken(TEST_VIN, 'production', 'good'),
    ];
    plane.refusedTokens.add(bad);
    await writeFile(vehicle.tokenFile, bad);
    const agent = await vehicle.start();
    await eventually(() => plane.tokens.length > 1, 'it was refused twice');
    expect(agent.status().connected).toBe(false);
    await writeFile(vehicle.tokenFile, good);
    await agent.ready();
    expect(plane.tokens.at(-1)).toBe(good);
  });

  test('without a readable token the agent evaluates from its file, and connects when there is one', async () => {
    await plane.put('lane-keep', { rules: [ON] });
    const first = await vehicle.start();
    await first.ready();
    await first.close();
    const token = await readFile(vehicle.tokenFile, 'utf8');
    await writeFile(vehicle.tokenFile, 'not a token');
    const agent = await vehicle.start();
    await agent.ready();
    expect(agent.booleanValue('lane-keep', false)).toBe(true);
    expect(agent.status()).toMatchObject({ vin: TEST_VIN, connected: false });
    await writeFile(vehicle.tokenFile, token);
    await eventually(() => agent.status().connected, 'it connects');
  });

  test.each([
    ['is empty', '\n', 0o600, 'error'],
    ['is open to everybody', null, 0o644, 'warn'],
  ])('a token file that %s is named in the log', async (_what, text, mode, level) => {
    if (text !== null) await writeFile(vehicle.tokenFile, text);
    await chmod(vehicle.tokenFile, mode);
    const lines: string[] = [];
    const agent = await vehicle.start({ log: (found, message) => void lines.push(`${found} ${message}`) });
    expect(lines).toContainEqual(expect.stringMatching(new RegExp(`^${level} .*${vehicle.tokenFile}`)));
    await agent.close();
  });

  test('a database of another vehicle or environment is not used', async () => {
    await plane.put('lane-keep', { rules: [ON] });
    const first = await vehicle.start();
    await first.ready();
    await first.close();
    await plane.stop();
    for (const token of [await vehicleToken('KMHL14JA5PA000009'), await vehicleToken(TEST_VIN, 'staging')]) {
      await writeFile(vehicle.tokenFile, token);
      const agent = await vehicle.start();
      expect(agent.status()).toMatchObject({
        flags: 0,
        revision: 0,
        ready: false,
        store: { source: 'empty', faults: [expect.stringContaining(TEST_VIN)] },
      });
      await agent.close();
    }
  });
});

test('the version in the code is the one in package.json', async () => {
  const manifest = JSON.parse(await readFile(new URL('../package.json', import.meta.url), 'utf8')) as {
    version: string;
  };
  expect(AGENT_VERSION).toBe(manifest.version);
});
