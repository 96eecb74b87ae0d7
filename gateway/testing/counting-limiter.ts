import type { RateLimiter } from '../../core/access/rate-limiter.ts';

/**
 * A limiter whose windows do not end before `reset`: one that counts by the clock is subgraphs/shared's, and no
 * gateway's to know.
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
