/** A worker process: one of several gateways on one port, which the primary process has started (primary.ts). */
import type { Logger } from 'pino';
import { isCount, isObject, membersOf } from '../../core/json/json-value.ts';
import { bySubgraph, type SubgraphName } from '../../core/wire/subgraph.ts';
import { openCache } from '../cache.ts';
import type { Configuration } from '../configuration.ts';
import { openGatewayAlone } from '../gateway-alone.ts';
import type { UnforeseenCounts } from '../last-handler.ts';
import { openAll, type Lifecycle } from '../lifecycle.ts';
import type { Briefing } from './primary.ts';
import { ProcessChannel, type ChannelEnd } from './process-channel.ts';
import { cacheOverChannel } from './shared-cache.ts';

/** This process's end of the channel to the primary process. */
const TO_PRIMARY: ChannelEnd = {
  send: (message) => process.send?.(message),
  on: (event, listener) => process.on(event, listener),
};

function isList(value: unknown): value is readonly unknown[] {
  return Array.isArray(value);
}

function isUrls(value: unknown): value is Record<SubgraphName, string> {
  return isObject(value) && Object.values(bySubgraph((name) => value[name])).every((url) => typeof url === 'string');
}

function readBriefing(value: unknown): Briefing {
  const { port, secret, subgraphUrls, sharesCache } = membersOf(value);
  if (!isCount(port) || typeof secret !== 'string' || !isUrls(subgraphUrls) || typeof sharesCache !== 'boolean')
    throw new Error('The primary process has not said what this gateway is to do.');
  return { port, secret, subgraphUrls, sharesCache };
}

/** Starts the gateway of this worker; resolves when it listens. */
export function startGatewayWorker(
  configuration: Configuration,
  logger: Logger,
  unforeseen: () => UnforeseenCounts,
): Promise<Lifecycle> {
  return openAll(async (lifecycle) => {
    const primary: ProcessChannel = new ProcessChannel(TO_PRIMARY, { figures: () => gateway.figures() });
    const { port, secret, subgraphUrls, sharesCache } = readBriefing(await primary.call('briefing'));
    const cache = sharesCache ? cacheOverChannel(primary) : await openCache(configuration, lifecycle, logger);
    const gateway = await openGatewayAlone(
      { ...configuration, port, subgraphUrls },
      {
        secret,
        cache,
        unforeseen,
        async figuresOfOthers() {
          const figures = await primary.call('figuresOfOthers');
          return isList(figures) ? figures : [];
        },
      },
      lifecycle,
      logger,
    );
    await primary.call('listens');
    return lifecycle;
  });
}
