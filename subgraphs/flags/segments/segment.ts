/** Segments as the control plane stores them, and the flags that name them. */
import { isJsonObject } from '../../../core/json/json-value.ts';
import { is } from '../../../core/json/shape.ts';
import { FLAG_KEY_PATTERN, type JsonObject } from '../../../core/model.ts';
import { tagsOf } from '../../../core/evaluation/segments/segment.ts';
import { Prisma } from '../../../prisma/generated/client.ts';
import type { Reader, Transaction } from '../../shared/postgres/transaction.ts';
import { rowCount, rowsOf } from '../../shared/postgres/rows.ts';

/** A named audience. */
export interface StoredSegment {
  readonly key: string;
  readonly name: string;
  readonly conditions: JsonObject;
  readonly createdById: string | null;
  readonly updatedById: string | null;
  readonly createdAt: Date;
  readonly updatedAt: Date;
}

/** The part of a segment that people decide on. */
export interface SegmentContent {
  readonly key: string;
  readonly name: string;
  readonly conditions: JsonObject;
}

const ROW = {
  key: is.string,
  name: is.string,
  conditions: isJsonObject,
  createdById: is.nullable(is.string),
  updatedById: is.nullable(is.string),
  createdAt: is.date,
  updatedAt: is.date,
};

/** The most segments in one list. */
const MAX_LISTED = 1_000;

/** Gives the content of a segment as the audit log shows it. */
export const contentOf = ({ key, name, conditions }: SegmentContent): JsonObject => ({ key, name, conditions });

/**
 * Lists segments by key.
 *
 * @param after the key before the first; null for the beginning
 * @param limit how many; null for at most 1,000
 */
export async function listSegments(db: Reader, after: string | null, limit: number | null): Promise<StoredSegment[]> {
  // PostgreSQL does not accept every string, and no segment follows such a key.
  if (after !== null && !FLAG_KEY_PATTERN.test(after)) return [];
  return rowsOf(db, ROW)`
    SELECT key, name, conditions, created_by AS "createdById", updated_by AS "updatedById", created_at AS "createdAt", updated_at AS "updatedAt"
    FROM segments WHERE ${after}::text IS NULL OR key > ${after}::text ORDER BY key LIMIT ${limit ?? MAX_LISTED}`;
}

/** SQL for the flags that name the segment `named.key` in a rule, or in one that a release keeps outside its ring. */
const NAMING = Prisma.sql`SELECT flag_id FROM rules WHERE conditions @> jsonb_build_object('segment', named.key)
    UNION SELECT id FROM flags WHERE release IS NOT NULL AND release @> jsonb_build_object('stable', jsonb_build_object('rules',
      jsonb_build_array(jsonb_build_object('conditions', jsonb_build_object('segment', named.key)))))`;

/** Counts the flags that name each segment, archived ones and drafts included. */
export async function countFlagsNaming(db: Reader, keys: readonly string[]): Promise<Map<string, number>> {
  const rows = await rowsOf(db, { key: is.string, count: is.bigint })`
    SELECT named.key, count(DISTINCT r.flag_id) AS count FROM unnest(${[...keys]}::text[]) AS named (key)
    JOIN LATERAL (${NAMING}) r ON true GROUP BY named.key`;
  return new Map(rows.map(({ key, count }) => [key, Number(count)]));
}

/** Finds segments by key; unknown keys are left out. */
export async function findSegments(db: Reader, keys: readonly string[]): Promise<StoredSegment[]> {
  // PostgreSQL does not accept every string, and no segment has such a key.
  const possible = keys.filter((key) => FLAG_KEY_PATTERN.test(key));
  return rowsOf(db, ROW)`
    SELECT key, name, conditions, created_by AS "createdById", updated_by AS "updatedById", created_at AS "createdAt", updated_at AS "updatedAt"
    FROM segments WHERE key = ANY(${possible}::text[])`;
}

/** Locks a segment's row until the transaction ends; null where there is none. */
export async function lockSegment(tx: Transaction, key: string): Promise<StoredSegment | null> {
  await rowCount(tx)`SELECT key FROM segments WHERE key = ${key} FOR UPDATE`;
  return (await findSegments(tx, [key]))[0] ?? null;
}

