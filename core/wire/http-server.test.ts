import { expect, test } from '@jest/globals';
import { LISTEN_BACKLOG } from './http-server.ts';

/** Node's own, which a fleet that comes back at once overflows. */
const OF_NODE = 511;

test('more connections may wait than Node would let', () => {
  expect(LISTEN_BACKLOG).toBeGreaterThan(OF_NODE * 8);
});
