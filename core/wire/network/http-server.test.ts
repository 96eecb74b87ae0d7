import { describe, expect, it, test } from '@jest/globals';
import { LISTEN_BACKLOG, boundAddress, closeInOrder } from './http-server.ts';

/** The default of Node.js, which a fleet that reconnects at once would exceed. */
const OF_NODE = 511;

test('more connections may wait than Node would let', () => {
  expect(LISTEN_BACKLOG).toBeGreaterThan(OF_NODE * 8);
});

describe('boundAddress', () => {
  it('is where a server listens', () => {
    const address = { address: '127.0.0.1', family: 'IPv4', port: 4000 };
    expect(boundAddress({ address: () => address })).toBe(address);
  });

  it.each([[null], ['/run/fleetflag.sock']])('refuses %j, which has no port', (address) => {
    expect(() => boundAddress({ address: () => address })).toThrow('does not listen on a port');
  });
});

describe('closeInOrder', () => {
  it('cuts nothing that ends in time', async () => {
    let cuts = 0;
    await closeInOrder({ server: { closeAllConnections: () => void (cuts += 1) }, close: () => Promise.resolve() });
    expect(cuts).toBe(0);
  });

  it('cuts what does not end', async () => {
    await new Promise<void>((cut) => {
      void closeInOrder({ server: { closeAllConnections: cut }, close: () => new Promise(() => undefined) }, 1);
    });
  });
});
