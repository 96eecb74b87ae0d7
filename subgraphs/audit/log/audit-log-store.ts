/** Reads of the audit log (subgraphs/shared/audit/audit-log.ts writes it). */
import { Prisma, type PrismaClient } from '../../../prisma/generated/client.ts';
import type { HashedContent } from '../../shared/audit/audit-log.ts';
import { pageOf, type Page } from '../../../core/wire/api/pagination.ts';
import { is } from '../../../core/json/shape.ts';
import { rowsOf } from '../../shared/postgres/rows.ts';

/** One entry of the audit log. */
export interface StoredAuditEntry extends Omit<HashedContent, 'createdAt'> {
  readonly createdAt: Date;
  readonly hash: string;
}

/** The filters of the audit log. */
export interface AuditLogSearch {
  readonly userId?: string | null | undefined;
  /** The ids of people whose entries are found; an empty list finds nothing. */
  readonly userIds?: readonly string[] | null | undefined;
  readonly flagId?: string | null | undefined;
  /** The key of any flag, archived or not; an unknown key finds nothing. */
  readonly flagKey?: string | null | undefined;
  readonly action?: string | null | undefined;
  /** The earliest time, inclusive. */
  readonly from?: Date | null | undefined;
  /** The end of the period, exclusive. */
  readonly to?: Date | null | undefined;
}

/** SQL for the columns of an entry, from `audit_logs`. */
export const ENTRY_COLUMNS = Prisma.sql`id, chain_position::float8 AS position, user_id AS "userId", api_key_id AS "apiKeyId", flag_id AS "flagId", action, before_value AS "beforeValue", after_value AS "afterValue",
  host(ip_address) AS "ipAddress", user_agent AS "userAgent", request_id AS "requestId", created_at AS "createdAt", hash`;

const JSON_MEMBERS = {
  hash: is.string,
  id: is.string,
  flagId: is.nullable(is.string),
  action: is.string,
  beforeValue: is.json,
  afterValue: is.json,
  position: is.number,
  userId: is.nullable(is.string),
  apiKeyId: is.nullable(is.string),
  ipAddress: is.nullable(is.string),
  userAgent: is.nullable(is.string),
  requestId: is.nullable(is.string),
};

const ENTRY = { ...JSON_MEMBERS, createdAt: is.date };

/** Says whether a value is an entry as PostgreSQL gives it in JSON. */
export const isEntryJson = is.shape({ ...JSON_MEMBERS, createdAt: is.string });

function conditions(search: AuditLogSearch): Prisma.Sql[] {
  const filters = [Prisma.sql`true`];
  if (search.userId) filters.push(Prisma.sql`user_id = ${search.userId}::uuid`);
  if (search.userIds) filters.push(Prisma.sql`user_id = ANY (${[...search.userIds]}::uuid[])`);
  if (search.flagId) filters.push(Prisma.sql`flag_id = ${search.flagId}::uuid`);
  // docs/decisions/data/reading-another-subgraphs-table.md
  if (search.flagKey) filters.push(Prisma.sql`flag_id = (SELECT id FROM flags WHERE key = ${search.flagKey})`);
  if (search.action) filters.push(Prisma.sql`action = ${search.action}`);
  if (search.from) filters.push(Prisma.sql`created_at >= ${search.from}`);
  if (search.to) filters.push(Prisma.sql`created_at < ${search.to}`);
  return filters;
}

/** The entry after which a page begins. `at` is the text of its time, because a Date has no microseconds. */
export interface AuditLogPlace {
  readonly position: number;
  readonly at: string;
}

/**
 * Gives the statement for a page of the audit log, newest first: in reverse chain order, which is also that of time. A
 * page that goes `backwards` is read oldest first. The bound on `created_at`, beside the comparison of both columns,
 * lets PostgreSQL skip partitions.
 */
export function auditLogQuery(
  search: AuditLogSearch,
  limit: number,
  place: AuditLogPlace | null,
  backwards = false,
): Prisma.Sql {
  const filters = conditions(search);
  const beyond = Prisma.raw(backwards ? '>' : '<');
  const way = Prisma.raw(backwards ? 'ASC' : 'DESC');
  if (place !== null) {
    filters.push(
      Prisma.sql`created_at ${beyond}= ${place.at}::timestamptz`,
      Prisma.sql`(created_at, chain_position) ${beyond} (${place.at}::timestamptz, ${place.position}::bigint)`,
    );
  }
  return Prisma.sql`SELECT ${ENTRY_COLUMNS} FROM audit_logs WHERE ${Prisma.join(filters, ' AND ')} ORDER BY created_at ${way}, chain_position ${way} LIMIT ${limit}`;
}

/** A page of entries, and whether there are more in its direction. */
export interface AuditLogPage {
  readonly entries: readonly StoredAuditEntry[];
  readonly more: boolean;
}

/** Reads a page of the audit log, newest first; its cursor is an entry's id. */
export async function searchAuditLog(db: PrismaClient, search: AuditLogSearch, page: Page): Promise<AuditLogPage> {
  let place: AuditLogPlace | null = null;
  if (page.cursor !== null) {
    const [last] = await rowsOf(db, {
      position: is.number,
      at: is.string,
    })`SELECT chain_position::float8 AS position, created_at::text AS at FROM audit_logs WHERE id = ${page.cursor}::uuid`;
    if (last === undefined) return { entries: [], more: false };
    place = last;
  }
  const { items, more } = pageOf(
    await rowsOf(db, ENTRY)(auditLogQuery(search, page.limit + 1, place, page.backwards)),
    page,
  );
  return { entries: items, more };
}

/** Counts the entries that a search finds on all pages. */
export async function countAuditLog(db: PrismaClient, search: AuditLogSearch): Promise<number> {
  const [row] = await rowsOf(db, {
    count: is.bigint,
  })`SELECT count(*) AS count FROM audit_logs WHERE ${Prisma.join(conditions(search), ' AND ')}`;
  return Number(row?.count ?? 0);
}

/** Finds entries; unknown ids are left out. */
export async function findEntries(db: PrismaClient, ids: readonly string[]): Promise<StoredAuditEntry[]> {
  return rowsOf(db, ENTRY)`SELECT ${ENTRY_COLUMNS} FROM audit_logs WHERE id = ANY(${[...ids]}::uuid[])`;
}

/** Reads the first `limit` entries with positions above `after`, up to `last`, in chain order. */
export async function entriesBetween(
  db: PrismaClient,
  after: number,
  last: number,
  limit: number,
): Promise<StoredAuditEntry[]> {
  return rowsOf(db, ENTRY)`
    SELECT ${ENTRY_COLUMNS} FROM audit_logs WHERE chain_position > ${after}::bigint AND chain_position <= ${last}::bigint ORDER BY chain_position LIMIT ${limit}`;
}
