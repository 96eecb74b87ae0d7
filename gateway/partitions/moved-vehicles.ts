/**
 * Finds connected vehicles that have another partition than when they connected, because they were registered as
 * another model or a scope has named their model for the first time, and ends their subscriptions: their agents
 * subscribe again and sync. Signals make it fast; polls find the moves whose signal was lost. Source:
 * docs/decisions/streams/partitions.md.
 */
import { Backoff } from '../../core/async/backoff.ts';
import { PolledRefresh } from '../../core/async/polled-refresh.ts';
import { Poller } from '../../core/async/poller.ts';
import type { VehicleCaller } from '../../core/access/caller.ts';
import { unattended } from '../../core/last-handler/unattended.ts';
import { ENVIRONMENTS, type Environment } from '../../core/model.ts';
import { OTHER_MODELS } from '../../core/partitions/partition.ts';
import { readPartitionNews, type PartitionNewsJson } from '../../core/wire/subgraph/partition-news.ts';
import type { SubgraphConnection } from '../../core/wire/subgraph/subgraph.ts';
import type { GatewayLogger } from '../context.ts';
import { gatewayIdentity } from '../credentials/gateway-identity.ts';
import type { PartitionDirectory } from './partition-directory.ts';

/** The sockets of vehicles. */
export interface VehicleSockets {
  /** Gives the vehicles of the open sockets, once for each socket. */
  vehicles(): Iterable<VehicleCaller>;
  /**
   * Gives sockets another partition and ends the subscriptions that they have open for the former one.
   *
   * @param partitionOf the partition of a vehicle; undefined where it stays as it is
   * @returns the number of sockets that had another one
   */
  move(partitionOf: (vehicle: VehicleCaller) => string | undefined): number;
}

/** Reads the news since a time (milliseconds since 1970) and, of vehicles of that time, after a VIN. */
export type ReadNews = (since: number, after: string) => Promise<PartitionNewsJson>;

/** The dependencies of the watch for moves. */
export interface MovedVehiclesOptions {
  readonly flags: Pick<SubgraphConnection, 'execute' | 'subscribe'>;
  readonly directory: Pick<PartitionDirectory, 'partitions' | 'settled' | 'doubt' | 'followed'>;
  readonly sockets: VehicleSockets;
  readonly logger: GatewayLogger;
  /** The milliseconds between two polls; 3,000 by default, so that a move takes effect within five seconds. */
  readonly pollMs?: number;
}

const POLL_INTERVAL_MS = 3_000;
/** The milliseconds before the last poll from which the next one reads; more than a transaction may last. */
const OVERLAP_MS = 30_000;
/** A time after all news: the answer then only says when it was read. */
const NEVER = 1e15;
/** The bounds of the wait before another attempt to follow the signals; with full jitter. */
const RETRY = { baseMs: 200, capMs: 5_000 };

const NEWS = 'query ($since: Float!, $after: ID!) { partitionNews(since: $since, after: $after) }';
const SIGNALS = 'subscription { partitionSignals }';

function newsReader(flags: Pick<SubgraphConnection, 'execute'>): ReadNews {
  return async (since, after) => {
    const { data, errors } = await flags.execute({
      query: NEWS,
      variables: { since, after },
      identity: gatewayIdentity(),
    });
    const news = readPartitionNews(data?.['partitionNews']);
    if (news === null) throw new Error(errors?.[0]?.message ?? 'The flags subgraph gave no news of partitions.');
    return news;
  };
}

/** Watches for moves until it is closed. */
export class MovedVehicles {
  readonly #read: ReadNews;
  /** The time up to which everything is known; null before the first read. */
  #upTo: number | null = null;
  /** The named models that have been dealt with, as `environment model`. */
  readonly #named = new Set<string>();
  readonly #over = new AbortController();
  readonly #polled: PolledRefresh;
  readonly #backoff = new Backoff({ ...RETRY, random: Math.random });
  readonly #following = new Poller(() => this.#follow());

