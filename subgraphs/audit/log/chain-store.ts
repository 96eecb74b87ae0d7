/** Reads of audit rows exactly as they were hashed, for recomputing the chain. */
import type { JsonValue } from '../../../core/model.ts';
import { Prisma, type PrismaClient } from '../../../prisma/generated/client.ts';
import type { HashedContent } from '../../shared/audit/audit-log.ts';
import { parseJson } from '../../../core/json/json-value.ts';
import { is } from '../../../core/json/shape.ts';
import { rowsOf } from '../../shared/postgres/rows.ts';

type Client = Pick<PrismaClient, '$queryRaw'>;

/** A row with everything that its hash covers. */
export interface ChainRow extends HashedContent {
  readonly previousHash: string;
  readonly hash: string;
}

/** A place in the chain: the position and the hash of a row; before the first row, position 0 and 64 zeros. */
export interface ChainPlace {
  readonly position: number;
  readonly hash: string;
}

const BEGINNING: ChainPlace = { position: 0, hash: '0'.repeat(64) };

// Columns are read as text where the driver would lose something that was hashed (microseconds, an address's netmask, a
// number that stands alone).
const COLUMNS = Prisma.sql`id, chain_position::float8 AS position, user_id AS "userId", api_key_id AS "apiKeyId", flag_id AS "flagId", action,
  before_value::text AS "beforeValue", after_value::text AS "afterValue", abbrev(ip_address) AS "ipAddress", user_agent AS "userAgent", request_id AS "requestId",
  regexp_replace(to_char(created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US'), '000$', '') || 'Z' AS "createdAt", previous_hash AS "previousHash", hash`;

const parsed = (json: string | null): JsonValue => (json === null ? null : parseJson(json));

async function read(db: Client, query: Prisma.Sql): Promise<ChainRow[]> {
  const rows = await rowsOf(db, {
    beforeValue: is.nullable(is.string),
    afterValue: is.nullable(is.string),
    id: is.string,
    flagId: is.nullable(is.string),
    action: is.string,
    createdAt: is.string,
    position: is.number,
    userId: is.nullable(is.string),
    apiKeyId: is.nullable(is.string),
    ipAddress: is.nullable(is.string),
    userAgent: is.nullable(is.string),
    requestId: is.nullable(is.string),
    previousHash: is.string,
    hash: is.string,
  })(query);
  return rows.map((row) => ({ ...row, beforeValue: parsed(row.beforeValue), afterValue: parsed(row.afterValue) }));
}

/** Reads the first `limit` rows after a row (or a position), up to the position `last`, in chain order. */
export function chainRows(
  db: Client,
  after: { position: number; id: string | null },
  last: number,
  limit: number,
): Promise<ChainRow[]> {
  const { position, id } = after;
  // The id is compared as well, because rows that were inserted past FleetFlag may share a position.
  const next =
    id === null
      ? Prisma.sql`chain_position > ${position}::bigint`
      : Prisma.sql`chain_position >= ${position}::bigint AND (chain_position, id) > (${position}::bigint, ${id}::uuid)`;
  return read(
    db,
    Prisma.sql`SELECT ${COLUMNS} FROM audit_logs WHERE ${next} AND chain_position <= ${last}::bigint ORDER BY chain_position, id LIMIT ${limit}`,
  );
}

/** Reads the rows at a position: exactly one in an intact chain. */
export function rowsAt(db: Client, position: number): Promise<ChainRow[]> {
  return read(db, Prisma.sql`SELECT ${COLUMNS} FROM audit_logs WHERE chain_position = ${position}::bigint ORDER BY id`);
}

/** The bounds of a period, all read at one moment. */
export interface ChainBounds {
  /** The place after which the attached rows must continue: the last detached row, or the beginning. */
  readonly start: ChainPlace;
  /** The last row according to the chain's head; null when the head was removed. */
  readonly head: ChainPlace | null;
  /** The highest position of any row; 0 when there is none. */
  readonly highest: number;
  /** The position of the last row before the period; null when there is none, or the period has no beginning. */
  readonly before: number | null;
  /** The position of the first row after the period; null when there is none, or the period has no end. */
  readonly after: number | null;
}

