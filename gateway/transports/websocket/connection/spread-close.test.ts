import { describe, expect, test } from '@jest/globals';
import type { ClientConnection } from './client-connection.ts';
import { spreadClose } from './spread-close.ts';

function recorders(count: number) {
  const closes: { index: number; code: number; at: number }[] = [];
  const connections = Array.from(
    { length: count },
    (_, index) =>
      ({ close: (code: number) => closes.push({ index, code, at: performance.now() }) }) as unknown as ClientConnection,
  );
  return { closes, connections };
}

describe('closing many sockets', () => {
  test('reaches each once, spread over the time, in no fixed order', async () => {
    const { closes, connections } = recorders(200);
    await spreadClose(connections, 1012, 'Service restart', 200);
    expect(closes.map(({ code }) => code)).toEqual(Array(200).fill(1012));
    expect(new Set(closes.map(({ index }) => index)).size).toBe(200);
    expect(closes.map(({ index }) => index)).not.toEqual(Array.from({ length: 200 }, (_, index) => index));
    const times = closes.map(({ at }) => at);
    expect(Math.max(...times) - Math.min(...times)).toBeGreaterThan(100);
  });

  test('is over at once when there are few, or none', async () => {
    const { closes, connections } = recorders(3);
    // Spread over the minute it would end after the test's own time.
    await spreadClose(connections, 1013, 'x', 60_000);
    await spreadClose([], 1013, 'x', 60_000);
    expect(closes).toHaveLength(3);
  });

  test('closes the rest at once on request', async () => {
    const { closes, connections } = recorders(100_000);
    const hurry = new AbortController();
    const done = spreadClose(connections, 1012, 'x', 60_000, hurry.signal);
    expect(closes.length).toBeLessThan(1_000);
    hurry.abort();
    await done;
    expect(closes).toHaveLength(100_000);
  });
});
