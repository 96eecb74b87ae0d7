/** The bound on full syncs: a server that has lost revisions, or proves other sets, costs a vehicle few of them. */
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { PROOF_JWS_TYPE } from '../../core/wire/vehicle/proof.ts';
import type { FleetFlagAgentOptions } from '../assembly/agent-options.ts';
import { TestControlPlane } from '../testing/control-plane.ts';
import { signJws } from '../testing/signing.ts';
import { TestVehicle } from '../testing/test-vehicle.ts';
import { eventually } from '../../core/testing/eventually.ts';
import { ON } from '../testing/rules.ts';
import { NEVER_MS, incompleteSets, syncedAgent, withoutFlag } from '../testing/synced-agent.ts';

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

const synced = (timings: FleetFlagAgentOptions['timings'] = {}) => syncedAgent(plane, vehicle, timings);

describe('no sequence makes a vehicle start full syncs without end:', () => {
  test('a restored server that has gone on causes one full sync, which replaces lower flag revisions, too', async () => {
    await plane.put('a', { rules: [ON] });
    const restore = plane.backup();
    await plane.put('a', { rules: [] });
    await plane.put('gone');
    const agent = await synced({ aheadMs: 1 });
    plane.onChange = () => [];
    restore();
    for (const defaultValue of [true, false, true]) await plane.put('b', { defaultValue });
    plane.onChange = (change) => [change];
    await plane.put('c');
    await eventually(() => agent.status().revision === 5, 'it holds what there is now');
    expect(new Map(agent.flagKeys().map((key) => [key, agent.evaluate(key)!.definition]))).toEqual(plane.definitions());
    expect(agent.booleanValue('a', false)).toBe(true);
    expect(plane.syncs.filter((since) => since === 0)).toEqual([0]);
    await plane.put('d');
    await eventually(() => agent.status().revision === 6, 'it goes on');
    expect(plane.syncs.filter((since) => since === 0)).toEqual([0]);
  });

  test('a server restored below the vehicle is refused, reported once that lasts, and never causes a full sync', async () => {
    await plane.put('a', { rules: [ON] });
    const restore = plane.backup();
    await plane.put('a', { rules: [] });
    const agent = await synced({ heartbeatMs: 5, belowMs: 100 });
    restore();
    await eventually(() => agent.status().refusals['revision-below-own'] === 1, 'it is reported');
    const { length } = plane.heartbeats;
    await eventually(() => plane.heartbeats.length > length + 20, 'it has gone on');
    expect(agent.status().refusals).toEqual({ 'revision-below-own': 1 });
    expect(plane.syncs).not.toContain(0);
    expect(plane.syncs.length).toBeLessThan(4);
    expect(agent.booleanValue('a', true)).toBe(false);
  });

  test('an instance that is a second behind is not reported', async () => {
    await plane.put('a');
    const restore = plane.backup();
    await plane.put('b');
    const ahead = plane.backup();
    const agent = await synced({ heartbeatMs: 5, belowMs: 5_000 });
    restore();
    const { length } = plane.heartbeats;
    await eventually(() => plane.heartbeats.length > length + 5, 'it has seen the instance');
    ahead();
    await eventually(() => plane.heartbeats.length > length + 10, 'it has seen the other');
    expect(agent.status()).toMatchObject({ refusals: {}, revision: 2, proof: { held: true } });
    expect(plane.syncs).not.toContain(0);
  });

  test('a set that never becomes complete causes one full sync, and then ever fewer, across connections too', async () => {
    await plane.put('a', { rules: [ON] });
    await plane.put('b');
    const agent = await synced({ rareBackoffMs: 40, rareBackoffCapMs: 10_000, heartbeatMs: 5 });
    plane.onChange = () => [];
    plane.onSync = withoutFlag('a');
    await plane.put('a', { rules: [] });
    const whole = () => plane.syncs.filter((since) => since === 0).length;
    await eventually(() => whole() > 1, 'it was asked for in vain');
    const from = performance.now();
    for (let cut = 0; cut < 10; cut++) {
      const { length } = plane.tokens;
      plane.disconnect(1012);
      await eventually(() => plane.tokens.length > length && agent.status().connected, 'it is connected again');
    }
    // 40, 80, 160 ms …, and after a cut no sooner than 40 ms after the last time.
    expect(whole()).toBeLessThan(4 + (performance.now() - from) / 40);
    plane.onSync = (answer) => answer;
    await eventually(() => agent.status().revision === 3, 'it is right again');
  });

  test('two instances that prove different sets of one revision are each asked once, and then rarely', async () => {
    await plane.put('a', { rules: [ON] });
    const agent = await synced({ heartbeatMs: 5, rareBackoffMs: NEVER_MS, rareBackoffCapMs: NEVER_MS });
    const other = await signJws(plane.key, PROOF_JWS_TYPE, {
      v: 2,
      environment: 'production',
      partition: '*',
      revision: 1,
      issuedAt: Math.floor(Date.now() / 1000) + 5,
      set: 'A'.repeat(43),
    });
    let turn = 0;
    plane.onProof = (proof) => (++turn % 2 === 0 ? proof : other);
    await eventually(() => turn > 30, 'they have disagreed often');
    expect(plane.syncs.filter((since) => since === 0).length).toBeLessThan(4);
    expect(incompleteSets(agent)).toBeGreaterThan(0);
  });
});
