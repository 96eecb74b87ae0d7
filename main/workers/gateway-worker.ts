/** A worker process: one of several gateways on one port, which the primary process has started (primary.ts). */
import type { Logger } from 'pino';
import { isCount, isObject, membersOf } from '../../core/json/json-value.ts';
import { is } from '../../core/json/shape.ts';
import { bySubgraph, type SubgraphName } from '../../core/wire/subgraph/subgraph.ts';
import type { Metrics } from '../../core/monitoring/metrics.ts';
import { StoreMetrics } from '../../subgraphs/shared/monitoring/store-metrics.ts';
import { openCache } from '../stores/cache.ts';
import type { Configuration } from '../configuration.ts';
import { openGatewayAlone } from '../gateway/gateway-alone.ts';
import { openAll, type Lifecycle } from '../process/lifecycle.ts';
import type { Briefing } from './primary.ts';
import { limitsOverChannel } from './place-pools.ts';
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

const isUrlList = is.listOf(is.string);

function isUrls(value: unknown): value is Record<SubgraphName, readonly string[]> {
  return isObject(value) && Object.values(bySubgraph((name) => value[name])).every(isUrlList);
}

function readBriefing(value: unknown): Briefing {
  const { port, secret, subgraphUrls, sharesCache, workers } = membersOf(value);
  if (
    !isCount(port) ||
    !isCount(workers) ||
    typeof secret !== 'string' ||
    !isUrls(subgraphUrls) ||
    typeof sharesCache !== 'boolean'
  )
    throw new Error('The primary process sent an invalid briefing; start it and its workers from the same version.');
  return { port, secret, subgraphUrls, sharesCache, workers };
}

/** Starts the gateway of this worker; resolves when it listens. */
export function startGatewayWorker(configuration: Configuration, logger: Logger, metrics: Metrics): Promise<Lifecycle> {
  return openAll(async (lifecycle) => {
    const primary: ProcessChannel = new ProcessChannel(TO_PRIMARY, { figures: () => metrics.figures() });
    const { port, secret, subgraphUrls, sharesCache, workers } = readBriefing(await primary.call('briefing'));
    const cache = sharesCache
      ? cacheOverChannel(primary)
      : await openCache(configuration, lifecycle, logger, new StoreMetrics(metrics));
    metrics.sumWith(async () => {
      const figures = await primary.call('figuresOfOthers');
      return isList(figures) ? figures : [];
    });
    await openGatewayAlone(
      { ...configuration, port, subgraphUrls },
      {
        secret,
        cache,
        metrics,
        sharedLimits: limitsOverChannel(primary, workers),
      },
      lifecycle,
      logger,
    );
    lifecycle.announceFor(configuration.shutdownDelayMs);
    await primary.call('listens');
    return lifecycle;
  });
}
