/**
 * The bus and the key-value store on a Redis server (7.0), shared by all processes of a distributed deployment.
 */
import { Redis } from 'ioredis';
import type { Logger } from 'pino';
import { FleetFlagError } from '../../core/errors.ts';
import type { Bus } from './bus.ts';
import type { KeyValueStore } from './key-value-store.ts';

/** Keys and channels are shared with whatever else uses the server. */
const PREFIX = 'fleetflag:';

async function answered<T>(command: Promise<T>): Promise<T> {
  try {
    return await command;
  } catch (cause) {
    throw new FleetFlagError('SERVICE_UNAVAILABLE', 'The cache does not answer; try again.', { retryAfter: 1 }, { cause });
  }
}

/**
 * Connects to Redis. Commands fail at once while the server is away (callers fall back or say so); the connections
 * themselves come back for ever, and subscriptions with them.
 *
 * @param url `redis://…` or `rediss://…`
 */
export async function openRedis(url: string, logger: Logger): Promise<{ bus: Bus; store: KeyValueStore }> {
  const settings = { maxRetriesPerRequest: 1, enableOfflineQueue: false, lazyConnect: true, connectTimeout: 3_000, retryStrategy: (times: number) => Math.min(100 * times, 2_000) };
  const commands = new Redis(url, settings);
  // A connection that subscribes can do nothing else (Redis protocol).
  const subscriber = new Redis(url, settings);
  for (const [role, connection] of [['commands', commands], ['subscriber', subscriber]] as const) {
    connection.on('error', (error: Error) => logger.warn({ err: error, role }, 'Redis'));
  }
  try {
    await Promise.all([commands.connect(), subscriber.connect()]);
  } catch (cause) {
    commands.disconnect();
    subscriber.disconnect();
    throw new FleetFlagError('SERVICE_UNAVAILABLE', 'Redis does not answer at REDIS_URL.', {}, { cause });
  }

  const listeners = new Map<string, Set<(message: string) => void>>();
  subscriber.on('message', (channel: string, message: string) => {
    for (const listener of listeners.get(channel) ?? []) listener(message);
  });

  let closing: Promise<void> | undefined;
  const close = () =>
    (closing ??= (async () => {
      commands.disconnect();
      subscriber.disconnect();
    })());

  return {
    bus: {
      async publish(channel, message) {
        await answered(commands.publish(PREFIX + channel, message));
      },
      async subscribe(name, listener) {
        const channel = PREFIX + name;
        const present = listeners.get(channel);
        if (present !== undefined) present.add(listener);
        else {
          listeners.set(channel, new Set([listener]));
          await answered(subscriber.subscribe(channel));
        }
        return async () => {
          const rest = listeners.get(channel);
          rest?.delete(listener);
          if (rest?.size !== 0) return;
          listeners.delete(channel);
          if (closing === undefined) await subscriber.unsubscribe(channel).catch(() => undefined);
        };
      },
      close,
    },
    store: {
      get: (key) => answered(commands.get(PREFIX + key)),
      async set(key, value, ttlSeconds) {
        await answered(commands.set(PREFIX + key, value, 'EX', ttlSeconds));
      },
      async delete(key) {
        await answered(commands.del(PREFIX + key));
      },
      async ping() {
        await answered(commands.ping());
      },
      close,
    },
  };
}
