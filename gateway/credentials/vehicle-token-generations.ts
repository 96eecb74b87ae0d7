/**
 * Knows which vehicle tokens are revoked: it holds the valid generation of each vehicle whose tokens were revoked at
 * any time. The generations are in memory, so that a fleet that connects at once costs no query
 * (docs/decisions/trust/revoked-vehicle-tokens.md).
 */
import { PolledRefresh } from '../../core/async/polled-refresh.ts';
import { withTimeout } from '../../core/async/timeout.ts';
import { is } from '../../core/json/shape.ts';
import { unattended } from '../../core/last-handler/unattended.ts';
import type { SubgraphConnection } from '../../core/wire/subgraph/subgraph.ts';
import type { GatewayLogger } from '../context.ts';
import { gatewayIdentity } from './gateway-identity.ts';

/** The raised generation of a vehicle whose tokens were revoked. */
export interface RaisedGeneration {
  readonly vin: string;
  /** The generation, from 1. Tokens of lower generations are revoked. */
  readonly generation: number;
  /** The time of the revocation in milliseconds since 1970. */
  readonly raisedAt: number;
}

/**
 * Reads the generations that come after the cursor (`since`, `after`), in the order of time (milliseconds since 1970)
 * and VIN. The list is empty at the end.
 */
export type ReadGenerations = (since: number, after: string) => Promise<readonly RaisedGeneration[]>;

/** The options of the generations. */
export interface VehicleTokenGenerationsOptions {
  readonly read: ReadGenerations;
  /** Called with the VINs whose tokens of former generations have just been found to be revoked. */
  readonly ended: (vins: ReadonlySet<string>) => void;
  readonly logger: GatewayLogger;
}

/** The milliseconds between two polls. A revocation is known within 5 s even if its event was lost. */
const POLL_INTERVAL_MS = 4_000;
/**
 * The milliseconds for which a gateway waits for the generations, at its start and after an event of a revocation.
 * After that it goes on without them.
 */
const READ_TIMEOUT_MS = 2_000;
/**
 * The milliseconds before the newest generation at which a poll begins. They are more than a transaction may last, so
 * that one that commits out of order is seen, too.
 */
const OVERLAP_MS = 30_000;

const QUERY =
  'query VehicleTokenGenerations($since: DateTime!, $after: String!) { vehicleTokenGenerations(since: $since, after: $after) { vin generation raisedAt } }';

/** A page of generations. In the same process, times are dates. */
const isPage = is.listOf(is.shape({ vin: is.string, generation: is.number, raisedAt: is.either(is.string, is.date) }));

/** Makes the reader of generations from the vehicles subgraph. It rejects when the answer is invalid. */
export function generationsReader(vehicles: SubgraphConnection): ReadGenerations {
  return async (since, after) => {
    const { data, errors } = await vehicles.execute({
      query: QUERY,
      variables: { since: new Date(since).toISOString(), after },
      identity: gatewayIdentity(),
    });
    const page = data?.['vehicleTokenGenerations'];
    if (!isPage(page)) throw new Error(errors?.[0]?.message ?? 'The vehicles subgraph returned no token generations.');
    return page.map(({ vin, generation, raisedAt }) => ({ vin, generation, raisedAt: new Date(raisedAt).getTime() }));
  };
}

/** Holds the valid generations of vehicle tokens and keeps them up to date. */
export class VehicleTokenGenerations {
  readonly #options: VehicleTokenGenerationsOptions;
  readonly #valid = new Map<string, number>();
  #newest = 0;
  readonly #polled = new PolledRefresh({
    refresh: () => this.#readAll(),
    intervalMs: POLL_INTERVAL_MS,
    failed: (err, isFirst) => {
      if (isFirst)
        this.#options.logger.warn(
          { err },
          'Cannot read revoked vehicle tokens; accepting tokens revoked since the last read, and trying again every 4 s',
        );
    },
    recovered: () => this.#options.logger.info({}, 'Can read revoked vehicle tokens again'),
  });

  constructor(options: VehicleTokenGenerationsOptions) {
    this.#options = options;
  }

  /**
   * Reads all generations, and polls every 4 s from then on. Resolves when they are known, or after 2 s. Never rejects.
   */
  async start(): Promise<void> {
    unattended(this.#polled.start(POLL_INTERVAL_MS), 'Polling for revoked vehicle tokens');
    await this.learn();
  }

  /** Polls now. Resolves when the generations are known, or after 2 s. Never rejects. */
  async learn(): Promise<void> {
    // A late read is no failure: it goes on, and tokens whose revocation is not known yet are accepted meanwhile.
    await withTimeout(READ_TIMEOUT_MS, 'Revoked vehicle tokens were not read in time.', () => this.refresh()).catch(
      () => undefined,
    );
  }

  close(): void {
    // Nothing waits for a read that is under way, because it holds nothing.
    unattended(this.#polled.close(), 'Polling for revoked vehicle tokens');
  }

  /**
   * Says whether a genuine token of `generation` is valid, as far as is known. A token of a newer generation proves
   * that the generations before it were revoked.
   */
  admits(vin: string, generation: number): boolean {
    this.raise(vin, generation);
    return generation >= (this.#valid.get(vin) ?? 0);
  }

  /** Records that the vehicle's tokens below `generation` are revoked. A known revocation changes nothing. */
  raise(vin: string, generation: number): void {
    if (this.#learn(vin, generation)) this.#options.ended(new Set([vin]));
  }

  /**
   * Reads the news now. A call during a read is answered by another read after it, because the one under way may have
   * passed the news that the caller expects. Never rejects.
   */
  refresh(): Promise<void> {
    return this.#polled.attempt();
  }

  #learn(vin: string, generation: number): boolean {
    if (generation <= (this.#valid.get(vin) ?? 0)) return false;
    this.#valid.set(vin, generation);
    return true;
  }

  async #readAll(): Promise<void> {
    const { read, ended } = this.#options;
    for (let since = Math.max(0, this.#newest - OVERLAP_MS), after = ''; ;) {
      const page = await read(since, after);
      const last = page.at(-1);
      if (last === undefined) break;
      const news = new Set(page.filter(({ vin, generation }) => this.#learn(vin, generation)).map(({ vin }) => vin));
      if (news.size > 0) ended(news);
      [since, after] = [last.raisedAt, last.vin];
      this.#newest = Math.max(this.#newest, since);
    }
  }
}
