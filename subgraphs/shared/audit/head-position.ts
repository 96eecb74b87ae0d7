import { is } from '../../../core/json/shape.ts';
import type { PrismaClient } from '../../../prisma/generated/client.ts';
import { rowsOf } from '../postgres/rows.ts';

/** Gives the position of the audit log's last entry; 0 when there is none. */
export async function headPosition(db: PrismaClient): Promise<number> {
  const [head] = await rowsOf(db, {
    position: is.number,
  })`SELECT position::float8 AS position FROM audit_chain WHERE id = 1`;
  if (head === undefined) throw new Error('audit_chain has no head');
  return head.position;
}
