/**
 * The nonces that an agent sends over the wire where the clocks cannot tell the age of a proof. The control plane is
 * one older than partitions, so that no other answer has given the vehicle the time.
 */
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { GraphQLError } from 'graphql';
import { isNonce } from '../../core/wire/vehicle/proof.ts';
import type { FleetFlagAgentOptions } from '../assembly/agent-options.ts';
import type { FleetFlagAgent } from '../assembly/fleet-flag-agent.ts';
import { TEST_VIN, TestControlPlane } from '../testing/control-plane.ts';
import type { SyncMessage } from '../testing/wire-messages.ts';
import { wireVersions } from '../testing/wire-versions.ts';
import { TestVehicle } from '../testing/test-vehicle.ts';
import { eventually } from '../../core/testing/eventually.ts';
import { ON } from '../testing/rules.ts';

const DAY_MS = 86_400_000;
const NEVER_MS = 1_000_000;

let plane: TestControlPlane;
let vehicle: TestVehicle;
/** The error of the vehicle's clock, in milliseconds. */
let error: number;

beforeEach(async () => {
  error = -365 * DAY_MS;
  plane = await TestControlPlane.silent();
  plane.sdl = wireVersions()
    .find(({ version }) => version === '1.1.0')!
    .controlPlane.join('\n');
  await plane.listen();
  vehicle = await TestVehicle.create(plane);
  await plane.put('a', { rules: [ON] });
});

afterEach(async () => {
  await vehicle.dispose();
  await plane.stop();
});

const start = (timings: FleetFlagAgentOptions['timings'] = {}): Promise<FleetFlagAgent> =>
  vehicle.start({
    now: () => Date.now() + error,
    timings: { heartbeatMs: 20, heartbeatSpreadMs: 1, rareBackoffMs: NEVER_MS, rareBackoffCapMs: NEVER_MS, ...timings },
  });
const fresh = (agent: FleetFlagAgent) =>
  eventually(() => agent.status().flags > 0 && agent.status().staleFlags === 0, 'its flags are fresh');

test('one nonce is enough: later proofs are judged by the offset from its answer', async () => {
  const agent = await start({ resyncMs: 10 });
  await fresh(agent);
  const { length } = plane.syncs;
  await plane.put('b');
  await eventually(() => agent.status().revision === 2 && plane.syncs.length > length + 5, 'it has gone on');
  expect(plane.nonces).toHaveLength(1);
  expect(plane.nonces.every(isNonce)).toBe(true);
  expect(agent.status()).toMatchObject({ staleFlags: 0, refusals: { 'proof-out-of-time': 1 } });
  await eventually(
    () => Math.abs((plane.heartbeats.at(-1)?.clockOffsetSeconds ?? 0) - 365 * 86_400) < 60,
    'the offset is reported',
  );
});

test.each([
  ['ahead, by what is negative', 8, -8],
  ['behind, by what is positive', -8, 8],
])('a heartbeat reports how far the clock is %s, and that a proof was refused', async (_what, days, reportedDays) => {
  error = days * DAY_MS;
  await fresh(await start());
  await eventually(
    () => Math.abs((plane.heartbeats.at(-1)?.clockOffsetSeconds ?? 0) - reportedDays * 86_400) < 60,
    'the offset is reported',
  );
  await eventually(
    () => plane.heartbeats.some(({ refusals = [] }) => refusals.includes('proof-out-of-time')),
    'the refusal is reported',
  );
});

test('a refused nonce holds no change back, and is sent again at the time that the control plane names', async () => {
  let refused = false;
  plane.onNonce = () => {
    if (refused) return;
    refused = true;
    throw new GraphQLError('Busy.', { extensions: { code: 'SERVICE_UNAVAILABLE', retryAfter: 0 } });
  };
  const agent = await start();
  await plane.put('a', { enabled: false });
  await eventually(() => agent.status().revision === 2, 'the change is there');
  await fresh(agent);
  expect(new Set(plane.nonces).size).toBe(2);
});

test('an answer with an incomplete set proves nothing until the set is complete', async () => {
  plane.onChange = () => [];
  plane.onNonce = () => plane.put('a', { rules: [] }).then(() => undefined);
  plane.onSync = (answer) =>
    plane.nonces.length > 0 ? { ...answer, flags: answer.flags.filter(({ key }) => key !== 'a') } : answer;
  const agent = await start();
  await eventually(() => (agent.status().refusals.incomplete ?? 0) > 0, 'it is noticed');
  expect(agent.status()).toMatchObject({ revision: 1, staleFlags: 1 });
  plane.onNonce = () => undefined;
  plane.onSync = (answer) => answer;
  plane.disconnect(1012);
  await fresh(agent);
  expect(agent.status().revision).toBe(plane.revision);
  expect(new Set(plane.nonces).size).toBe(1);
});

