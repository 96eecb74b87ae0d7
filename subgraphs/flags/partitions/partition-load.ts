/** The load of partitions: flags and bytes that their vehicles have to store. */
import type { Environment } from '../../../core/model.ts';
import { OTHER_MODELS } from '../../../core/partitions/partition.ts';
import { is } from '../../../core/json/shape.ts';
import { Prisma } from '../../../prisma/generated/client.ts';
import { rowsOf } from '../../shared/postgres/rows.ts';
import type { Reader } from '../../shared/postgres/transaction.ts';

/** A partition with the number of its living flags, enabled or not, and the bytes of their signed definitions. */
export interface PartitionLoad {
  readonly partition: string;
  readonly flags: number;
  readonly bytes: number;
}

/**
 * Gives the load of each partition of an environment, that of all other models first; one statement for all.
 *
 * @param models only the partitions of these; reads no flag that is not in one of them. Null: all partitions
 */
export async function partitionLoads(
  db: Reader,
  environment: Environment,
  models: readonly string[] | null = null,
): Promise<PartitionLoad[]> {
  const isOfThese = models === null ? Prisma.empty : Prisma.sql`AND scope && ${[...models]}::text[]`;
  const rows = await rowsOf(db, { partition: is.string, flags: is.bigint, bytes: is.bigint })`
    WITH living AS MATERIALIZED (
      SELECT scope, octet_length(signed_definition) AS bytes FROM flags WHERE environment = ${environment} AND archived_at IS NULL ${isOfThese}
    ), shared AS (
      SELECT count(*) AS flags, COALESCE(sum(octet_length(signed_definition)), 0) AS bytes FROM flags
      WHERE environment = ${environment} AND archived_at IS NULL AND scope IS NULL
    ), own AS (
      SELECT model, count(*) AS flags, sum(bytes) AS bytes FROM living, unnest(scope) AS model GROUP BY model
    )
    SELECT p.partition, shared.flags + COALESCE(own.flags, 0) AS flags, (shared.bytes + COALESCE(own.bytes, 0))::bigint AS bytes
    FROM (
      SELECT ${OTHER_MODELS} AS partition UNION ALL SELECT model FROM scoped_models WHERE environment = ${environment}
    ) p CROSS JOIN shared LEFT JOIN own ON own.model = p.partition
    WHERE ${models === null} OR p.partition = ANY(${[...(models ?? [])]}::text[])
    ORDER BY p.partition <> ${OTHER_MODELS}, p.partition COLLATE "C"`;
  return rows.map(({ partition, flags, bytes }) => ({ partition, flags: Number(flags), bytes: Number(bytes) }));
}
