import { createServer, type Server, type Socket } from 'node:net';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { WebSocketServer, type WebSocket } from 'ws';
import { Backoff } from '../../core/async/backoff.ts';
import { GatewayLink, RequestRefused, retryAfterMs, type LinkTimings } from './gateway-link.ts';
import { OPERATIONS } from './operations.ts';
import { Route } from './route.ts';
import { boundAddress } from '../../core/wire/network/http-server.ts';

const PATIENT: LinkTimings = {
  openMs: 10_000,
  acknowledgeMs: 10_000,
  pingMs: 10_000,
  pongMs: 10_000,
  requestMs: 10_000,
};

const DIRECT = new Route({ ca: null, proxy: null });

let server: WebSocketServer;
let url: string;
let onMessage: (socket: WebSocket, message: { type: string; id?: string }) => void;

beforeEach(async () => {
  server = new WebSocketServer({ port: 0, host: '127.0.0.1', handleProtocols: () => 'graphql-transport-ws' });
  await new Promise((resolve) => server.once('listening', resolve));
  url = `ws://127.0.0.1:${boundAddress(server).port}/graphql`;
  onMessage = (socket, { type }) => {
    if (type === 'connection_init') socket.send('{"type":"connection_ack"}');
    if (type === 'ping') socket.send('{"type":"pong"}');
  };
  server.on('connection', (socket) =>
    socket.on('message', (data: Buffer) => onMessage(socket, JSON.parse(data.toString()) as { type: string })),
  );
});

afterEach(async () => {
  for (const socket of server.clients) socket.terminate();
  await new Promise((resolve) => server.close(resolve));
});

describe('a link to a gateway', () => {
  test('that accepts and never acknowledges ends', async () => {
    onMessage = () => undefined;
    const link = new GatewayLink(url, 'token', { ...PATIENT, acknowledgeMs: 20 }, DIRECT);
    await expect(link.acknowledged).rejects.toThrow('4504');
    expect(await link.ended).toMatchObject({ code: 4504 });
  });

  test('that accepts the connection and never answers the upgrade ends', async () => {
    const sockets: Socket[] = [];
    const silent: Server = createServer((socket) => sockets.push(socket));
    await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
    const link = new GatewayLink(
      `ws://127.0.0.1:${boundAddress(silent).port}/`,
      'token',
      { ...PATIENT, openMs: 20 },
      DIRECT,
    );
    expect((await link.ended).reason).toMatch(/handshake/);
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => silent.close(resolve));
  });

  test.each<[string, string, number | undefined]>([
    ['503 Service Unavailable', 'Retry-After: 7', 7],
    ['503 Service Unavailable', 'Retry-After: 0', 1],
    ['503 Service Unavailable', 'Retry-After: 999999', 60],
    ['503 Service Unavailable', 'Retry-After: Fri, 31 Dec 1999 23:59:59 GMT', undefined],
    ['503 Service Unavailable', 'X-Other: 1', undefined],
    ['429 Too Many Requests', 'Retry-After: 7', undefined],
  ])('that answers the handshake with %s, %s, ends and says when to come back', async (status, field, retryAfter) => {
    const busy: Server = createServer((socket) =>
      socket
        .on('error', () => undefined)
        .once('data', () => socket.end(`HTTP/1.1 ${status}\r\n${field}\r\nContent-Length: 4\r\n\r\nbusy`)),
    );
    await new Promise<void>((resolve) => busy.listen(0, '127.0.0.1', resolve));
    const link = new GatewayLink(`ws://127.0.0.1:${boundAddress(busy).port}/`, 'token', PATIENT, DIRECT);
    await expect(link.acknowledged).rejects.toThrow(`Unexpected server response: ${status.slice(0, 3)}`);
    expect(await link.ended).toEqual({
      code: 1006,
      reason: `Unexpected server response: ${status.slice(0, 3)}`,
      retryAfter,
    });
    await new Promise((resolve) => busy.close(resolve));
  });

  test('that no longer answers pings is dropped, and one that does is kept', async () => {
    let pings = 0;
    const answer = onMessage;
    onMessage = (socket, message) => {
      if (message.type !== 'ping' || ++pings < 4) answer(socket, message);
    };
    const link = new GatewayLink(url, 'token', { ...PATIENT, pingMs: 5, pongMs: 200 }, DIRECT);
    expect(await link.ended).toEqual({ code: 1006, reason: 'no pong' });
    expect(pings).toBe(4);
  });

  test('that closes regularly is not reconnected by the library', async () => {
    let connections = 0;
    server.on('connection', () => connections++);
    const link = new GatewayLink(url, 'token', PATIENT, DIRECT);
    await link.acknowledged;
    for (const socket of server.clients) socket.close(1000, 'bye');
    expect(await link.ended).toEqual({ code: 1000, reason: 'bye' });
    const second = new GatewayLink(url, 'token', PATIENT, DIRECT);
    await second.acknowledged;
    expect(connections).toBe(2);
    second.close();
    await second.ended;
  });

  test('that sends nonsense is dropped', async () => {
    onMessage = (socket) => socket.send('{"type":');
    const link = new GatewayLink(url, 'token', PATIENT, DIRECT);
    await expect(link.acknowledged).rejects.toThrow();
    expect((await link.ended).reason).toMatch(/JSON/);
  });

  test('that cannot be reached ends with the reason', async () => {
    const link = new GatewayLink('ws://127.0.0.1:1/graphql', 'token', PATIENT, DIRECT);
    expect((await link.ended).reason).toMatch(/ECONNREFUSED/);
  });

  test('whose query is never answered ends, and the query rejects', async () => {
    const link = new GatewayLink(url, 'token', { ...PATIENT, requestMs: 20 }, DIRECT);
    await link.acknowledged;
    await expect(link.request('query Sync { a }', {})).rejects.toThrow('not answered in time');
    expect((await link.ended).reason).toBe('a query was not answered in time');
  });

  test('whose answer trickles in without end ends all the same', async () => {
    let trickle: NodeJS.Timeout | undefined;
    const answer = onMessage;
    onMessage = (socket, message) => {
      if (message.type !== 'subscribe') return answer(socket, message);
      const raw = (socket as unknown as { _socket: Socket })._socket;
      // The head of a frame of a megabyte.
      raw.write(Buffer.from([0x81, 127, 0, 0, 0, 0, 0, 0x10, 0, 0]));
      trickle = setInterval(() => raw.write('x'), 1);
    };
    const link = new GatewayLink(url, 'token', { ...PATIENT, requestMs: 50 }, DIRECT);
    await link.acknowledged;
    const from = performance.now();
    await expect(link.request('query Sync { a }', {})).rejects.toThrow('not answered in time');
    clearInterval(trickle);
    // The trickle may be an answer, so the request does not fail at once.
    expect(performance.now() - from).toBeGreaterThan(200);
    expect((await link.ended).reason).toBe('a query was not answered in time');
  });

  test('that sends other things than the answer ends', async () => {
    let pongs: NodeJS.Timeout | undefined;
    const answer = onMessage;
    onMessage = (socket, message) => {
      if (message.type !== 'subscribe') return answer(socket, message);
      pongs = setInterval(() => socket.send('{"type":"pong"}'), 1);
    };
    const link = new GatewayLink(url, 'token', { ...PATIENT, requestMs: 100 }, DIRECT);
    await link.acknowledged;
    // Did other messages count as the answer's beginning, this would end with the test's own time.
    await expect(link.request('query Sync { a }', {})).rejects.toThrow('not answered in time');
    clearInterval(pongs);
  });

  test('that has ended takes no more queries, and opens no connection for them', async () => {
    let connections = 0;
    server.on('connection', () => connections++);
    const link = new GatewayLink(url, 'token', PATIENT, DIRECT);
    await link.acknowledged;
    link.terminate('enough');
    expect(await link.ended).toMatchObject({ reason: 'enough' });
    await expect(link.request('query Sync { a }', {})).rejects.toThrow('ended');
    link.subscribe(OPERATIONS.changes, {}, () => undefined);
    const another = new GatewayLink(url, 'token', PATIENT, DIRECT);
    await another.acknowledged;
    expect(connections).toBe(2);
    another.close();
    await another.ended;
  });

  test.each(['error', 'complete'])('whose stream ends with %s ends with it', async (type) => {
    const answer = onMessage;
    onMessage = (socket, message) => {
      if (message.type === 'subscribe')
        socket.send(
          JSON.stringify(
            type === 'error' ? { id: message.id, type, payload: [{ message: 'Forbidden' }] } : { id: message.id, type },
          ),
        );
      else answer(socket, message);
    };
    const link = new GatewayLink(url, 'token', PATIENT, DIRECT);
    await link.acknowledged;
    link.subscribe(OPERATIONS.changes, {}, () => undefined);
    expect((await link.ended).reason).toMatch(type === 'error' ? /Forbidden/ : /ended by the gateway/);
  });
});

