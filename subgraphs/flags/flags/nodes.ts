/**
 * What an id of the public API names (Relay's `node`, docs/decisions/node.md). A VIN names a vehicle; every other id is
 * a UUID, which names a row of one table only. Reads ids of other subgraphs' tables:
 * docs/decisions/reading-another-subgraphs-table.md.
 */
import { VIN_PATTERN } from '../../../core/model.ts';
import type { PrismaClient } from '../../../prisma/generated/client.ts';
import { isUuid } from '../../shared/subgraph/pagination.ts';

const TABLES = {
  Flag: 'flags',
  ChangeRequest: 'change_requests',
  Experiment: 'experiments',
  User: 'users',
  AuditLog: 'audit_logs',
} as const;

export type NodeType = keyof typeof TABLES | 'Vehicle';

/** One look into the primary key of each table. */
const QUERY = Object.entries(TABLES)
  .map(([type, table]) => `SELECT '${type}' AS type WHERE EXISTS (SELECT FROM ${table} WHERE id = $1::uuid)`)
  .join(' UNION ALL ');

/** The type of what `id` names; null where it names nothing. Whether a VIN is registered is for its subgraph to say. */
export async function typeOfNode(prisma: PrismaClient, id: string): Promise<NodeType | null> {
  if (VIN_PATTERN.test(id)) return 'Vehicle';
  if (!isUuid(id)) return null;
  const [row] = await prisma.$queryRawUnsafe<{ type: NodeType }[]>(QUERY, id);
  return row?.type ?? null;
}
