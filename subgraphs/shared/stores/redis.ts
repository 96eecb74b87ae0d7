/**
 * The bus, the key-value store and the rate limiter on a Redis server (7.0), shared by all processes of a distributed
 * deployment.
 */
import { Redis } from 'ioredis';
import type { Logger } from 'pino';
import { backoffMs } from '../../../core/async/backoff.ts';
import { Poller } from '../../../core/async/poller.ts';
import { FleetFlagError } from '../../../core/errors.ts';
import { unattended } from '../../../core/last-handler/unattended.ts';
import type { RateLimiter } from '../../../core/access/rate-limiter.ts';
import type { Bus } from '../feeds/bus.ts';
import { observeCommand } from '../monitoring/observed-calls.ts';
import type { StoreMetrics } from '../monitoring/store-metrics.ts';
import type { KeyValueStore } from './key-value-store.ts';
import { createRedisRateLimiter } from './rate-limiter.ts';
import { closeWhenSilent } from './silent-socket.ts';

/** The milliseconds in which a server has to answer a command. */
const COMMAND_TIMEOUT_MS = 3_000;
/** The milliseconds of silence after which a server that has to answer counts as gone. */
const SILENCE_MS = 2 * COMMAND_TIMEOUT_MS;
/** The milliseconds between two pings of the subscriber, from which no other answer is ever due. */
const PING_MS = 3_000;

/** The prefix of keys and channels, because other programs may use the same server. */
const PREFIX = 'fleetflag:';

async function answered<T>(command: Promise<T>): Promise<T> {
  try {
    return await command;
  } catch (cause) {
    throw new FleetFlagError(
      'SERVICE_UNAVAILABLE',
      'The cache is not answering; try again.',
      { retryAfter: 1 },
      { cause },
    );
  }
}

/** One server by its URL, or the primary that sentinels know by a name. */
export type RedisServer =
  | string
  | {
      readonly sentinels: readonly { readonly host: string; readonly port: number }[];
      readonly name: string;
      readonly password?: string;
    };

/**
 * Connects to Redis. Commands fail at once while the server is down (callers fall back or report it). The connections
 * retry for ever and restore their subscriptions.
 *
 * @param target `redis://…` or `rediss://…`, or the sentinels that know where the primary is
 * @param metrics counts the commands
 */
