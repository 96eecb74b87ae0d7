import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, jest, test } from '@jest/globals';
import fc from 'fast-check';
import type { FleetFlagAgentOptions } from '../assembly/agent-options.ts';
import type { FleetFlagAgent } from '../assembly/fleet-flag-agent.ts';
import { TestControlPlane } from '../testing/control-plane.ts';
import { FaultyRelay } from '../testing/faulty-relay.ts';
import { TestVehicle } from '../testing/test-vehicle.ts';
import { eventually } from '../../core/testing/eventually.ts';
import { rounds } from '../../core/testing/rounds.ts';

let plane: TestControlPlane;
let relay: FaultyRelay;
let vehicle: TestVehicle;
const unhandled: unknown[] = [];
const note = (error: unknown) => void unhandled.push(error);

beforeAll(() => {
  process.on('unhandledRejection', note);
  // These tests close sockets before their answers, which the WebSocket library of the test control plane logs.
  jest.spyOn(console, 'error').mockImplementation(() => undefined);
});

afterAll(() => {
  process.off('unhandledRejection', note);
  jest.restoreAllMocks();
});

beforeEach(async () => {
  plane = await TestControlPlane.start();
  relay = await FaultyRelay.open(Number(new URL(plane.url).port));
  vehicle = await TestVehicle.create(plane);
  await plane.put('lane_keep', { defaultValue: true });
});

afterEach(async () => {
  await vehicle.dispose();
  await relay.close();
  await plane.stop();
  expect(unhandled).toEqual([]);
});

/** Starts an agent. Resolves when it is in sync through the relay. */
async function connected(timings: FleetFlagAgentOptions['timings'] = {}): Promise<FleetFlagAgent> {
  const agent = await vehicle.start({ url: relay.url, timings: timings ?? {} });
  await eventually(() => agent.inTouch && agent.status().revision === plane.revision, 'it is in sync');
  return agent;
}

/** Resolves when the agent has made `count` more attempts to connect. */
async function attempts(count: number): Promise<void> {
  const before = relay.connections;
  await eventually(() => relay.connections >= before + count, `it has tried ${count} times`);
}

const inSync = (agent: FleetFlagAgent) =>
  eventually(() => agent.inTouch && agent.status().revision === plane.revision, 'it is in sync again');

const RUNS = rounds(10, 30);

describe('a vehicle is in sync again after a connection', () => {
  test('that is cut at any byte, in the handshakes or later, time after time', async () => {
    const agent = await connected();
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.nat(3_000), { minLength: 1, maxLength: 3 }),
        fc.constantFrom('reset' as const, 'end' as const),
        async (budgets, how) => {
          const left = [...budgets];
          relay.budget = () => left.shift() ?? Infinity;
          relay.cut(how);
          await plane.put('lane_keep', { defaultValue: plane.revision % 2 === 0 });
          await inSync(agent);
          expect(agent.evaluate('lane_keep')?.definition).toEqual(plane.definitions().get('lane_keep'));
        },
      ),
      { numRuns: RUNS },
    );
    // Enough connections were cut: without that, the test would show nothing.
    expect(relay.spent).toBeGreaterThan(RUNS / 2);
    expect(agent.status().refusals).toEqual({});
  });

  test('that is half-open: no data arrives, and no error either', async () => {
    const agent = await connected({ pingMs: 20, pongMs: 200 });
    relay.passage = 'swallow';
    await plane.put('brakes');
    await eventually(() => !agent.inTouch, 'it notices');
    await attempts(1);
    expect(agent.booleanValue('lane_keep', false)).toBe(true);
    relay.passage = 'pass';
    relay.cut();
    await inSync(agent);
  });

  test('on which new connections are half-open from their first byte', async () => {
    const agent = await connected({ openMs: 200 });
    relay.passage = 'swallow';
    relay.cut();
    await plane.put('brakes');
    await attempts(3);
    relay.passage = 'pass';
    await inSync(agent);
  });

  test('that is so slow that an answer takes many times as long as a query may wait for its first byte', async () => {
    for (let flag = 0; flag < 20; flag++)
      await plane.put(`flag_${flag}`, { type: 'string', defaultValue: 'x'.repeat(1_000) });
    relay.trickle = { bytes: 64, everyMs: 2 };
    const timings = { requestMs: 250, pingMs: 50, pongMs: 250 };
    const from = performance.now();
    const agent = await connected(timings);
    expect(performance.now() - from).toBeGreaterThan(timings.requestMs * 3);
    expect(agent.flagKeys()).toHaveLength(21);
    await plane.put('brakes');
    await inSync(agent);
  });

  test('that comes and goes all the time', async () => {
    const agent = await connected();
    for (let flap = 0; flap < 25; flap++) {
      relay.answering = flap % 3 > 0;
      relay.cut(flap % 2 === 0 ? 'reset' : 'end');
      await plane.put(`flag_${flap % 5}`, { defaultValue: flap % 2 === 0 });
      await attempts(1);
    }
    relay.answering = true;
    relay.cut();
    await inSync(agent);
    expect(new Map(agent.flagKeys().map((key) => [key, agent.evaluate(key)!.definition]))).toEqual(plane.definitions());
  });

  test('to something that accepts connections and never answers', async () => {
    const agent = await connected({ openMs: 50 });
    relay.answering = false;
    relay.cut();
    await plane.put('brakes');
    await attempts(4);
    expect(agent.status()).toMatchObject({ ready: true, connected: false, revision: 1 });
    relay.answering = true;
    await inSync(agent);
  });

  test('to a control plane that was stopped and started again', async () => {
    const agent = await connected();
    await plane.stop();
    await attempts(3);
    await plane.put('brakes');
    await plane.listen();
    await inSync(agent);
  });
});

test('a stopped agent stops at once, however its connection hangs', async () => {
  const agent = await connected({ openMs: 600_000 });
  relay.answering = false;
  relay.cut();
  await attempts(1);
  await agent.close();
  const before = relay.connections;
  relay.cut();
  await new Promise((resolve) => setImmediate(resolve));
  expect(relay.connections).toBe(before);
});
