import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { once } from 'node:events';
import type { ServerResponse } from 'node:http';
import { connect, type Socket } from 'node:net';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { eventually } from '../../core/testing/eventually.ts';
import { sourceOf, testFlag } from '../testing/held-flags.ts';
import { EVENT_STREAM_LIMITS } from './event-streams.ts';
import { MAX_UNREAD_BYTES } from './local-connections.ts';
import { LocalServer } from './local-server.ts';

/** The number of connections that the server has at once: 100 for requests and one for an event stream. */
const CONNECTIONS = 101;
/** The bytes of the large flag: more than the kernel takes for a client that does not read. */
const LARGE = 12_000_000;
const ALL = 'POST /ofrep/v1/evaluate/flags HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n{}';
const STATUS = 'GET /v1/status HTTP/1.1\r\nHost: localhost\r\n\r\n';

let server: LocalServer;
let base: string;
let sockets: Socket[];
let answers: ServerResponse[];

const note = (message: unknown) => answers.push((message as { readonly response: ServerResponse }).response);

beforeEach(async () => {
  [sockets, answers] = [[], []];
  server = new LocalServer({
    host: '127.0.0.1',
    port: 0,
    eventStreams: { ...EVENT_STREAM_LIMITS, maxStreams: 1, heartbeatMs: 20 },
    agent: {
      ...sourceOf([testFlag('small'), testFlag('large', { type: 'string', defaultValue: 'x'.repeat(LARGE) })]),
      track: () => undefined,
      reportFault: () => undefined,
      faultsWritten: async () => undefined,
      setVehicleState: async () => undefined,
      status: () => ({ ready: true, staleFlags: 0 }) as never,
      onChange: () => () => undefined,
      onContact: () => () => undefined,
    },
  });
  base = await server.listen();
  subscribe('http.server.request.start', note);
});

afterEach(async () => {
  unsubscribe('http.server.request.start', note);
  for (const socket of sockets) socket.destroy();
  await server.close();
});

/** Opens a connection and sends a text on it. */
async function open(text: string): Promise<Socket> {
  const socket = connect(Number(new URL(base).port), '127.0.0.1').on('error', () => undefined);
  sockets.push(socket);
  await once(socket, 'connect');
  socket.write(text);
  return socket;
}

async function evaluate(key: string): Promise<number> {
  const response = await fetch(`${base}/ofrep/v1/evaluate/flags/${key}`, {
    method: 'POST',
    body: '{}',
    // Each evaluation has a connection of its own.
    headers: { connection: 'close' },
  });
  await response.arrayBuffer();
  return response.status;
}

describe('clients that keep the agent waiting', () => {
  test.each([
    ['send nothing', ''],
    ['never end their headers', 'GET /v1/status HTTP/1.1\r\nHost: localhost\r\nX-Slow: '],
    ['never end their body', 'POST /v1/fault HTTP/1.1\r\nHost: localhost\r\nContent-Length: 60000\r\n\r\n{"flagKey"'],
    ['are idle after an answer', STATUS],
  ])('and %s, however many, make room for those that ask, and never those that the agent answers', async (_, text) => {
    const stream = await open('GET /v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n');
    let read = '';
    stream.on('data', (data: Buffer) => (read += data.toString()));
    let closed = 0;
    for (let n = 0; n < 3 * CONNECTIONS; n++) {
      (await open(text)).resume().on('close', () => (closed += 1));
      if (n % CONNECTIONS === 0) expect(await evaluate('small')).toBe(200);
    }
    expect(await evaluate('small')).toBe(200);
    await eventually(() => closed > CONNECTIONS, 'the first have made room');
    const before = read.length;
    await eventually(() => read.length > before, 'the event stream goes on');
  });
});

describe('a client that does not wait for answers', () => {
  test('has few of its requests begun, and loses its connection', async () => {
    const socket = await open('');
    const closed = new Promise<void>((resolve) => void socket.on('close', () => resolve()));
    socket.resume().write(STATUS.repeat(10_000));
    await closed;
    expect(answers.length).toBeGreaterThan(0);
    expect(answers.length).toBeLessThan(200);
    expect(await evaluate('small')).toBe(200);
  });

  test('has a few requests answered in their order', async () => {
    const socket = await open('');
    let read = '';
    socket.on('data', (data: Buffer) => (read += data.toString()));
    socket.write(`${STATUS}GET /nowhere HTTP/1.1\r\nHost: localhost\r\n\r\n${STATUS}`);
    await eventually(() => read.split('HTTP/1.1').length === 4, 'all three are answered');
    expect(Array.from(read.matchAll(/HTTP\/1\.1 (\d+)/g), ([, status]) => status)).toEqual(['200', '404', '200']);
  });
});

test('clients that do not read large answers hold one at a time, are cut off, and hold up no small one', async () => {
  for (let n = 0; n < 3; n++) (await open(ALL)).pause();
  let held = 0;
  const watch = setInterval(() => {
    const open = answers.filter(({ req }) => !req.socket.destroyed);
    held = Math.max(
      held,
      open.reduce((sum, { writableLength }) => sum + writableLength, 0),
    );
  }, 1);
  try {
    await eventually(() => held > MAX_UNREAD_BYTES, 'one is held');
    expect(await evaluate('small')).toBe(200);
    // It waits for those that do not read.
    expect(await evaluate('large')).toBe(200);
    expect(held).toBeLessThan(MAX_UNREAD_BYTES + 1.5 * LARGE);
  } finally {
    clearInterval(watch);
  }
});