/** Keeps segments from being changed or deleted until the transaction ends, and gives those that there are. */
export async function holdSegments(tx: Transaction, keys: readonly string[]): Promise<StoredSegment[]> {
  await rowCount(tx)`SELECT key FROM segments WHERE key = ANY(${[...keys]}::text[]) ORDER BY key FOR SHARE`;
  return findSegments(tx, keys);
}

/** Counts the changes of a segment's tags. The sum only grows, so it differs where vehicles have changed. */
export async function tagChanges(tx: Reader, conditions: JsonObject): Promise<number> {
  const tags = tagsOf(conditions);
  if (tags.length === 0) return 0;
  const [row] = await rowsOf(tx, { changes: is.bigint })`
    SELECT COALESCE(sum(changes), 0)::bigint AS changes FROM vehicle_tags WHERE tag = ANY(${tags}::text[])`;
  return Number(row?.changes ?? 0);
}

/** Finds the segments whose tags were given or taken since their flags were signed. */
export async function segmentsToRefresh(db: Reader): Promise<string[]> {
  const rows = await rowsOf(db, { key: is.string })`
    SELECT key FROM segments s
    WHERE conditions ? 'tags' AND tag_changes <> (
      SELECT COALESCE(sum(changes), 0) FROM vehicle_tags
      WHERE tag = ANY (ARRAY(SELECT jsonb_array_elements_text(s.conditions->'tags'))))
    ORDER BY key`;
  return rows.map(({ key }) => key);
}

/** Notes for which changes of its tags a segment's flags are signed. */
export async function noteTagChanges(tx: Transaction, key: string, changes: number): Promise<void> {
  await tx.$executeRaw`UPDATE segments SET tag_changes = ${changes} WHERE key = ${key}`;
}

/** Writes a segment, new or not. */
export async function writeSegment(
  tx: Transaction,
  { key, name, conditions }: SegmentContent,
  changes: number,
  by: string | null,
): Promise<void> {
  const content = { name, conditions, tagChanges: changes, updatedById: by };
  await tx.segment.upsert({ where: { key }, create: { key, ...content, createdById: by }, update: content });
}

/** A page of the flags that name a segment. */
export interface NamingPage {
  readonly key: string;
  /** The key of a flag after which the page begins; null: from the first. */
  readonly after: string | null;
  readonly limit: number;
}

/** Finds the ids of the flags of pages, by key: for each page its flags; one statement, which reads no others. */
export async function namingPages(db: Reader, pages: readonly NamingPage[]): Promise<string[][]> {
  // PostgreSQL does not accept every string, and no flag follows such a key.
  const possible = pages.map(({ after, ...page }, place) => ({ ...page, after, place }));
  const asked = possible.filter(({ after }) => after === null || FLAG_KEY_PATTERN.test(after));
  const rows = await rowsOf(db, { place: is.number, id: is.string })`
    SELECT named.place, f.id FROM jsonb_to_recordset(${JSON.stringify(asked)}::jsonb) AS named (key text, after text, "limit" int, place int)
    JOIN LATERAL (
      SELECT id, key FROM flags WHERE id IN (${NAMING}) AND (named.after IS NULL OR key COLLATE "C" > named.after)
      ORDER BY key COLLATE "C" LIMIT named.limit
    ) f ON true ORDER BY named.place, f.key COLLATE "C"`;
  const ids = pages.map((): string[] => []);
  for (const { place, id } of rows) ids[place]?.push(id);
  return ids;
}

/** Finds the ids of the flags that name a segment in one of their rules: living ones, archived ones and drafts. */
export async function flagsNaming(db: Reader, keys: readonly string[]): Promise<{ key: string; flagId: string }[]> {
  return rowsOf(db, { key: is.string, flagId: is.string })`
    SELECT DISTINCT named.key, r.flag_id AS "flagId" FROM unnest(${[...keys]}::text[]) AS named (key)
    JOIN LATERAL (${NAMING}) r ON true ORDER BY named.key, r.flag_id`;
}
