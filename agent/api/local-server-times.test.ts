import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { expect, test } from '@jest/globals';
import { LocalServer } from './local-server.ts';

/** The number of connections that the server accepts at once beside event streams. */
const SOCKETS = 100;

test("a hundred sockets that send nothing, or never end their headers, block others no longer than the headers' timeout", async () => {
  const agent = {
    status: () => ({ connected: false }),
    onChange: () => () => undefined,
    onContact: () => () => undefined,
  } as unknown as ConstructorParameters<typeof LocalServer>[0]['agent'];
  const server = new LocalServer({
    host: '127.0.0.1',
    port: 0,
    agent,
    times: { headersMs: 200, requestMs: 400, checkMs: 20 },
    eventStreams: { maxStreams: 0, heartbeatMs: 1000, lifeMs: 60_000 },
  });
  const base = await server.listen();
  const sockets = Array.from({ length: SOCKETS }, (): Socket =>
    connect(Number(new URL(base).port), '127.0.0.1').on('error', () => undefined),
  );
  try {
    const closed = Promise.all(sockets.map((socket) => once(socket.resume(), 'close')));
    await Promise.all(sockets.map((socket) => once(socket, 'connect')));
    sockets.forEach(
      (socket, index) => index % 2 === 0 && socket.write('GET /v1/status HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: '),
    );
    // By default, Node.js checks for late requests every 30 s.
    await Promise.race([
      closed,
      once(AbortSignal.timeout(10_000), 'abort').then(() => Promise.reject(new Error('The sockets are still there'))),
    ]);
    expect((await fetch(`${base}/v1/status`)).status).toBe(200);
  } finally {
    sockets.forEach((socket) => socket.destroy());
    await server.close();
  }
});
