/** The contract of every rate limiter, run against each implementation. */
import { randomUUID } from 'node:crypto';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import type { RateLimiter } from '../../../core/access/rate-limiter.ts';
import { eventually } from '../../../core/testing/eventually.ts';

/**
 * Declares the tests of the contract.
 *
 * @param open opens a limiter for two parts of the system, and gives a function that closes both
 */
export function rateLimiterContract(
  open: () => Promise<{ here: RateLimiter; there: RateLimiter; close(): Promise<void> }>,
): void {
  let opened: Awaited<ReturnType<typeof open>>;
  let key: string;

  beforeEach(async () => {
    opened = await open();
    key = `test:${randomUUID()}`;
  });

  afterEach(async () => {
    await opened.here.reset(key, 60);
    await opened.close();
  });

  test('allows as many uses as the limit, counted together, and no more', async () => {
    const states = [];
    for (let use = 0; use < 4; use++)
      states.push(await (use % 2 === 0 ? opened.here : opened.there).consume(key, 3, 60));
    expect(states.map(({ allowed, remaining }) => [allowed, remaining])).toEqual([
      [true, 2],
      [true, 1],
      [true, 0],
      [false, 0],
    ]);
    for (const { resetSeconds } of states) expect(resetSeconds).toBeGreaterThan(0);
    for (const { resetSeconds } of states) expect(resetSeconds).toBeLessThanOrEqual(60);
  });

  test('of many uses at once allows as many as the limit', async () => {
    const states = await Promise.all(
      Array.from({ length: 40 }, (_, use) => (use % 2 === 0 ? opened.here : opened.there).consume(key, 10, 60)),
    );
    expect(states.filter(({ allowed }) => allowed)).toHaveLength(10);
  });

  test('counts each key by itself, and starts again after a reset', async () => {
    await opened.here.consume(key, 1, 60);
    expect((await opened.there.consume(`${key}:other`, 1, 60)).allowed).toBe(true);
    await opened.there.reset(`${key}:other`, 60);
    expect((await opened.there.consume(key, 1, 60)).allowed).toBe(false);
    await opened.there.reset(key, 60);
    expect((await opened.here.consume(key, 1, 60)).allowed).toBe(true);
  });

  test('does not count uses that are given back', async () => {
    for (let use = 0; use < 5; use++) {
      expect((await opened.here.consume(key, 2, 60)).remaining).toBe(1);
      await opened.there.giveBack(key, 60);
    }
    await opened.here.consume(key, 2, 60);
    expect(await opened.there.consume(key, 2, 60)).toMatchObject({ allowed: true, remaining: 0 });
    expect((await opened.here.consume(key, 2, 60)).allowed).toBe(false);
  });

  test('starts again when the window has ended', async () => {
    await opened.here.consume(key, 1, 1);
    await eventually(async () => (await opened.there.consume(key, 1, 1)).allowed);
  });
}