test('a nonce that is answered by another proof is sent again soon', async () => {
  let recorded: SyncMessage | null = null;
  const inVain: string[] = [];
  plane.onSync = (answer) => {
    const nonce = plane.nonces.at(-1);
    if (nonce === undefined) return (recorded = answer);
    if (!inVain.includes(nonce) && inVain.length < 2) inVain.push(nonce);
    return inVain.includes(nonce) ? recorded! : answer;
  };
  await fresh(await start({ rareBackoffMs: 10, rareBackoffCapMs: 50 }));
  expect(inVain).toHaveLength(2);
  expect(plane.nonces.length).toBeGreaterThan(2);
});

test('a clock in the first week of 1970 makes nothing fresh of a session that was recorded: only an answer does', async () => {
  const answer = await plane.sync(0, null, TEST_VIN, false);
  plane.onSync = () => answer;
  plane.onProof = () => answer.proof;
  const agent = await vehicle.start({
    now: () => 3 * DAY_MS,
    timings: { heartbeatMs: 20, heartbeatSpreadMs: 1, rareBackoffMs: NEVER_MS, rareBackoffCapMs: NEVER_MS },
  });
  await eventually(() => agent.status().flags === 1, 'the flags are there');
  // The agent requests a proof at once, and does not spread its requests over ten minutes.
  await eventually(() => plane.nonces.length > 0, 'it has asked');
  expect(agent.status()).toMatchObject({ staleFlags: 1, lastStatementAt: null });
  expect(agent.evaluate('a')?.evaluation).toMatchObject({ value: false, reason: 'STALE' });
});

test('a clock that was ahead by half a year and is right again is trusted after an answer only, which is requested at once', async () => {
  error = 0;
  const first = await start();
  await fresh(first);
  const recorded = await plane.sync(1, null, TEST_VIN, false);
  await first.close();
  plane.disconnect(1012);
  // It has aged by the wrong clock, and stays so over the next start.
  error = 182 * DAY_MS;
  const offline = await vehicle.start({
    url: 'ws://127.0.0.1:1/graphql',
    now: () => Date.now() + error,
    timings: { metricsWriteMs: 1 },
  });
  offline.track('minutes', 1, { flagKey: 'a' });
  await offline.close();
  error = 0;
  plane.onSync = () => recorded;
  plane.onProof = () => recorded.proof;
  const again = await start({ rareBackoffMs: 10, rareBackoffCapMs: 50 });
  await eventually(() => plane.nonces.length > 0, 'it has asked');
  expect(again.status().staleFlags).toBe(1);
  plane.onSync = (answer) => answer;
  await fresh(again);
});

test('a replayed answer proves nothing', async () => {
  const answers: SyncMessage[] = [];
  plane.onSync = (answer) => {
    answers.push(answer);
    return answer;
  };
  const first = await start();
  await fresh(first);
  await first.close();
  const recorded = answers.at(-1)!;
  plane.onSync = () => recorded;
  plane.onProof = () => recorded.proof;
  // Eight days later, by a clock that is wrong still.
  error += 8 * DAY_MS;
  const again = await start({ resyncMs: 10 });
  const { length } = plane.syncs;
  await eventually(() => plane.syncs.length > length + 5, 'it was played often');
  expect(again.evaluate('a')?.evaluation).toMatchObject({ value: false, reason: 'STALE' });
});

test('flags that go stale while there is a connection are fresh again at once', async () => {
  error = 0;
  const agent = await start({ resyncMs: NEVER_MS });
  await fresh(agent);
  const { length } = plane.syncs;
  error = 8 * DAY_MS;
  expect(agent.evaluate('a')?.evaluation.reason).toBe('STALE');
  await fresh(agent);
  expect(plane.syncs.length - length).toBeLessThanOrEqual(2);
  expect(plane.nonces).toHaveLength(1);
  error = 0;
  await eventually(() => Math.abs(agent.status().clockOffsetSeconds ?? 1e9) < 60, 'it has seen a proof since');
  expect(agent.status().staleFlags).toBe(0);
  expect(plane.nonces).toHaveLength(1);
});
