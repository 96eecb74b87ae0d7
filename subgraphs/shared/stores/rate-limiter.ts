/** The rate limiter: in this process' memory, or in Redis for all processes. */
import type { Redis } from 'ioredis';
import { RateLimiterMemory, RateLimiterRedis, type RateLimiterAbstract } from 'rate-limiter-flexible';
import type { RateLimiter } from '../../../core/access/rate-limiter.ts';

/**
 * The library compares with one limit for each of its objects; ours differ by key, so it only counts and we compare.
 */
const COUNT_ONLY = Number.MAX_SAFE_INTEGER;

/** One of the library's objects for each length of window. */
function limiterOver(create: (windowSeconds: number) => RateLimiterAbstract): RateLimiter {
  const counters = new Map<number, RateLimiterAbstract>();
  const counterOf = (windowSeconds: number) => {
    let counter = counters.get(windowSeconds);
    if (counter === undefined) counters.set(windowSeconds, (counter = create(windowSeconds)));
    return counter;
  };
  return {
    async consume(key, limit, windowSeconds) {
      const { consumedPoints, msBeforeNext } = await counterOf(windowSeconds).consume(key);
      return {
        allowed: consumedPoints <= limit,
        remaining: Math.max(0, limit - consumedPoints),
        resetSeconds: Math.max(1, Math.ceil(msBeforeNext / 1000)),
      };
    },
    async giveBack(key, windowSeconds) {
      await counterOf(windowSeconds).reward(key);
    },
    async reset(key, windowSeconds) {
      await counterOf(windowSeconds).delete(key);
    },
  };
}

/** The limiter of a control plane that is one process. */
export function createInProcessRateLimiter(): RateLimiter {
  return limiterOver((duration) => new RateLimiterMemory({ points: COUNT_ONLY, duration, keyPrefix: '' }));
}

/** The limiter that all processes on a Redis server share. While it does not answer, each process counts for itself. */
export function createRedisRateLimiter(storeClient: Redis, keyPrefix: string): RateLimiter {
  return limiterOver(
    (duration) =>
      new RateLimiterRedis({
        storeClient,
        points: COUNT_ONLY,
        duration,
        keyPrefix: `${keyPrefix}:${duration}`,
        rejectIfRedisNotReady: true,
        insuranceLimiter: new RateLimiterMemory({ points: COUNT_ONLY, duration }),
      }),
  );
}
