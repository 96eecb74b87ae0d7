import { beforeEach, describe, expect, jest, test } from '@jest/globals';
import { DEFAULT_LIMITS, type SubscriptionLimits } from '../../../subscriptions/subscription-limits.ts';
import { ClientConnection } from './client-connection.ts';
import type { ConnectionHost } from './connection-host.ts';
import { enforceDeadlines, tickOf } from './connection-deadlines.ts';
import { DeadlineWheel } from './deadline-wheel.ts';
import type { ServerSocket } from '../framing/server-socket.ts';

const limits = {
  ...DEFAULT_LIMITS,
  connectionInitTimeoutMs: 300,
  pingIntervalMs: 1_000,
  pongDeadlineMs: 400,
  closeTimeoutMs: 200,
};

let nowMs: number;
/** The calls that the socket got, in order. */
let done: string[];
let isOpen: boolean;
let waitingBytes: number;
let counters: { deadClosed: number; slowClosed: number };
let connection: ClientConnection;
/** The callbacks that wait until the socket has nothing to write. */
let waitingForDrain: (() => void)[];

/** A connection whose socket records what is done to it. */
function connectionWith(limits: SubscriptionLimits): ClientConnection {
  const socket = {
    get isOpen() {
      return isOpen;
    },
    get waitingBytes() {
      return waitingBytes;
    },
    close(code: number) {
      done.push(`close ${code}`);
      isOpen = false;
      connection.closing();
    },
    terminate: () => void done.push('terminate'),
    sendPing: () => void done.push('ping'),
    write: () => void done.push('write'),
    onceDrained: (drained: () => void) => void waitingForDrain.push(drained),
  };
  const host = {
    limits,
    counters,
    nowMs: () => nowMs,
    checkAgain: () => undefined,
    identified: () => undefined,
    authenticate: async () => ({ caller: { kind: 'anonymous' as const }, expiresAt: new Date(Date.now() + 3_600_000) }),
  };
  return new ClientConnection(
    socket as unknown as ServerSocket,
    { ipAddress: null, userAgent: null },
    {},
    0,
    host as unknown as ConnectionHost,
  );
}

beforeEach(() => {
  [nowMs, done, isOpen, waitingBytes, waitingForDrain] = [0, [], true, 0, []];
  counters = { deadClosed: 0, slowClosed: 0 };
  connection = connectionWith(limits);
});

/** Lets time pass, and looks; gives when to look again. */
function after(ms: number): number {
  nowMs += ms;
  return enforceDeadlines(connection, limits, counters, nowMs);
}
const say = (message: object) => connection.message(Buffer.from(JSON.stringify(message)), true);

describe('a connection', () => {
  test('that does not say who it is is closed in time, and terminated when it does not close', () => {
    expect(after(0)).toBe(300);
    expect(after(299)).toBe(1);
    expect(after(1)).toBe(200);
    expect(done).toEqual(['close 4408']);
    expect(after(150)).toBe(50);
    after(50);
    expect(done).toEqual(['close 4408', 'terminate']);
  });

  test('that is silent is pinged, and terminated when it does not answer', () => {
    say({ type: 'connection_init' });
    expect(after(600)).toBe(400);
    expect(after(400)).toBe(400);
    connection.ponged();
    expect(after(400)).toBe(600);
    expect(after(600)).toBe(400);
    expect(after(399)).toBe(1);
    expect(done.filter((what) => what !== 'write')).toEqual(['ping', 'ping']);
    after(1);
    expect(done.at(-1)).toBe('terminate');
    expect(counters.deadClosed).toBe(1);
  });

  test('that speaks is not pinged, but has to answer the ping that is under way', () => {
    say({ type: 'connection_init' });
    for (let round = 0; round < 5; round++) {
      expect(after(900)).toBe(100);
      say({ type: 'pong' });
    }
    expect(done).not.toContain('ping');
    after(1_000);
    expect(done).toContain('ping');
    say({ type: 'pong' });
    after(400);
    expect(done.at(-1)).toBe('terminate');
  });

  test('is closed when its credentials have ended, however long it is since the last look', async () => {
    say({ type: 'connection_init' });
    await new Promise((resolve) => setImmediate(resolve));
    expect(connection.identity).not.toBeNull();
    after(100);
    expect(done).toEqual(['write']);
    connection.expiresAtMs = Date.now();
    after(1);
    expect(done.at(-1)).toBe('close 4403');
  });

  test('that reads nothing for as long as a pong may take is dropped, and one that has caught up is not', () => {
    say({ type: 'connection_init' });
    connection.fallBehind(() => undefined);
    expect(connection.isStuck(nowMs + 399)).toBe(false);
    after(400);
    expect(done.at(-1)).toBe('close 1013');
    expect(counters.slowClosed).toBe(1);
  });
});

test('a dead socket is noticed within 66 s, at a cost of three looks', () => {
  jest.useFakeTimers();
  try {
    connection = connectionWith(DEFAULT_LIMITS);
    say({ type: 'connection_init' });
    let looks = 0;
    const wheel = new DeadlineWheel<ClientConnection>(tickOf(DEFAULT_LIMITS), (entry) => {
      looks += 1;
      nowMs = wheel.nowMs;
      return enforceDeadlines(entry, DEFAULT_LIMITS, counters, nowMs);
    });
    wheel.schedule(connection, 0);
    while (counters.deadClosed === 0 && wheel.nowMs < 100_000) wheel.tick();
    wheel.stop();
    expect(done.filter((what) => what !== 'write')).toEqual(['ping', 'terminate']);
    expect(wheel.nowMs).toBeLessThanOrEqual(66_000);
    expect(looks).toBe(3);
  } finally {
    jest.useRealTimers();
  }
});

test('a ping is answered by a pong, in the words of agents and in others', () => {
  say({ type: 'ping' });
  say({ type: 'ping', payload: null });
  expect(done).toEqual(['write', 'write']);
});

test('one listener serves all operations of a connection that have fallen behind, time and again', () => {
  const resumed: number[] = [];
  for (let round = 0; round < 3; round++) {
    for (let n = 0; n < 12; n++) connection.fallBehind(() => void resumed.push(n));
    expect(waitingForDrain).toHaveLength(1);
    const [drained] = waitingForDrain.splice(0);
    drained?.();
    expect(resumed.splice(0)).toEqual(Array.from({ length: 12 }, (_, n) => n));
    expect(connection.isStuck(nowMs + 1_000_000)).toBe(false);
  }
});

test('a tick is an eighth of the shortest limit, but never too short or too long', () => {
  expect(tickOf(DEFAULT_LIMITS)).toBe(375);
  expect(tickOf({ ...DEFAULT_LIMITS, closeTimeoutMs: 10 })).toBe(10);
  const long = 1_000_000;
  expect(
    tickOf({
      ...DEFAULT_LIMITS,
      closeTimeoutMs: long,
      pingIntervalMs: long,
      pongDeadlineMs: long,
      connectionInitTimeoutMs: long,
    }),
  ).toBe(1_000);
});
