/**
 * Knows which partition of its environment each vehicle gets. It asks the flags subgraph when a vehicle connects. All
 * vehicles that connect during a request share the next one, so that a storm of 19,000 costs a few hundred statements
 * at most. Source: docs/decisions/streams/partitions.md.
 */
import { boundedCache } from '../../core/bounded-cache.ts';
import { withTimeout } from '../../core/async/timeout.ts';
import type { VehicleCaller } from '../../core/access/caller.ts';
import { FleetFlagError } from '../../core/errors.ts';
import { unattended } from '../../core/last-handler/unattended.ts';
import { isOneOf } from '../../core/json/json-value.ts';
import { ENVIRONMENTS, type Environment } from '../../core/model.ts';
import { MAX_PARTITION_VINS, readVehiclePartitions } from '../../core/wire/subgraph/vehicle-partitions.ts';
import type { SubgraphConnection } from '../../core/wire/subgraph/subgraph.ts';
import type { GatewayLogger } from '../context.ts';
import { gatewayIdentity } from '../credentials/gateway-identity.ts';

/**
 * Asks for the partitions of at most `MAX_PARTITION_VINS` vehicles, by VIN; those whose model is not known are left
 * out.
 */
export type AskPartitions = (environment: Environment, vins: readonly string[]) => Promise<ReadonlyMap<string, string>>;

/** The least milliseconds between the beginnings of two requests; for a vehicle that comes alone one begins at once. */
const PACE_MS = 100;
/** The milliseconds for which vehicles wait for an answer. */
const TIMEOUT_MS = 2_000;
/** The milliseconds after a failure for which no request is sent. */
const DOWN_MS = 1_000;
/** The milliseconds after the last news of moves for which a known partition is enough for a single request. */
const FOLLOWED_MS = 5_000;
/** The most vehicles whose last known partition is kept: some 40 MB. */
const MAX_KNOWN = 200_000;

const QUERY =
  'query ($environment: Environment!, $vins: [ID!]!) { vehiclePartitions(environment: $environment, vins: $vins) }';

/** Makes the function that asks the flags subgraph. It rejects with SERVICE_UNAVAILABLE. */
export function partitionQuestion(flags: Pick<SubgraphConnection, 'execute'>): AskPartitions {
  return async (environment, vins) => {
    const { data, errors } = await flags.execute({
      query: QUERY,
      variables: { environment: environment.toUpperCase(), vins },
      identity: gatewayIdentity(),
    });
    const partitions = readVehiclePartitions(data?.['vehiclePartitions']);
    if (partitions === null)
      throw new FleetFlagError(
        'SERVICE_UNAVAILABLE',
        'The partitions of vehicles cannot be read; a retry is safe.',
        {},
        { cause: errors },
      );
    return partitions;
  };
}

/** The vehicles of one environment that wait for the next request. */
interface Waiting {
  readonly environment: Environment;
  readonly vins: Set<string>;
  readonly answer: Promise<ReadonlyMap<string, string> | null>;
  readonly settle: (answer: ReadonlyMap<string, string> | null) => void;
}

function newWaiting(environment: Environment): Waiting {
  let settle!: Waiting['settle'];
  const answer = new Promise<ReadonlyMap<string, string> | null>((resolve) => (settle = resolve));
  // oxlint-disable-next-line fleetflag/no-promise-in-object -- It never rejects.
  return { environment, vins: new Set(), answer, settle };
}

/** Looks up partitions, and keeps the last known ones. */
export class PartitionDirectory {
  /** The last known partitions, by environment and VIN, and whether the vehicle may have moved since. */
  readonly #known = boundedCache<string, { readonly partition: string; doubted: boolean }>(MAX_KNOWN);
  readonly #waiting: Waiting[] = [];
  #asking: Waiting | null = null;
  #isDue = false;
  #nextAtMs = -Infinity;
  #downUntilMs = -Infinity;
  #isDown = false;
  /** The time up to which all moves are known, by `performance.now()`. */
  #followedAtMs = -Infinity;

  constructor(
    private readonly ask: AskPartitions,
    private readonly logger: GatewayLogger,
  ) {}

