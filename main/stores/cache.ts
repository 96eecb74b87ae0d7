/** Opens the cache that the settings name: Redis, or its in-process replacement. */
import type { Logger } from 'pino';
import { withTimeout } from '../../core/async/timeout.ts';
import type { RateLimiter } from '../../core/access/rate-limiter.ts';
import type { StoreMetrics } from '../../subgraphs/shared/monitoring/store-metrics.ts';
import { createInProcessBus, type Bus } from '../../subgraphs/shared/feeds/bus.ts';
import { createInProcessStore, type KeyValueStore } from '../../subgraphs/shared/stores/key-value-store.ts';
import { createInProcessRateLimiter } from '../../subgraphs/shared/stores/rate-limiter.ts';
import { openRedis } from '../../subgraphs/shared/stores/redis.ts';
import type { Configuration } from '../configuration.ts';
import type { Lifecycle } from '../process/lifecycle.ts';
import { placeOf, whileWaiting } from '../process/waiting.ts';

/** The bus of events, the store of short-lived values, and the counts of rates. */
export interface Cache {
  readonly bus: Bus;
  readonly store: KeyValueStore;
  readonly limiter: RateLimiter;
}

/** Opens Redis, or its in-process replacements. */
export async function openCache(
  configuration: Configuration,
  lifecycle: Lifecycle,
  logger: Logger,
  metrics?: StoreMetrics,
): Promise<Cache> {
  const { redis } = configuration;
  const cache =
    redis === null
      ? { bus: createInProcessBus(), store: createInProcessStore(), limiter: createInProcessRateLimiter() }
      : await whileWaiting(
          logger,
          typeof redis === 'string' ? `Redis at ${placeOf(redis)}` : `Redis ${redis.name} of the sentinels`,
          () => openRedis(redis, logger, metrics),
        );
  lifecycle.onClose(() => Promise.all([cache.bus.close(), cache.store.close()]));
  return cache;
}

/** Milliseconds in which a store has to answer: a load balancer asks every few seconds, and waits for about as long. */
const READY_TIMEOUT_MS = 2_000;

/** Resolves to whether the ping succeeds in time, for readiness. */
export async function answers(ping: () => Promise<void>): Promise<boolean> {
  try {
    await withTimeout(READY_TIMEOUT_MS, 'The store has not answered in time.', ping);
    return true;
  } catch {
    return false;
  }
}
