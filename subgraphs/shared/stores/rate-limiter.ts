/** The rate limiter, in this process's memory or in Redis for all processes. */
import type { Redis } from 'ioredis';
import { RateLimiterMemory, RateLimiterRedis, type RateLimiterAbstract } from 'rate-limiter-flexible';
import type { RateLimiter } from '../../../core/access/rate-limiter.ts';

/** The library has one limit for each limiter object; our limits differ by key, so it only counts and we compare. */
const COUNT_ONLY = Number.MAX_SAFE_INTEGER;

/** Builds a limiter with one library object for each length of window. */
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

/** Creates the limiter of a single-process control plane. */
export function createInProcessRateLimiter(): RateLimiter {
  return limiterOver((duration) => new RateLimiterMemory({ points: COUNT_ONLY, duration, keyPrefix: '' }));
}

/**
 * Creates the limiter that all processes on a Redis server share. While Redis does not answer, each process counts for
 * itself.
 */
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
