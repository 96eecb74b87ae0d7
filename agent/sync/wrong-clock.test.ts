/** The questions that an agent asks with a nonce where the clocks do not tell, over the wire. */
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { GraphQLError } from 'graphql';
import type { RuleDefinition } from '../../core/model.ts';
import { isNonce } from '../../core/protocol/proof.ts';
import type { FleetFlagAgentOptions } from '../agent-options.ts';
import type { FleetFlagAgent } from '../fleet-flag-agent.ts';
import { TestControlPlane, type SyncMessage } from '../testing/control-plane.ts';
import { TestVehicle, until } from '../testing/test-vehicle.ts';

const ON: RuleDefinition = { id: 'on', type: 'percentage_rollout', priority: 1, enabled: true, conditions: { rollout_percentage: 100 } };
const DAY = 86_400_000;
const NEVER = 1_000_000;

let plane: TestControlPlane;
let vehicle: TestVehicle;
/** How wrong the vehicle's clock is, in milliseconds. */
let error: number;

beforeEach(async () => {
  error = -365 * DAY;
  plane = await TestControlPlane.start();
  vehicle = await TestVehicle.create(plane);
  await plane.put('a', { rules: [ON] });
});

afterEach(async () => {
  await vehicle.dispose();
  await plane.stop();
});

const start = (timings: FleetFlagAgentOptions['timings'] = {}): Promise<FleetFlagAgent> =>
  vehicle.start({ now: () => Date.now() + error, timings: { heartbeatMs: 20, heartbeatSpreadMs: 1, patienceMs: NEVER, patienceCapMs: NEVER, ...timings } });
const fresh = (agent: FleetFlagAgent) => until('its flags are fresh', () => agent.status().flags > 0 && agent.status().staleFlags === 0);

test('one question is enough: what follows it is judged by the offset that its answer has told', async () => {
  const agent = await start({ resyncMs: 10 });
  await fresh(agent);
  const { length } = plane.syncs;
  await plane.put('b');
  await until('it has gone on', () => agent.status().revision === 2 && plane.syncs.length > length + 5);
  expect(plane.nonces).toHaveLength(1);
  expect(plane.nonces.every(isNonce)).toBe(true);
  expect(agent.status()).toMatchObject({ staleFlags: 0, refusals: { 'proof-out-of-time': 1 } });
  await until('the offset is told', () => Math.abs((plane.heartbeats.at(-1)?.clockOffsetSeconds ?? 0) - 365 * 86_400) < 60);
});

test('a question that is refused keeps no change back, and is asked again when the control plane wants to hear it', async () => {
  let refused = 0;
  plane.onNonce = () => {
    if (++refused < 4) throw new GraphQLError('Busy.', { extensions: { code: 'SERVICE_UNAVAILABLE', retryAfter: refused < 3 ? 0.01 : 0 } });
  };
  const agent = await start();
  await plane.put('a', { enabled: false });
  await until('the change is there', () => agent.status().revision === 2);
  await fresh(agent);
  expect(new Set(plane.nonces).size).toBe(4);
});

test('an answer whose flags are not all there proves nothing, and does once they are', async () => {
  plane.onChange = () => [];
  plane.onNonce = () => plane.put('a', { rules: [] }).then(() => undefined);
  plane.onSync = (answer) => (plane.nonces.length > 0 ? { ...answer, flags: answer.flags.filter(({ key }) => key !== 'a') } : answer);
  const agent = await start();
  await until('it is noticed', () => (agent.status().refusals.incomplete ?? 0) > 0);
  expect(agent.status()).toMatchObject({ revision: 1, staleFlags: 1 });
  plane.onNonce = () => undefined;
  plane.onSync = (answer) => answer;
  plane.disconnect(1012);
  await fresh(agent);
  expect(agent.status().revision).toBe(plane.revision);
  expect(new Set(plane.nonces).size).toBe(1);
});

test('an answer that is played again proves nothing', async () => {
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
  error += 8 * DAY;
  const again = await start({ resyncMs: 10 });
  const { length } = plane.syncs;
  await until('it was played often', () => plane.syncs.length > length + 5);
  expect(again.evaluate('a')?.evaluation).toMatchObject({ value: false, reason: 'STALE' });
});

test('flags that go stale while there is a connection are fresh again at once', async () => {
  error = 0;
  const agent = await start({ resyncMs: NEVER });
  await fresh(agent);
  const { length } = plane.syncs;
  error = 8 * DAY;
  expect(agent.evaluate('a')?.evaluation.reason).toBe('STALE');
  await fresh(agent);
  expect(plane.syncs.length - length).toBeLessThanOrEqual(2);
  expect(plane.nonces).toHaveLength(1);
  error = 0;
  await until('it has seen a proof since', () => Math.abs(agent.status().clockOffsetSeconds ?? 1e9) < 60);
  expect(agent.status().staleFlags).toBe(0);
  expect(plane.nonces).toHaveLength(1);
});
