import { createServer } from 'node:net';
import { expect, test } from '@jest/globals';
import { Backoff } from '../../core/async/backoff.ts';
import { eventually } from '../../core/testing/eventually.ts';
import { boundAddress } from '../../core/wire/network/http-server.ts';
import { GatewayConnection } from './gateway-connection.ts';
import { Route } from './route.ts';

test('a vehicle that a gateway refuses with Retry-After connects again after that time, whatever its own backoff says', async () => {
  const attempts: number[] = [];
  const busy = createServer((socket) => {
    socket.on('error', () => undefined);
    socket.once('data', () => {
      attempts.push(performance.now());
      socket.end('HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n');
    });
  });
  await new Promise<void>((resolve) => busy.listen(0, '127.0.0.1', resolve));
  const forever = { baseMs: 3_600_000, capMs: 3_600_000, random: () => 1 };
  const connection = new GatewayConnection({
    url: `ws://127.0.0.1:${boundAddress(busy).port}/`,
    route: new Route({ ca: null, proxy: null }),
    timings: { openMs: 10_000, acknowledgeMs: 10_000, pingMs: 10_000, pongMs: 10_000, requestMs: 10_000 },
    backoff: new Backoff(forever),
    random: () => 0.2,
    stableMs: 10_000,
    log: () => undefined,
    now: Date.now,
    credential: async () => ({
      token: 'token',
      identity: { vin: 'KMH1234567890ABCD', environment: 'production' },
      openFault: null,
    }),
    use: async () => undefined,
  });
  connection.start();
  await eventually(() => attempts.length === 2, 'it to connect again');
  expect(attempts[1]! - attempts[0]!).toBeGreaterThanOrEqual(1_150);
  expect(connection.fault).toBe('Unexpected server response: 503');
  await connection.close();
  await new Promise((resolve) => busy.close(resolve));
});
