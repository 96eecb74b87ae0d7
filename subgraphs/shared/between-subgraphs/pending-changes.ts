/**
 * The changes that wait in vehicles for the end of a drive, in the form of `vehicles.pending_flags`:
 * `<key>:<revision>`. The vehicles subgraph writes it; the flags subgraph reads it
 * (docs/decisions/data/reading-another-subgraphs-table.md).
 */
import { Prisma } from '../../../prisma/generated/client.ts';

/** Changes of a flag, or up to a revision, or both; of any where neither is given. */
export interface PendingChanges {
  readonly flag?: string | null;
  /** The highest revision of the changes that are meant. */
  readonly revision?: number;
}

/** Selects the vehicles in which such a change waits. */
export function hasPendingChange({ flag = null, revision }: PendingChanges): Prisma.Sql {
  const ofFlag = flag === null ? Prisma.sql`true` : Prisma.sql`split_part(pending, ':', 1) = ${flag}`;
  const upTo =
    revision === undefined ? Prisma.sql`true` : Prisma.sql`split_part(pending, ':', 2)::bigint <= ${revision}`;
  return Prisma.sql`EXISTS (SELECT FROM unnest(pending_flags) AS pending WHERE ${upTo} AND ${ofFlag})`;
}
