import { describe, expect, test } from '@jest/globals';
import type { Redis } from 'ioredis';
import { createInProcessRateLimiter, createRedisRateLimiter } from './rate-limiter.ts';
import { rateLimiterContract } from '../testing/rate-limiter-contract.ts';

describe('the rate limiter in one process', () => {
  rateLimiterContract(async () => {
    const limiter = createInProcessRateLimiter();
    return { here: limiter, there: limiter, close: async () => undefined };
  });
});

describe('the rate limiter over Redis', () => {
  test('counts the uses of a turn of the event loop by one command, each by itself, before what comes after them', async () => {
    const commands: unknown[][] = [];
    let count = 0;
    const client = {
      status: 'ready',
      defineCommand: () => undefined,
      async rlflxIncr([key, points]: unknown[]) {
        commands.push([key, Number(points)]);
        count += Number(points);
        return [count, 60_000];
      },
      async del(key: string) {
        commands.push([key, 'deleted']);
        count = 0;
        return 1;
      },
    };
    const limiter = createRedisRateLimiter(client as unknown as Redis, 'rates');
    const uses = ['a', 'a', 'a'].map((key) => limiter.consume(key, 2, 60));
    expect((await Promise.all(uses)).map(({ allowed, remaining }) => [allowed, remaining])).toEqual([
      [true, 1],
      [true, 0],
      [false, 0],
    ]);
    const last = limiter.consume('a', 9, 60);
    await limiter.reset('a', 60);
    expect((await last).remaining).toBe(5);
    expect(commands).toEqual([
      ['rates:60:a', 3],
      ['rates:60:a', 1],
      ['rates:60:a', 'deleted'],
    ]);
  });
});
