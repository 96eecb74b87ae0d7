/**
 * Looks up the partitions of vehicles: which models have a partition of their own, and which model each vehicle is
 * registered as. The table of vehicles belongs to another subgraph:
 * docs/decisions/data/reading-another-subgraphs-table.md.
 */
import { boundedCache } from '../../../core/bounded-cache.ts';
import { badInput } from '../../../core/errors.ts';
import { is } from '../../../core/json/shape.ts';
import { VIN_PATTERN, type Environment } from '../../../core/model.ts';
import { OTHER_MODELS } from '../../../core/partitions/partition.ts';
import { MAX_PARTITION_VINS } from '../../../core/wire/subgraph/vehicle-partitions.ts';
import { readPrepared } from '../../shared/postgres/prepared-statements.ts';
import { sharedLoader } from '../../shared/postgres/shared-loader.ts';
import type { Reader } from '../../shared/postgres/transaction.ts';
import type { FindPartition } from './sync.ts';

const ROW = { vin: is.string, partition: is.nullable(is.string) };

/** A vehicle that is not registered has no model; where no model has a partition of its own, that does not matter. */
const PARTITIONS = `SELECT asked.vin, CASE WHEN s.model IS NOT NULL THEN s.model
    WHEN v.vin IS NOT NULL OR NOT EXISTS (SELECT FROM scoped_models WHERE environment = $1) THEN '${OTHER_MODELS}' END AS partition
  FROM unnest($2::text[]) AS asked (vin) LEFT JOIN vehicles v ON v.vin = asked.vin
    LEFT JOIN scoped_models s ON s.environment = $1 AND s.model = v.model`;

/** The most vehicles whose last known partition is kept: some 40 MB. */
const MAX_KNOWN = 200_000;

/** Looks up partitions, for gateways and for syncs with a nonce. */
export class VehiclePartitions {
  readonly #known = boundedCache<string, string>(MAX_KNOWN);
  readonly #loader = sharedLoader<{ readonly environment: Environment; readonly vin: string }, string>(
    async (asked) => {
      const found = new Map<string, string>();
      for (const environment of new Set(asked.map((one) => one.environment))) {
        const vins = asked.filter((one) => one.environment === environment).map(({ vin }) => vin);
        for (const [vin, partition] of await this.#read(environment, vins))
          found.set(`${environment} ${vin}`, partition);
      }
      return found;
    },
    ({ environment, vin }) => `${environment} ${vin}`,
  );

  constructor(private readonly db: Reader) {}

  /**
   * Gives the partition of a vehicle by a look that begins after this call; all that ask meanwhile share the next one.
   * Null for a vehicle whose model is not known. Rejects when the database does not answer.
   */
  readonly find: FindPartition = (environment, vin) => this.#loader.load({ environment, vin });

  /**
   * Gives the partitions of vehicles, by one statement that begins after this call. While the database does not answer,
   * gives the last known ones. Vehicles whose model is not known are left out.
   *
   * @throws BAD_USER_INPUT for more than `MAX_PARTITION_VINS`; the database's error where no partition is known
   */
  async of(environment: Environment, given: readonly string[]): Promise<Map<string, string>> {
    if (given.length > MAX_PARTITION_VINS)
      throw badInput('vins', `A request must have at most ${MAX_PARTITION_VINS} VINs.`);
    const vins = given.filter((vin) => VIN_PATTERN.test(vin));
    try {
      return await this.#read(environment, vins);
    } catch (error) {
      const known = new Map(
        vins.flatMap((vin) => {
          const partition = this.#known.get(`${environment} ${vin}`);
          return partition === undefined ? [] : [[vin, partition] as const];
        }),
      );
      if (known.size === 0) throw error;
      return known;
    }
  }

  async #read(environment: Environment, vins: readonly string[]): Promise<Map<string, string>> {
    const rows = await readPrepared(this.db, ROW, 'vehicle_partitions', PARTITIONS, [environment, vins]);
    const found = new Map<string, string>();
    for (const { vin, partition } of rows) {
      if (partition === null) continue;
      found.set(vin, partition);
      this.#known.set(`${environment} ${vin}`, partition);
    }
    return found;
  }
}
