import { beforeEach, describe, expect, test } from '@jest/globals';
import { DEFAULT_LIMITS } from '../../subscriptions/subscription-limits.ts';
import { ClientConnection, type ConnectionHost } from './client-connection.ts';
import { seeToDeadlines, tickOf } from './connection-deadlines.ts';
import type { ServerSocket } from './framing/server-socket.ts';

const limits = {
  ...DEFAULT_LIMITS,
  connectionInitTimeout: 300,
  pingInterval: 1_000,
  pongDeadline: 400,
  closeTimeout: 200,
};

let nowMs: number;
/** What was done to the socket. */
let done: string[];
let isOpen: boolean;
let waitingBytes: number;
let counters: { deadClosed: number; slowClosed: number };
let connection: ClientConnection;

beforeEach(() => {
  [nowMs, done, isOpen, waitingBytes] = [0, [], true, 0];
  counters = { deadClosed: 0, slowClosed: 0 };
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
    onceDrained: () => undefined,
  };
  const host = {
    limits,
    counters,
    nowMs: () => nowMs,
    lookAgain: () => undefined,
    identified: () => undefined,
    authenticate: async () => ({ caller: { kind: 'anonymous' as const }, expiresAt: new Date(Date.now() + 3_600_000) }),
  };
  connection = new ClientConnection(
    socket as unknown as ServerSocket,
    { ipAddress: null, userAgent: null },
    {},
    0,
    host as unknown as ConnectionHost,
  );
});

/** Lets time pass, and looks; gives when to look again. */
function after(ms: number): number {
  nowMs += ms;
  return seeToDeadlines(connection, limits, counters, nowMs);
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

test('a tick is an eighth of the shortest limit, but never too short or too long', () => {
  expect(tickOf(DEFAULT_LIMITS)).toBe(375);
  expect(tickOf({ ...DEFAULT_LIMITS, closeTimeout: 10 })).toBe(10);
  const long = 1_000_000;
  expect(
    tickOf({
      ...DEFAULT_LIMITS,
      closeTimeout: long,
      pingInterval: long,
      pongDeadline: long,
      connectionInitTimeout: long,
    }),
  ).toBe(1_000);
});
