/** The bus of a command that changes flags beside a running control plane. */
import type { Logger } from 'pino';
import { createInProcessBus, type Bus } from '../../subgraphs/shared/feeds/bus.ts';
import { openRedis } from '../../subgraphs/shared/stores/redis.ts';
import type { Configuration } from '../../main/configuration.ts';

/**
 * Calls `use` with the control plane's bus. Without Redis, or when it does not answer, calls it with a bus without
 * subscribers: the control plane itself polls for changes every second.
 */
export async function withBus<T>({ redis }: Configuration, logger: Logger, use: (bus: Bus) => Promise<T>): Promise<T> {
  const cache =
    redis === null
      ? null
      : await openRedis(redis, logger).catch((error: unknown) =>
          logger.warn(
            { err: error },
            'Cannot announce changes to running services; they find them by polling, up to a second later',
          ),
        );
  try {
    return await use(cache?.bus ?? createInProcessBus());
  } finally {
    await cache?.bus.close();
  }
}
