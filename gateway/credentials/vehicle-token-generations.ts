/**
 * Knows which vehicle tokens were revoked: the valid generation of each vehicle whose tokens ever were. The generations
 * are in memory, so that a fleet that connects at once costs no query (docs/decisions/revoked-vehicle-tokens.md).
 */
import { randomUUID } from 'node:crypto';
import { CoalescedRefresh } from '../../core/async/coalesce.ts';
import { Poller } from '../../core/async/poller.ts';
import { withTimeout } from '../../core/async/timeout.ts';
import { unattended } from '../../core/async/unattended.ts';
import type { SubgraphConnection } from '../../core/wire/subgraph.ts';
import type { GatewayLogger } from '../context.ts';

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
const INTERVAL = 4_000;
/**
 * The milliseconds for which a gateway waits for the generations, at its start and after an event of a revocation.
 * After that it goes on without them.
 */
const PATIENCE = 2_000;
/**
 * The milliseconds before the newest generation at which a poll begins. They are more than a transaction may last, so
 * that one that commits out of order is seen, too.
 */
const OVERLAP = 30_000;

const QUERY =
  'query VehicleTokenGenerations($since: DateTime!, $after: String!) { vehicleTokenGenerations(since: $since, after: $after) { vin generation raisedAt } }';

/** Makes the reader of generations from the vehicles subgraph. It rejects when the answer is invalid. */
export function generationsReader(vehicles: SubgraphConnection): ReadGenerations {
  return async (since, after) => {
    const { data, errors } = await vehicles.execute({
      query: QUERY,
      variables: { since: new Date(since).toISOString(), after },
      identity: { caller: { kind: 'gateway' }, origin: { ipAddress: null, userAgent: null, requestId: randomUUID() } },
    });
    const page = data?.['vehicleTokenGenerations'] as
      readonly { vin: string; generation: number; raisedAt: string | Date }[] | undefined;
    if (page === undefined)
      throw new Error(errors?.[0]?.message ?? 'The vehicles subgraph returned no token generations.');
    return page.map(({ vin, generation, raisedAt }) => ({ vin, generation, raisedAt: new Date(raisedAt).getTime() }));
  };
}

/** Holds the valid generations of vehicle tokens and keeps them up to date. */
export class VehicleTokenGenerations {
  readonly #options: VehicleTokenGenerationsOptions;
  readonly #valid = new Map<string, number>();
  #newest = 0;
  readonly #refreshes = new CoalescedRefresh(() => this.#readAll());
  readonly #poller = Poller.every(INTERVAL, () => this.refresh());
  #failing = false;

  constructor(options: VehicleTokenGenerationsOptions) {
    this.#options = options;
  }

  /**
   * Reads all generations, and polls every 4 s from then on. Resolves when they are known, or after 2 s. Never rejects.
   */
  async start(): Promise<void> {
    unattended(this.#poller.start(INTERVAL), 'Polling for revoked vehicle tokens');
    await this.learn();
  }

  /** Polls now. Resolves when the generations are known, or after 2 s. Never rejects. */
  async learn(): Promise<void> {
    // Late is no failure: it goes on, and those that are not known yet are accepted meanwhile.
    await withTimeout(PATIENCE, 'Revoked vehicle tokens were not read in time.', () => this.refresh()).catch(
      () => undefined,
    );
  }

  close(): void {
    // Not waited for: a read that is under way holds nothing.
    unattended(this.#poller.close(), 'Polling for revoked vehicle tokens');
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
   * Reads the news now. Who calls while a read is under way is answered by one more after it, because the one under way
   * may have passed what they have just heard of. Never rejects.
   */
  refresh(): Promise<void> {
    return this.#refreshes.refresh();
  }

  #learn(vin: string, generation: number): boolean {
    if (generation <= (this.#valid.get(vin) ?? 0)) return false;
    this.#valid.set(vin, generation);
    return true;
  }

  async #readAll(): Promise<void> {
    const { read, ended, logger } = this.#options;
    try {
      for (let since = Math.max(0, this.#newest - OVERLAP), after = ''; ;) {
        const page = await read(since, after);
        const last = page.at(-1);
        if (last === undefined) break;
        const news = new Set(page.filter(({ vin, generation }) => this.#learn(vin, generation)).map(({ vin }) => vin));
        if (news.size > 0) ended(news);
        [since, after] = [last.raisedAt, last.vin];
        this.#newest = Math.max(this.#newest, since);
      }
      if (this.#failing) logger.info({}, 'Can read revoked vehicle tokens again');
      this.#failing = false;
    } catch (error) {
      if (!this.#failing)
        logger.warn(
          { err: error },
          'Cannot read revoked vehicle tokens; accepting tokens revoked since the last read, and trying again every 4 s',
        );
      this.#failing = true;
    }
  }
}