  constructor(private readonly options: MovedVehiclesOptions) {
    const { flags, logger, pollMs = POLL_INTERVAL_MS } = options;
    this.#read = newsReader(flags);
    this.#polled = new PolledRefresh({
      refresh: () => this.#poll(),
      intervalMs: pollMs,
      failed: (err, isFirst) => {
        if (isFirst)
          logger.warn(
            { err },
            'Cannot read which vehicles have another partition; connected vehicles keep theirs until it can be read',
          );
      },
      recovered: () => logger.info({}, 'Can read again which vehicles have another partition'),
    });
  }

  start(): void {
    unattended(this.#polled.start(), 'Polling for vehicles with another partition');
    unattended(this.#following.start(), 'Following the signals of partitions');
  }

  close(): void {
    this.#over.abort();
    unattended(this.#polled.close(), 'Polling for vehicles with another partition');
    unattended(this.#following.close(), 'Following the signals of partitions');
  }

  /** Polls now. Resolves after a poll that began after this call; never rejects. */
  poll(): Promise<void> {
    return this.#polled.attempt();
  }

  async #poll(): Promise<void> {
    const first = await this.#read(this.#upTo === null ? NEVER : this.#upTo - OVERLAP_MS, '');
    // Moves before the first read need no poll: vehicles that connect after it get their present partition.
    if (this.#upTo === null) {
      this.#upTo = first.readAt;
      return this.options.directory.followed();
    }
    const named = first.named.filter(({ environment, model }) => !this.#named.has(`${environment} ${model}`));
    const registered = new Set<string>();
    for (let page = first; ;) {
      const last = page.vehicles.at(-1);
      if (last === undefined) break;
      for (const { vin } of page.vehicles) registered.add(vin);
      page = await this.#read(last.at, last.vin);
    }
    if (named.length > 0 || registered.size > 0) {
      // The request for a vehicle that is connecting may be older than these changes: it is checked when it is
      // connected.
      await this.options.directory.settled();
      await new Promise((resolve) => setImmediate(resolve));
      const environments = new Set(named.map(({ environment }) => environment));
      const isConcerned = ({ vin, environment, partition }: VehicleCaller) =>
        (vin !== null && registered.has(vin)) || (partition === OTHER_MODELS && environments.has(environment));
      this.options.directory.doubt(isConcerned);
      await this.#check(isConcerned);
    }
    for (const { environment, model } of named) this.#named.add(`${environment} ${model}`);
    this.#upTo = first.readAt;
    this.options.directory.followed();
  }

  /** Asks again for the partitions of connected vehicles, and moves those that have another one. */
  async #check(isConcerned: (vehicle: VehicleCaller) => boolean): Promise<void> {
    const { directory, sockets, logger } = this.options;
    const concerned = [...sockets.vehicles()].filter(isConcerned);
    const found = new Map<Environment, ReadonlyMap<string, string>>();
    for (const environment of ENVIRONMENTS) {
      const vins = new Set(
        concerned.flatMap((vehicle) =>
          vehicle.environment === environment && vehicle.vin !== null ? [vehicle.vin] : [],
        ),
      );
      if (vins.size > 0) found.set(environment, await directory.partitions(environment, [...vins]));
    }
    const count = sockets.move(({ vin, environment }) => found.get(environment)?.get(vin ?? ''));
    if (count > 0)
      logger.info({ sockets: count }, 'Vehicles have another partition; ended their subscriptions, so that they sync');
  }

  /** Follows the signals until the stream ends. Resolves to the milliseconds until the next attempt; never rejects. */
  async #follow(): Promise<number | null> {
    try {
      await this.#once();
    } catch {
      // Polls go on without the signals, and the next attempt may bring them back.
    }
    return this.#over.signal.aborted ? null : this.#backoff.next();
  }

  async #once(): Promise<void> {
    const stream = this.options.flags.subscribe({ query: SIGNALS, identity: gatewayIdentity() });
    const stop = () => {
      stream.return?.().catch(() => undefined);
    };
    this.#over.signal.addEventListener('abort', stop, { once: true });
    try {
      for await (const { data } of stream) {
        if (!data) throw new Error('The flags subgraph refused to stream signals.');
        this.#backoff.reset();
        unattended(this.poll(), 'Polling for vehicles with another partition');
      }
    } finally {
      this.#over.signal.removeEventListener('abort', stop);
    }
  }
}
