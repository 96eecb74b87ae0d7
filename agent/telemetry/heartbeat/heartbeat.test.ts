import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { GraphQLError } from 'graphql';
import { nodeFileSystem } from '../../store/files/durable-file.ts';
import { RequestRefused } from '../../link/gateway-link.ts';
import { OPERATIONS } from '../../link/operations.ts';
import { TestControlPlane } from '../../testing/control-plane.ts';
import { TestVehicle } from '../../testing/test-vehicle.ts';
import { eventually } from '../../../core/testing/eventually.ts';
import { AGENT_VERSION } from '../../version.ts';
import { HeartbeatSender, cpuMeter, type HeartbeatFacts, type HeartbeatOptions } from './heartbeat-sender.ts';

describe('an agent', () => {
  const NEVER_MS = 600_000;
  let plane: TestControlPlane;
  let vehicle: TestVehicle;

  beforeEach(async () => {
    plane = await TestControlPlane.start();
    vehicle = await TestVehicle.create(plane);
    await plane.put('eco');
  });

  afterEach(async () => {
    await vehicle.dispose();
    await plane.stop();
  });

  test('reports itself and its persisted revision, and each further revision soon', async () => {
    const agent = await vehicle.start({
      vehicle: { swVersion: '2.6.1' },
      timings: { heartbeatMs: NEVER_MS, heartbeatSpreadMs: 30 },
    });
    await eventually(() => plane.heartbeats.at(-1)?.appliedRevision === 1, 'the revision is reported');
    const { memoryBytes, cacheBytes } = agent.status();
    const heartbeat = plane.heartbeats.at(-1)!;
    expect(heartbeat).toMatchObject({
      swVersion: '2.6.1',
      agentVersion: AGENT_VERSION,
      cacheSizeMb: Math.round((cacheBytes / 2 ** 20) * 100) / 100,
    });
    expect(heartbeat.agentMemoryMb).toBeGreaterThan(memoryBytes / 2 ** 20 / 4);
    expect(heartbeat.agentCpuPercent).toBeGreaterThanOrEqual(0);
    await plane.put('off');
    await eventually(() => plane.heartbeats.at(-1)?.appliedRevision === 2, 'the next revision is reported');
    const reported = plane.heartbeats.map(({ appliedRevision = 0 }) => appliedRevision);
    expect(reported).toEqual([...reported].sort());
  });

  test('reports no revision that it could not write', async () => {
    let full = false;
    const files = {
      ...nodeFileSystem,
      write: async (path: string, bytes: Uint8Array) => {
        if (full) throw new Error('no space left');
        await nodeFileSystem.write(path, bytes);
      },
    };
    const agent = await vehicle.start({ files, timings: { heartbeatMs: 20, heartbeatSpreadMs: 1 } });
    await eventually(() => plane.heartbeats.at(-1)?.appliedRevision === 1, 'the revision is reported');
    full = true;
    await plane.put('off');
    await eventually(() => agent.status().evaluatedRevision === 2, 'it evaluates the new revision');
    const from = plane.heartbeats.length;
    await eventually(() => plane.heartbeats.length > from + 2, 'there are further heartbeats');
    expect(plane.heartbeats.at(-1)?.appliedRevision).toBe(1);
    full = false;
    await eventually(() => plane.heartbeats.at(-1)?.appliedRevision === 2, 'it is written and reported');
  });

  test('goes on receiving changes while its heartbeats are refused', async () => {
    plane.onHeartbeat = () => {
      throw new GraphQLError('No.', { extensions: { code: 'SERVICE_UNAVAILABLE', retryAfter: 0 } });
    };
    const lines: string[] = [];
    const agent = await vehicle.start({
      log: (level, message) => void lines.push(`${level} ${message}`),
      timings: { heartbeatMs: 10, heartbeatSpreadMs: 1 },
    });
    await eventually(() => plane.heartbeats.length > 3, 'some were refused');
    await plane.put('off');
    await eventually(() => agent.status().revision === 2, 'the change is there');
    expect(plane.tokens).toHaveLength(1);
    expect(lines.filter((line) => line.includes('heartbeat'))).toEqual([
      'warn the control plane did not accept a heartbeat; sending another later: No.',
    ]);
  });
});