export async function openRedis(
  target: RedisServer,
  logger: Logger,
  metrics?: StoreMetrics,
): Promise<{ bus: Bus; store: KeyValueStore; limiter: RateLimiter }> {
  const settings = {
    connectTimeout: 3_000,
    // A server may accept a command and never answer.
    commandTimeout: COMMAND_TIMEOUT_MS,
    // A client waits for all of it when the server is gone, so it must not delay the exit of the process.
    disconnectTimeout: 250,
    // A command in flight when the connection breaks fails at once. A retry could wait for ever behind a load balancer
    // that accepts connections for a server that is gone.
    autoResendUnfulfilledCommands: false,
    maxRetriesPerRequest: 0,
    enableOfflineQueue: false,
    lazyConnect: true,
    retryStrategy: (failures: number) => backoffMs(failures, { baseMs: 100, capMs: 2_000 }),
  };
  const connect = () =>
    typeof target === 'string'
      ? new Redis(target, settings)
      : new Redis({
          ...settings,
          ...target,
          sentinels: [...target.sentinels],
          sentinelRetryStrategy: settings.retryStrategy,
        });
  const commands = connect();
  // A subscribed connection can run no other commands (Redis protocol).
  const subscriber = connect();
  for (const [role, connection] of [
    ['commands', commands],
    ['subscriber', subscriber],
  ] as const) {
    connection.on('error', (error: Error) =>
      logger.warn({ err: error, role }, 'A connection to Redis failed; reconnecting'),
    );
    // The timeout of a command leaves its connection open, on which each further command would time out as well.
    connection.on('connect', () =>
      closeWhenSilent(connection.stream, SILENCE_MS, () => connection.commandQueue.length > 0),
    );
  }
  const send = commands.sendCommand.bind(commands);
  commands.sendCommand = (command, stream) => {
    const sent = observeCommand(command.name, metrics, async () => {
      await command.promise;
    });
    // The sender of the command handles its failure.
    sent.catch(() => undefined);
    return send(command, stream);
  };
  metrics?.watchConnection('commands', () => commands.status === 'ready');
  metrics?.watchConnection('subscriber', () => subscriber.status === 'ready');
  // Both attempts must settle: one that is still connecting when it is stopped would continue in the background.
  const failure = (await Promise.allSettled([commands.connect(), subscriber.connect()])).find(
    (result) => result.status === 'rejected',
  );
  if (failure !== undefined) {
    commands.disconnect();
    subscriber.disconnect();
    throw new FleetFlagError(
      'SERVICE_UNAVAILABLE',
      'Redis does not answer (REDIS_URL or REDIS_SENTINELS).',
      {},
      { cause: failure.reason },
    );
  }

  const channels = new Map<
    string,
    { readonly listeners: Set<(message: string) => void>; readonly subscribed: Promise<unknown> }
  >();
  subscriber.on('message', (channel: string, message: string) => {
    for (const listener of channels.get(channel)?.listeners ?? []) listener(message);
  });

  const pings = Poller.every(PING_MS, async () => {
    await subscriber.ping().catch(() => undefined);
  });
  unattended(pings.start(PING_MS), 'Pinging Redis');

  let closing: Promise<void> | undefined;
  const close = () =>
    (closing ??= (async () => {
      // No listener is left for messages that still arrive.
      channels.clear();
      commands.disconnect();
      subscriber.disconnect();
      await pings.close();
    })());

  return {
    bus: {
      async publish(channel, message) {
        await answered(commands.publish(PREFIX + channel, message));
      },
      async subscribe(name, listener) {
        const channel = PREFIX + name;
        // A new function for each call: ending one subscription of a listener must not end another of the same
        // listener.
        const own = (message: string) => listener(message);
        let entry = channels.get(channel);
        if (entry === undefined) {
          // oxlint-disable-next-line fleetflag/no-promise-in-object -- the first subscriber awaits it below
          entry = { listeners: new Set(), subscribed: answered(subscriber.subscribe(channel)) };
          channels.set(channel, entry);
        }
        const { listeners, subscribed } = entry;
        listeners.add(own);
        const end = async () => {
          if (!listeners.delete(own) || listeners.size > 0 || channels.get(channel) !== entry) return;
          channels.delete(channel);
          if (closing === undefined) await subscriber.unsubscribe(channel).catch(() => undefined);
        };
        try {
          await subscribed;
        } catch (error) {
          await end();
          throw error;
        }
        return end;
      },
      close,
    },
    store: {
      get: (key) => answered(commands.get(PREFIX + key)),
      async set(key, value, ttlSeconds) {
        await answered(commands.set(PREFIX + key, value, 'EX', ttlSeconds));
      },
      setIfAbsent: async (key, value, ttlSeconds) =>
        (await answered(commands.set(PREFIX + key, value, 'EX', ttlSeconds, 'NX'))) === 'OK',
      async delete(key) {
        await answered(commands.del(PREFIX + key));
      },
      async addMember(key, member, ttlSeconds) {
        // Both commands in one transaction, so that no set is ever without an expiry.
        await answered(
          commands
            .multi()
            .sadd(PREFIX + key, member)
            .expire(PREFIX + key, ttlSeconds)
            .exec(),
        );
      },
      members: (key) => answered(commands.smembers(PREFIX + key)),
      async removeMember(key, member) {
        await answered(commands.srem(PREFIX + key, member));
      },
      async ping() {
        await answered(commands.ping());
      },
      close,
    },
    limiter: createRedisRateLimiter(commands, `${PREFIX}rate`),
  };
}