test('the wait that a refusal names is limited to a second up to an hour, plus up to as much at random; anything but a number is none', () => {
  const refused = (retryAfter: unknown) => new RequestRefused([{ message: 'Busy.', extensions: { retryAfter } }]);
  fc.assert(
    fc.property(
      fc.oneof(fc.double({ min: 0, noNaN: true }), fc.nat()),
      fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
      (retryAfter, drawn) => {
        const wait = retryAfterMs(refused(retryAfter), () => drawn)!;
        expect(wait).toBeGreaterThanOrEqual(1_000);
        expect(wait).toBeLessThanOrEqual(7_200_000);
        if (retryAfter >= 1 && retryAfter <= 3_600) expect(wait).toBe(retryAfter * 1_000 * (1 + drawn));
      },
    ),
  );
  for (const none of [-1, Number.NaN, '60', null, undefined, {}])
    expect(retryAfterMs(refused(none), () => 0)).toBeUndefined();
});

test('waits grow to the cap, jitter covers all of them from nothing, and slow waits stay in the upper half', () => {
  const longest = new Backoff({ baseMs: 1000, capMs: 30_000, random: () => 1 });
  expect([1, 2, 3, 4, 5, 6, 7].map(() => longest.next())).toEqual([1000, 2000, 4000, 8000, 16_000, 30_000, 30_000]);
  expect(longest.nextSlow()).toBe(30_000);
  longest.reset();
  expect(longest.next()).toBe(1000);
  const shortest = new Backoff({ baseMs: 1000, capMs: 30_000, random: () => 0 });
  expect([shortest.next(), shortest.next()]).toEqual([0, 0]);
  expect(shortest.nextSlow()).toBe(15_000);
});

test('jitter is full: after any number of failures, waits are spread evenly from nothing to the bound', () => {
  fc.assert(
    fc.property(
      fc.nat(40),
      fc.integer({ min: 1, max: 5_000 }),
      fc.integer({ min: 5_000, max: 100_000 }),
      fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
      (failures, baseMs, capMs, drawn) => {
        const backoff = new Backoff({ baseMs, capMs, random: () => drawn });
        for (let failure = 0; failure < failures; failure++) backoff.next();
        expect(backoff.next()).toBeCloseTo(drawn * Math.min(capMs, baseMs * 2 ** failures), 6);
      },
    ),
  );
});