  /**
   * Gives a vehicle with its partition, by a request that begins after this call. Where that is not answered, or the
   * vehicle's model is not known, the vehicle keeps its last known partition.
   *
   * @param isLasting false for a single request: a known partition is then enough, while moves are followed
   * @throws SERVICE_UNAVAILABLE where none is known: what a vehicle gets is never guessed
   */
  async place(caller: VehicleCaller, isLasting: boolean): Promise<VehicleCaller> {
    const { vin, environment } = caller;
    if (vin === null) return caller;
    const name = `${environment} ${vin}`;
    const isFollowed = performance.now() - this.#followedAtMs < FOLLOWED_MS;
    const known = this.#known.get(name);
    const isCurrent = isFollowed && !isLasting && known?.doubted === false;
    const asked = isCurrent ? undefined : (await this.#request(environment, vin))?.get(vin);
    const partition = asked ?? this.#known.get(name)?.partition;
    if (partition === undefined)
      throw new FleetFlagError('SERVICE_UNAVAILABLE', 'The partition of this vehicle is not known; a retry is safe.');
    return { ...caller, partition };
  }

  /** Notes that all moves up to now are known. */
  followed(): void {
    this.#followedAtMs = performance.now();
  }

  /** Marks the concerned vehicles: the next request of each asks for its partition again. */
  doubt(isConcerned: (vehicle: VehicleCaller) => boolean): void {
    for (const [name, known] of this.#known.entries()) {
      const [environment, vin] = name.split(' ');
      if (!isOneOf(ENVIRONMENTS, environment) || vin === undefined) continue;
      if (isConcerned({ kind: 'vehicle', vin, environment, partition: known.partition })) known.doubted = true;
    }
  }

  /** Gives the partitions of vehicles by requests that begin after this call. Rejects where one is not answered. */
  async partitions(environment: Environment, vins: readonly string[]): Promise<ReadonlyMap<string, string>> {
    const found = new Map<string, string>();
    for (let start = 0; start < vins.length; start += MAX_PARTITION_VINS) {
      const page = await this.#read(environment, vins.slice(start, start + MAX_PARTITION_VINS));
      for (const [vin, partition] of page) found.set(vin, partition);
    }
    return found;
  }

  /** Resolves when all calls of `place` before this one have an answer. Never rejects. */
  async settled(): Promise<void> {
    for (const { answer } of [...(this.#asking === null ? [] : [this.#asking]), ...this.#waiting]) await answer;
  }

  #request(environment: Environment, vin: string): Promise<ReadonlyMap<string, string> | null> {
    if (performance.now() < this.#downUntilMs) return Promise.resolve(null);
    let batch = this.#waiting.findLast((waiting) => waiting.environment === environment);
    if (batch === undefined || batch.vins.size >= MAX_PARTITION_VINS)
      this.#waiting.push((batch = newWaiting(environment)));
    batch.vins.add(vin);
    this.#askNext();
    return batch.answer;
  }

  #askNext(): void {
    if (this.#isDue || this.#asking !== null || this.#waiting.length === 0) return;
    this.#isDue = true;
    const begin = () => {
      this.#isDue = false;
      unattended(this.#answerNext(), 'Asking for the partitions of vehicles');
    };
    const waitMs = this.#nextAtMs - performance.now();
    // It begins in a later turn of the event loop, so that vehicles that came together share it.
    if (waitMs > 0) setTimeout(begin, waitMs);
    else setImmediate(begin);
  }

  async #answerNext(): Promise<void> {
    const batch = this.#waiting.shift();
    if (batch === undefined) return;
    this.#asking = batch;
    // The next request follows a full one at once, because more vehicles wait.
    const isFull = batch.vins.size >= MAX_PARTITION_VINS;
    this.#nextAtMs = performance.now() + (isFull ? 0 : PACE_MS);
    try {
      batch.settle(await this.#read(batch.environment, [...batch.vins]));
      if (this.#isDown) this.logger.info({}, 'Can read the partitions of vehicles again');
      this.#isDown = false;
    } catch (error) {
      if (!this.#isDown)
        this.logger.warn(
          { err: error },
          'Cannot read the partitions of vehicles; vehicles keep the last known one, and those without one are refused until the flags subgraph answers',
        );
      this.#isDown = true;
      this.#downUntilMs = performance.now() + DOWN_MS;
      for (const { settle } of [batch, ...this.#waiting.splice(0)]) settle(null);
    }
    this.#asking = null;
    this.#askNext();
  }

  async #read(environment: Environment, vins: readonly string[]): Promise<ReadonlyMap<string, string>> {
    const found = await withTimeout(TIMEOUT_MS, 'The flags subgraph did not answer in time.', () =>
      this.ask(environment, vins),
    );
    for (const [vin, partition] of found) this.#known.set(`${environment} ${vin}`, { partition, doubted: false });
    return found;
  }
}
