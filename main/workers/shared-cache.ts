/**
 * Sessions and rates of a control plane without Redis, for the gateways in worker processes: they stay in the primary
 * process, so that a limit is one limit and a session is one session.
 */
import { FleetFlagError } from '../../core/errors.ts';
import type { RateLimiter, RateLimitState } from '../../core/access/rate-limiter.ts';
import { isCount, isObject } from '../../core/json/json-value.ts';
import type { KeyValueStore } from '../../subgraphs/shared/stores/key-value-store.ts';
import { sentCount, sentString, type Methods, type ProcessChannel } from './process-channel.ts';

/** The stores of a gateway. */
export interface GatewayCache {
  /** The store of sessions. */
  readonly store: Pick<KeyValueStore, 'get' | 'ping'>;
  readonly limiter: RateLimiter;
}

/** Makes the methods by which workers reach the primary process's stores. */
export function offerCache({ store, limiter }: GatewayCache): Methods {
  return {
    get: (key) => store.get(sentString(key)),
    ping: () => store.ping(),
    consume: (key, limit, windowSeconds) =>
      limiter.consume(sentString(key), sentCount(limit), sentCount(windowSeconds)),
    giveBack: (key, windowSeconds) => limiter.giveBack(sentString(key), sentCount(windowSeconds)),
    reset: (key, windowSeconds) => limiter.reset(sentString(key), sentCount(windowSeconds)),
  };
}

function isRateLimitState(value: unknown): value is RateLimitState {
  return (
    isObject(value) &&
    typeof value['allowed'] === 'boolean' &&
    isCount(value['remaining']) &&
    isCount(value['resetSeconds'])
  );
}

/** Gives the stores of the primary process to a worker. Calls throw SERVICE_UNAVAILABLE when it does not answer. */
export function cacheOverChannel(channel: Pick<ProcessChannel, 'call'>): GatewayCache {
  const call = async (method: string, ...args: readonly unknown[]): Promise<unknown> => {
    try {
      return await channel.call(method, ...args);
    } catch (cause) {
      throw new FleetFlagError(
        'SERVICE_UNAVAILABLE',
        'Sessions and rates cannot be read at the moment; try again.',
        { retryAfter: 1 },
        { cause },
      );
    }
  };
  return {
    store: {
      async get(key) {
        const value = await call('get', key);
        return typeof value === 'string' ? value : null;
      },
      async ping() {
        await call('ping');
      },
    },
    limiter: {
      async consume(key, limit, windowSeconds) {
        const state = await call('consume', key, limit, windowSeconds);
        if (!isRateLimitState(state)) throw new Error('The primary process has counted nothing.');
        return state;
      },
      async giveBack(key, windowSeconds) {
        await call('giveBack', key, windowSeconds);
      },
      async reset(key, windowSeconds) {
        await call('reset', key, windowSeconds);
      },
    },
  };
}
