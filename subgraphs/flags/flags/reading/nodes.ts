/**
 * Resolves ids of the public API to types (Relay's `node`, docs/decisions/api/node.md). A VIN names a vehicle; every
 * other id is a UUID, which exists in one table only. Reads ids of other subgraphs' tables:
 * docs/decisions/data/reading-another-subgraphs-table.md.
 */
import { VIN_PATTERN } from '../../../../core/model.ts';
import { is } from '../../../../core/json/shape.ts';
import { Prisma, type PrismaClient } from '../../../../prisma/generated/client.ts';
import { rowsOf } from '../../../shared/postgres/rows.ts';
import { isUuid } from '../../../../core/wire/api/pagination.ts';

const TABLES = {
  Flag: 'flags',
  ChangeRequest: 'change_requests',
  Experiment: 'experiments',
  User: 'users',
  AuditLog: 'audit_logs',
} as const;

/** A type that `node` can give. */
export type NodeType = keyof typeof TABLES | 'Vehicle';

const TYPES = [
  'Flag',
  'ChangeRequest',
  'Experiment',
  'User',
  'AuditLog',
] as const satisfies readonly (keyof typeof TABLES)[];

/** One primary key lookup for each table. */
const queryOf = (id: string) =>
  Prisma.join(
    TYPES.map(
      (type) =>
        Prisma.sql`SELECT ${Prisma.raw(`'${type}'`)} AS type WHERE EXISTS (SELECT FROM ${Prisma.raw(TABLES[type])} WHERE id = ${id}::uuid)`,
    ),
    ' UNION ALL ',
  );

/**
 * Gives the type of the entity with `id`, or null when there is none. A VIN always counts as a vehicle; the vehicles
 * subgraph knows whether it is registered.
 */
export async function typeOfNode(prisma: PrismaClient, id: string): Promise<NodeType | null> {
  if (VIN_PATTERN.test(id)) return 'Vehicle';
  if (!isUuid(id)) return null;
  const [row] = await rowsOf(prisma, { type: is.oneOf(TYPES) })(queryOf(id));
  return row?.type ?? null;
}