/**
 * Reads the bounds of a period. A forged row must not make the check of the log fail, so a last position that is not a
 * number counts as missing.
 *
 * @param from inclusive
 * @param to exclusive
 */
export async function chainBounds(db: Client, from: Date | null, to: Date | null): Promise<ChainBounds> {
  const [row] = await rowsOf(db, {
    position: is.nullable(is.number),
    hash: is.nullable(is.string),
    highest: is.number,
    startPosition: is.nullable(is.number),
    startHash: is.nullable(is.string),
    before: is.nullable(is.number),
    after: is.nullable(is.number),
  })`
    SELECT head.position::float8 AS position, head.hash,
           COALESCE((SELECT max(chain_position) FROM audit_logs), 0)::float8 AS highest,
           CASE WHEN start.record ->> 'lastPosition' ~ '^[0-9]{1,15}$' THEN (start.record ->> 'lastPosition')::float8 END AS "startPosition", start.record ->> 'lastHash' AS "startHash",
           (SELECT max(chain_position) FROM audit_logs WHERE created_at < ${from}::timestamptz)::float8 AS before,
           (SELECT min(chain_position) FROM audit_logs WHERE created_at >= ${to}::timestamptz)::float8 AS after
    FROM (SELECT) AS one LEFT JOIN audit_chain head ON head.id = 1 LEFT JOIN LATERAL (
      SELECT after_value AS record FROM audit_logs
      WHERE action = 'DETACH_PARTITION' AND after_value ->> 'lastPosition' IS NOT NULL ORDER BY chain_position DESC LIMIT 1
    ) start ON true`;
  if (row === undefined) throw new Error('The query for the bounds of the audit log returned no row');
  const { position, hash, highest, startPosition, startHash, before, after } = row;
  const start = startPosition === null ? BEGINNING : { position: startPosition, hash: startHash ?? '' };
  const head = position === null || hash === null ? null : { position, hash };
  return { start, head, highest, before, after };
}

/** The piece of the chain in a period. */
export interface ChainPiece {
  readonly firstPosition: number;
  readonly lastPosition: number;
  /** The number of rows from the first to the last. */
  readonly count: number;
  /** The previous hash in the first row. */
  readonly previousHash: string;
  readonly lastHash: string;
}

/**
 * Reads the piece of a period; null when the period has no rows.
 *
 * @param from inclusive
 * @param to exclusive
 */
export async function chainPiece(db: Client, from: Date, to: Date): Promise<ChainPiece | null> {
  const [row] = await rowsOf(db, {
    firstPosition: is.nullable(is.number),
    lastPosition: is.nullable(is.number),
    count: is.nullable(is.number),
    previousHash: is.nullable(is.string),
    lastHash: is.nullable(is.string),
  })`
    WITH piece AS (SELECT min(chain_position) AS first, max(chain_position) AS last FROM audit_logs WHERE created_at >= ${from}::timestamptz AND created_at < ${to}::timestamptz)
    SELECT first::float8 AS "firstPosition", last::float8 AS "lastPosition",
           (SELECT count(*) FROM audit_logs WHERE chain_position BETWEEN first AND last)::float8 AS count,
           (SELECT previous_hash FROM audit_logs WHERE chain_position = first ORDER BY id LIMIT 1) AS "previousHash",
           (SELECT hash FROM audit_logs WHERE chain_position = last ORDER BY id DESC LIMIT 1) AS "lastHash"
    FROM piece`;
  if (row === undefined) return null;
  const { firstPosition, lastPosition, count, previousHash, lastHash } = row;
  // All of them are null, or none is.
  if (firstPosition === null || lastPosition === null || count === null || previousHash === null || lastHash === null)
    return null;
  return { firstPosition, lastPosition, count, previousHash, lastHash };
}
