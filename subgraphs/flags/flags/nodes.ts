/**
 * Resolves ids of the public API to types (Relay's `node`, docs/decisions/node.md). A VIN names a vehicle; every other
 * id is a UUID, which exists in one table only. Reads ids of other subgraphs' tables:
 * docs/decisions/reading-another-subgraphs-table.md.
 */
import { VIN_PATTERN } from '../../../core/model.ts';
import type { PrismaClient } from '../../../prisma/generated/client.ts';
import { isUuid } from '../../../core/wire/pagination.ts';

const TABLES = {
  Flag: 'flags',
  ChangeRequest: 'change_requests',
  Experiment: 'experiments',
  User: 'users',
  AuditLog: 'audit_logs',
} as const;

/** A type that `node` can give. */
export type NodeType = keyof typeof TABLES | 'Vehicle';

/** One primary key lookup for each table. */
const QUERY = Object.entries(TABLES)
  .map(([type, table]) => `SELECT '${type}' AS type WHERE EXISTS (SELECT FROM ${table} WHERE id = $1::uuid)`)
  .join(' UNION ALL ');

/**
 * Gives the type of the entity with `id`, or null when there is none. A VIN always counts as a vehicle; the vehicles
 * subgraph knows whether it is registered.
 */
export async function typeOfNode(prisma: PrismaClient, id: string): Promise<NodeType | null> {
  if (VIN_PATTERN.test(id)) return 'Vehicle';
  if (!isUuid(id)) return null;
  const [row] = await prisma.$queryRawUnsafe<{ type: NodeType }[]>(QUERY, id);
  return row?.type ?? null;
}
