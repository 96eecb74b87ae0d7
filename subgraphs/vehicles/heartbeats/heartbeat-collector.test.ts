import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { HeartbeatCollector } from './heartbeat-collector.ts';
import type { ReportLimits } from './report-collector.ts';
import type { AgentHeartbeatInput } from '../generated/resolvers.ts';
import { readHeartbeat, type Heartbeat } from './heartbeat.ts';

const vin = (n: number) => `KMH${String(n).padStart(14, '0')}`;
const beat = (n: number, input: AgentHeartbeatInput = {}) => readHeartbeat(vin(n), 'production', input);
const LIMITS: ReportLimits = { windowMs: 250, batch: 1_000, timeoutMs: 10_000, held: 5_000 };

/** The heartbeats that were written, statement by statement. */
let written: (readonly Heartbeat[])[];
/** Decides the outcome of a statement. */
let outcome: (group: readonly Heartbeat[]) => Promise<ReadonlySet<string>>;
const all = async (group: readonly Heartbeat[]) => new Set(group.map((one) => one.vin));
const collecting = (limits: Partial<ReportLimits> = {}) =>
  new HeartbeatCollector(
    (group) => {
      written.push(group);
      return outcome(group);
    },
    { ...LIMITS, ...limits },
  );
const pass = (milliseconds: number) => jest.advanceTimersByTimeAsync(milliseconds);
const refusalOf = (answer: Promise<unknown>) =>
  answer.then(
    () => null,
    (error: { code: string; details: object }) => ({ code: error.code, ...error.details }),
  );

beforeEach(() => {
  jest.useFakeTimers();
  written = [];
  outcome = all;
});

afterEach(() => {
  jest.useRealTimers();
});

describe('heartbeats', () => {
  test('of a quarter of a second share one statement, and each is answered when it is written', async () => {
    const collector = collecting();
    let answered = 0;
    let done: () => void = () => undefined;
    outcome = (group) =>
      new Promise((resolve) => (done = () => resolve(new Set(group.slice(1).map((one) => one.vin)))));
    const answers = Array.from({ length: 500 }, (_, n) => collector.add(beat(n)).finally(() => (answered += 1)));
    await pass(249);
    expect(written).toEqual([]);
    await pass(1);
    expect(written.map((group) => group.length)).toEqual([500]);
    // Heartbeats that arrive meanwhile form the next statement.
    const later = [collector.add(beat(500)), collector.add(beat(501))];
    await pass(5_000);
    expect([written.length, answered]).toEqual([1, 0]);
    done();
    await pass(250);
    // The first one's vehicle is not registered.
    expect(await Promise.all(answers)).toEqual(Array.from({ length: 500 }, (_, n) => n > 0));
    expect(written.map((group) => group.length)).toEqual([500, 2]);
    done();
    await Promise.all(later);
  });

  test('of one vehicle that wait together are merged: the latest values, and earlier ones where the latest has none', async () => {
    const collector = collecting();
    const answers = [
      collector.add(
        beat(1, {
          appliedRevision: 9,
          agentMemoryMb: 50,
          swVersion: '2.5.0',
          clockOffsetSeconds: 3,
          refusals: ['incomplete'],
          evaluated: [{ key: 'eco', revision: 9 }],
        }),
      ),
      collector.add(beat(1, { appliedRevision: 0, agentVersion: '1.0.0', refusals: [] })),
      collector.add(readHeartbeat(vin(2), 'staging', { appliedRevision: 9 })),
      collector.add(beat(2, { agentMemoryMb: 1, evaluated: [{ key: 'eco', revision: 3 }] })),
    ];
    await pass(250);
    expect(await Promise.all(answers)).toEqual([true, true, true, true]);
    const nothing = {
      swVersion: null,
      agentVersion: null,
      agentCpuPercent: null,
      cacheSizeMb: null,
      appliedRevision: null,
      clockOffsetSeconds: null,
      refusals: null,
      pending: [],
      // As pending flags, evaluated ones are all in each heartbeat; an agent that leaves them out cannot say.
      evaluated: null,
      environment: 'production',
    };
    // A revision means nothing without its environment.
    expect(written).toEqual([
      [
        {
          ...nothing,
          vin: vin(1),
          appliedRevision: 0,
          agentMemoryMb: 50,
          swVersion: '2.5.0',
          agentVersion: '1.0.0',
          clockOffsetSeconds: 3,
          refusals: [],
        },
        { ...nothing, vin: vin(2), agentMemoryMb: 1, evaluated: ['eco:3'] },
      ],
    ]);
  });

  test('are written at once when a statement is full, and no statement exceeds that', async () => {
    const collector = collecting({ batch: 10 });
    const answers = Array.from({ length: 25 }, (_, n) => collector.add(beat(n)));
    await pass(0);
    expect(written.map((group) => group.length)).toEqual([10, 10]);
    await pass(250);
    expect(written.map((group) => group.length)).toEqual([10, 10, 5]);
    await Promise.all(answers);
  });

  test('show in the load how many wait, of how many, and since when', async () => {
    const collector = collecting({ held: 25 });
    const answers = [collector.add(beat(1)), collector.add(beat(2))];
    await pass(100);
    expect(collector.load()).toEqual({ held: 2, capacity: 25, oldestWaitMs: expect.closeTo(100, 0), failures: 0 });
    await pass(150);
    await Promise.all(answers);
    expect(collector.load()).toMatchObject({ held: 0, oldestWaitMs: null });
  });

  test('that could not be written are refused to their own callers, with a growing time to wait', async () => {
    const collector = collecting();
    outcome = () => Promise.reject(new Error('down'));
    const waits: unknown[] = [];
    for (let n = 0; n < 6; n++) {
      const answer = refusalOf(collector.add(beat(n)));
      await pass(250);
      waits.push(await answer);
    }
    expect(waits).toEqual([5, 10, 20, 40, 60, 60].map((retryAfter) => ({ code: 'SERVICE_UNAVAILABLE', retryAfter })));
    outcome = all;
    const answer = collector.add(beat(1));
    await pass(250);
    expect(await answer).toBe(true);
  });

  test('that a hanging database blocks are refused, their room is bounded, and it is free when the statements have ended', async () => {
    const collector = collecting({ batch: 10, held: 25 });
    const ends: (() => void)[] = [];
    outcome = (group) => new Promise((resolve) => ends.push(() => resolve(new Set(group.map((one) => one.vin)))));
    const answers = Array.from({ length: 25 }, (_, n) => refusalOf(collector.add(beat(n))));
    expect(await refusalOf(collector.add(beat(99)))).toEqual({ code: 'SERVICE_UNAVAILABLE', retryAfter: 5 });
    await pass(31_000);
    expect(await Promise.all(answers)).toEqual(
      Array.from({ length: 25 }, () => expect.objectContaining({ code: 'SERVICE_UNAVAILABLE' })),
    );
    expect(await refusalOf(collector.add(beat(99)))).toMatchObject({ code: 'SERVICE_UNAVAILABLE' });
    for (const end of ends) end();
    await pass(0);
    outcome = all;
    const answer = collector.add(beat(99));
    await pass(250);
    expect(await answer).toBe(true);
  });

  test('that were accepted are written before the instance stops, and no more are accepted', async () => {
    const collector = collecting();
    const answer = collector.add(beat(1));
    const closed = collector.close();
    expect(await refusalOf(collector.add(beat(2)))).toMatchObject({ code: 'SERVICE_UNAVAILABLE' });
    await closed;
    expect(await answer).toBe(true);
    expect(written).toHaveLength(1);
  });
});
