import type { RateLimiter } from '../../core/access/rate-limiter.ts';

/**
 * Creates a rate limiter for tests of the gateway. Its windows end only by `reset`. The one that counts by the clock is
 * in subgraphs/shared, which the gateway must not import.
 */
export function countingLimiter(): RateLimiter {
  const uses = new Map<string, number>();
  return {
    async consume(key, limit, windowSeconds) {
      const used = (uses.get(key) ?? 0) + 1;
      uses.set(key, used);
      return { allowed: used <= limit, remaining: Math.max(0, limit - used), resetSeconds: windowSeconds };
    },
    async giveBack(key) {
      uses.set(key, (uses.get(key) ?? 1) - 1);
    },
    async reset(key) {
      uses.delete(key);
    },
  };
}
