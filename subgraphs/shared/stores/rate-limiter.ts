/** The rate limiter, in this process's memory or in Redis for all processes. */
import type { Redis } from 'ioredis';
import { RateLimiterMemory, RateLimiterRedis, type RateLimiterAbstract } from 'rate-limiter-flexible';
import type { RateLimiter } from '../../../core/access/rate-limiter.ts';
import { unattended } from '../../../core/last-handler/unattended.ts';

/** The library has one limit for each limiter object; our limits differ by key, so it only counts and we compare. */
const COUNT_ONLY = Number.MAX_SAFE_INTEGER;

/** The part of the library's objects that a limiter needs. */
type Counter = Pick<RateLimiterAbstract, 'consume' | 'reward' | 'delete'>;
type Counted = Pick<Awaited<ReturnType<Counter['consume']>>, 'consumedPoints' | 'msBeforeNext'>;

/** A use that waits to be counted. */
interface Use {
  readonly resolve: (counted: Counted) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * Counts the uses of a key that come within one turn of the event loop with one command to Redis; each use gets its own
 * count, as if they had come one after another.
 */
class CoalescedCounter {
  readonly #due = new Map<string, Use[]>();

  constructor(private readonly counter: Counter) {}

  consume(key: string): Promise<Counted> {
    return new Promise((resolve, reject) => {
      const uses = this.#due.get(key);
      if (uses !== undefined) return void uses.push({ resolve, reject });
      this.#due.set(key, [{ resolve, reject }]);
      setImmediate(() => this.#count(key));
    });
  }

  reward(key: string): Promise<unknown> {
    this.#count(key);
    return this.counter.reward(key);
  }

  delete(key: string): Promise<unknown> {
    this.#count(key);
    return this.counter.delete(key);
  }

  #count(key: string): void {
    const uses = this.#due.get(key);
    if (uses === undefined) return;
    this.#due.delete(key);
    const counted = this.counter.consume(key, uses.length).then(
      ({ consumedPoints, msBeforeNext }) => {
        const before = consumedPoints - uses.length;
        for (const [index, { resolve }] of uses.entries())
          resolve({ consumedPoints: before + index + 1, msBeforeNext });
      },
      (error: unknown) => {
        for (const { reject } of uses) reject(error);
      },
    );
    unattended(counted, 'Counting uses of a key');
  }
}

/** Builds a limiter with one library object for each length of window. */
function limiterOver(create: (windowSeconds: number) => Counter | CoalescedCounter): RateLimiter {
  const counters = new Map<number, Counter | CoalescedCounter>();
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
      new CoalescedCounter(
        new RateLimiterRedis({
          storeClient,
          points: COUNT_ONLY,
          duration,
          keyPrefix: `${keyPrefix}:${duration}`,
          rejectIfRedisNotReady: true,
          insuranceLimiter: new RateLimiterMemory({ points: COUNT_ONLY, duration }),
        }),
      ),
  );
}
