/** Tombstones of flags that have left an environment, or some of its partitions. The caller holds its lock. */
import type { Environment } from '../../../core/model.ts';
import { is } from '../../../core/json/shape.ts';
import { rowBatches } from '../../shared/postgres/row-batches.ts';
import { rowCount, rowsOf } from '../../shared/postgres/rows.ts';
import type { Transaction } from '../../shared/postgres/transaction.ts';
import type { Signer } from '../signing/signing.ts';

/** The column's value for a flag that has left every partition. */
const EVERY = '';

/** The place that a flag has left: the environment, or one of its partitions. */
export interface LeftPlace {
  readonly key: string;
  /** Null for every partition. */
  readonly partition: string | null;
  readonly revision: number;
}

/** A tombstone, signed. */
export interface Tombstone extends LeftPlace {
  readonly signedDefinition: string;
}

/** A flag's way through an environment's partitions, by a change that has given it a new revision. */
export interface Movement {
  readonly key: string;
  readonly revision: number;
  /** The partitions that it comes into, or stays in. */
  readonly present: readonly string[];
  /** The partitions that it has been in and leaves; `every` for all, named or not. */
  readonly left: readonly string[] | 'every';
}

/**
 * Stores signed tombstones of an environment: some statements for all, because an environment may have thousands of
 * partitions.
 */
export async function putTombstones(
  tx: Transaction,
  environment: Environment,
  tombstones: readonly Tombstone[],
): Promise<void> {
  for (const batch of rowBatches(tombstones))
    await rowCount(tx)`
      INSERT INTO flag_tombstones (environment, partition, key, revision, signed_definition, created_at)
      SELECT ${environment}, partition, key, revision, signed_definition, now()
      FROM unnest(
        ${batch.map(({ partition }) => partition ?? EVERY)}::text[],
        ${batch.map(({ key }) => key)}::text[],
        ${batch.map(({ revision }) => revision)}::bigint[],
        ${batch.map(({ signedDefinition }) => signedDefinition)}::text[]
      ) AS given (partition, key, revision, signed_definition)
      ON CONFLICT (environment, partition, key) DO UPDATE
        SET revision = excluded.revision, signed_definition = excluded.signed_definition, created_at = excluded.created_at`;
}

/** Removes the tombstones that movements make wrong. Gives the revisions of those that were for every partition. */
async function removeTombstones(
  tx: Transaction,
  environment: Environment,
  movements: readonly Movement[],
): Promise<Map<string, number>> {
  const gone = movements.flatMap(({ key, left }) => (left === 'every' ? [key] : []));
  // A flag that leaves every partition gets one new tombstone, in place of those of single partitions.
  if (gone.length > 0)
    await rowCount(tx)`DELETE FROM flag_tombstones WHERE environment = ${environment} AND key = ANY(${gone}::text[])`;
  const places = movements.flatMap(({ key, present }) =>
    present.length === 0 ? [] : [EVERY, ...present].map((partition) => ({ key, partition })),
  );
  if (places.length === 0) return new Map();
  const removed = await rowsOf(tx, { key: is.string, partition: is.string, revision: is.bigint })`
    DELETE FROM flag_tombstones t USING unnest(
      ${places.map(({ key }) => key)}::text[], ${places.map(({ partition }) => partition)}::text[]
    ) AS place (key, partition)
    WHERE t.environment = ${environment} AND t.key = place.key AND t.partition = place.partition
    RETURNING t.key, t.partition, t.revision`;
  return new Map(
    removed.flatMap(({ key, partition, revision }) => (partition === EVERY ? [[key, Number(revision)] as const] : [])),
  );
}

/**
 * Removes the tombstones of the partitions that flags come into, and signs and stores those of the partitions that they
 * leave. A tombstone of the whole environment is replaced by one of the same revision for each other partition, which
 * the flag has still left.
 *
 * @param all the environment's partitions
 * @returns the last signed tombstone of each flag that has left a partition, by key
 */
export async function moveThroughPartitions(
  tx: Transaction,
  signer: Signer,
  environment: Environment,
  all: readonly string[],
  movements: readonly Movement[],
): Promise<Map<string, string>> {
  const whole = await removeTombstones(tx, environment, movements);
  const places = movements.flatMap(({ key, revision, present, left }): LeftPlace[] => {
    if (left === 'every') return [{ key, partition: null, revision }];
    const former = whole.get(key);
    const still = former === undefined ? [] : without(all, [...present, ...left]);
    return [
      ...still.map((partition) => ({ key, partition, revision: former ?? revision })),
      ...left.map((partition) => ({ key, partition, revision })),
    ];
  });
  const tombstones = await Promise.all(
    places.map(async (place) => ({
      ...place,
      signedDefinition: await signer.tombstone(environment, place.key, place.revision, place.partition),
    })),
  );
  await putTombstones(tx, environment, tombstones);
  return new Map(tombstones.map(({ key, signedDefinition }) => [key, signedDefinition]));
}

/** Gives the partitions that are not among others. */
export function without(partitions: readonly string[], others: readonly string[]): string[] {
  const left = new Set(others);
  return partitions.filter((partition) => !left.has(partition));
}