describe('heartbeats', () => {
  let sent: { at: number; revision: unknown }[];
  let revision: number;
  let answer: () => Promise<unknown>;
  let end: () => void;
  let running: Promise<void>;
  let sender: HeartbeatSender;
  const pass = (milliseconds: number) => jest.advanceTimersByTimeAsync(milliseconds);

  function start(options: Partial<HeartbeatOptions> = {}): void {
    const begun = performance.now();
    const ended = new Promise<{ code: number; reason: string }>(
      (resolve) => (end = () => resolve({ code: 1000, reason: '' })),
    );
    sender = new HeartbeatSender({
      link: {
        ended,
        request: (query, { input }) => {
          if (query === OPERATIONS.proof) return Promise.resolve({ flagProof: 'a proof' });
          sent.push({
            at: performance.now() - begun,
            revision: (input as { appliedRevision: number }).appliedRevision,
          });
          return answer();
        },
      },
      facts: () => ({ agentVersion: '1.0.0', appliedRevision: revision, cacheBytes: 0 }),
      environment: 'production',
      proofQuery: () => OPERATIONS.proof,
      proof: () => undefined,
      intervalMs: 60_000,
      spreadMs: 5_000,
      random: () => 0.5,
      log: () => undefined,
      ...options,
    });
    running = sender.run();
  }

  beforeEach(() => {
    jest.useFakeTimers();
    [sent, revision, answer] = [[], 1, () => Promise.resolve({ agentHeartbeat: true })];
  });

  afterEach(async () => {
    end();
    await running;
    jest.useRealTimers();
  });

  test('report the refusals since the last accepted heartbeat, and a missing change for as long as it is missing', async () => {
    const reported: (readonly string[] | undefined)[] = [];
    let stop: () => void = () => undefined;
    let facts: Pick<HeartbeatFacts, 'refusals' | 'complete'> = { refusals: { signature: 2 } };
    answer = () => Promise.reject(new Error('away'));
    start({
      facts: () => ({ agentVersion: '1.0.0', appliedRevision: revision, cacheBytes: 0, ...facts }),
      link: {
        ended: new Promise((resolve) => (stop = () => resolve({ code: 1000, reason: '' }))),
        request: (query, { input }) => {
          if (query === OPERATIONS.proof) return Promise.resolve({ flagProof: 'a proof' });
          reported.push((input as { refusals?: readonly string[] }).refusals);
          return answer();
        },
      },
    });
    end = stop;
    const minute = async (next: typeof facts) => {
      await pass(63_000);
      facts = next;
    };
    await pass(3_000);
    answer = () => Promise.resolve({ agentHeartbeat: true });
    await minute({ refusals: { signature: 2, incomplete: 1 }, complete: false });
    await minute({ refusals: { signature: 2, incomplete: 1 }, complete: false });
    await minute({ refusals: { signature: 3, incomplete: 1 }, complete: true });
    await minute({ refusals: { signature: 3, incomplete: 1 }, complete: true });
    await minute({});
    expect(reported).toEqual([['signature'], ['signature'], ['incomplete'], ['incomplete'], ['signature'], []]);
  });

  test('are sent about every minute, the first one soon', async () => {
    start();
    await pass(140_000);
    expect(sent.map(({ at }) => Math.round(at))).toEqual([2_500, 65_500, 128_500]);
  });

  test('report several revisions of a short time together, and none twice', async () => {
    start();
    await pass(20_000);
    for (const next of [2, 3, 4]) {
      revision = next;
      sender.statePersisted();
      await pass(500);
    }
    sender.statePersisted();
    await pass(20_000);
    sender.statePersisted();
    await pass(20_000);
    expect(sent.map(({ at, revision: reported }) => [Math.round(at), reported])).toEqual([
      [2_500, 1],
      [22_500, 4],
    ]);
  });

  test('report a revision soon that is persisted while the proof of the last heartbeat is on its way', async () => {
    let proofArrives: (answer: object) => void = () => undefined;
    let stop: () => void = () => undefined;
    const reported: unknown[] = [];
    start({
      link: {
        ended: new Promise((resolve) => (stop = () => resolve({ code: 1000, reason: '' }))),
        request: (query, { input }) => {
          if (query === OPERATIONS.proof) return new Promise((resolve) => (proofArrives = resolve));
          reported.push((input as { appliedRevision: number }).appliedRevision);
          return answer();
        },
      },
    });
    end = stop;
    await pass(3_000);
    revision = 2;
    sender.statePersisted();
    await pass(3_000);
    proofArrives({ flagProof: 'a proof' });
    await pass(8_000);
    expect(reported).toEqual([1, 2]);
    proofArrives({ flagProof: 'a proof' });
  });

  test('keep a distance, however fast revisions follow each other', async () => {
    start();
    for (let n = 0; n < 300; n++) {
      revision += 1;
      sender.statePersisted();
      await pass(100);
    }
    expect(sent.map(({ at }) => Math.round(at))).toEqual([2_500, 10_000, 17_500, 25_000]);
  });

  test('wait as long as a refusal asks, but at most about a minute', async () => {
    answer = () =>
      Promise.reject(
        new RequestRefused([{ message: 'No.', extensions: { code: 'SERVICE_UNAVAILABLE', retryAfter: 10 } }]),
      );
    start();
    await pass(10_000);
    revision = 2;
    sender.statePersisted();
    await pass(10_000);
    expect(sent.map(({ at }) => Math.round(at))).toEqual([2_500, 17_500]);
    answer = () => Promise.reject(new Error('the connection ended'));
    await pass(140_000);
    expect(sent.map(({ at }) => Math.round(at)).slice(2)).toEqual([32_500, 95_500, 158_500]);
  });

  test('request the present proof each time, even when they are refused', async () => {
    const proofs: string[] = [];
    answer = () => Promise.reject(new Error('no'));
    start({ proof: (jws) => proofs.push(jws) });
    await pass(140_000);
    expect([sent.length, proofs]).toEqual([3, ['a proof', 'a proof', 'a proof']]);
  });

  test('report the difference of the clocks, except to a control plane that does not know that member', async () => {
    const inputs: Record<string, unknown>[] = [];
    let knows = true;
    const ended = new Promise<{ code: number; reason: string }>(() => undefined);
    start({
      facts: () => ({ agentVersion: '1.0.0', appliedRevision: revision, cacheBytes: 0, clockOffsetSeconds: -172_800 }),
      link: {
        ended,
        request: async (query, { input }) => {
          if (query === OPERATIONS.proof) return { flagProof: 'a proof' };
          inputs.push(input as Record<string, unknown>);
          if (!knows && 'clockOffsetSeconds' in (input as object)) {
            throw new RequestRefused([
              {
                message: 'Field "clockOffsetSeconds" is not defined by type "AgentHeartbeatInput".',
                extensions: { code: 'BAD_USER_INPUT' },
              },
            ]);
          }
          return { agentHeartbeat: true };
        },
      },
    });
    await pass(10_000);
    expect(inputs).toEqual([expect.objectContaining({ clockOffsetSeconds: -172_800 })]);
    knows = false;
    await pass(140_000);
    expect(inputs.slice(1).map((input) => input['clockOffsetSeconds'])).toEqual([-172_800, undefined, undefined]);
    // The link of this sender never ends, so its run cannot be awaited.
    running = Promise.resolve();
  });

  test('end with their link', async () => {
    start();
    await pass(10_000);
    end();
    await running;
    await pass(200_000);
    expect(sent).toHaveLength(1);
    expect(jest.getTimerCount()).toBe(0);
  });
});

test('the load is that of this process since the last call', () => {
  const percent = cpuMeter();
  const end = performance.now() + 60;
  while (performance.now() < end);
  const busy = percent();
  expect(busy).toBeGreaterThan(5);
  expect(busy).toBeLessThan(1_000);
});
