/**
 * Search of vehicles by a filter. SQL cannot compare version ranges, and parts of model names have no index. A fleet
 * has few distinct versions and models, so these are read first, filtered in code, and then looked up by the indexes on
 * their columns.
 */
import { Prisma, type PrismaClient } from '../../../prisma/generated/client.ts';
import type { Page } from '../../../core/wire/api/pagination.ts';
import type { ReadFilter } from './vehicle-filter.ts';
import { is } from '../../../core/json/shape.ts';
import { rowsOf } from '../../shared/postgres/rows.ts';

/** A condition on `vehicles`; null when no vehicle can satisfy it. */
export type VehicleSearch = Prisma.Sql | null;

/** Reads the distinct values of a column: one index lookup for each value, however many vehicles there are. */
async function distinctValues(db: PrismaClient, column: 'model' | 'sw_version'): Promise<string[]> {
  const name = Prisma.raw(column);
  const rows = await rowsOf(db, { value: is.string })`
    WITH RECURSIVE known AS (
      (SELECT ${name} AS value FROM vehicles ORDER BY ${name} LIMIT 1)
      UNION ALL
      SELECT (SELECT ${name} FROM vehicles WHERE ${name} > known.value ORDER BY ${name} LIMIT 1) FROM known WHERE known.value IS NOT NULL
    )
    SELECT value FROM known WHERE value IS NOT NULL`;
  return rows.map(({ value }) => value);
}

/**
 * Gives the condition that a VIN begins with `text`; null where no VIN can. VINs are digits and capital letters, of
 * which `0` and `Z` are the first and the last in every collation.
 */
function vinPrefix(text: string): Prisma.Sql | null {
  return /^[A-HJ-NPR-Z0-9]{1,17}$/.test(text)
    ? Prisma.sql`vin BETWEEN ${text.padEnd(17, '0')} AND ${text.padEnd(17, 'Z')}`
    : null;
}

async function searched(db: PrismaClient, text: string): Promise<Prisma.Sql | null> {
  const models = (await distinctValues(db, 'model')).filter((model) => model.toUpperCase().includes(text));
  const ways = [vinPrefix(text), models.length > 0 ? Prisma.sql`model = ANY(${models})` : null].filter(
    (way) => way !== null,
  );
  return ways.length === 0 ? null : Prisma.sql`(${Prisma.join(ways, ' OR ')})`;
}

/** Gives the filter as a condition on `vehicles`, for the versions and models that exist. */
export async function resolveFilter(db: PrismaClient, filter: ReadFilter): Promise<VehicleSearch> {
  const conditions: Prisma.Sql[] = [];
  for (const column of ['model', 'region', 'status'] as const) {
    if (filter[column] !== null) conditions.push(Prisma.sql`${Prisma.raw(column)} = ${filter[column]}`);
  }
  if (filter.hasVersion !== null) {
    const versions = (await distinctValues(db, 'sw_version')).filter(filter.hasVersion);
    if (versions.length === 0) return null;
    conditions.push(Prisma.sql`sw_version = ANY(${versions})`);
  }
  if (filter.search !== null) {
    const found = await searched(db, filter.search);
    if (found === null) return null;
    conditions.push(found);
  }
  if (filter.tags.length > 0) conditions.push(Prisma.sql`tags @> ${[...filter.tags]}::text[]`);
  return conditions.length === 0 ? Prisma.sql`TRUE` : Prisma.join(conditions, ' AND ');
}

/** Gives the VINs of a page and one more, in order or backwards; the page's cursor is a VIN. */
export async function searchVehicles(
  db: PrismaClient,
  search: VehicleSearch,
  { cursor, limit, backwards }: Page,
): Promise<string[]> {
  if (search === null) return [];
  const [after, way] = (backwards ? ['<', 'DESC'] : ['>', 'ASC']).map((sql) => Prisma.raw(sql));
  const beyond = cursor === null ? Prisma.empty : Prisma.sql`AND vin ${after} ${cursor}`;
  const rows = await rowsOf(db, {
    vin: is.string,
  })`SELECT vin FROM vehicles WHERE ${search} ${beyond} ORDER BY vin ${way} LIMIT ${limit + 1}`;
  return rows.map(({ vin }) => vin);
}

/** Counts the matching vehicles. */
export async function countVehicles(db: PrismaClient, search: VehicleSearch): Promise<number> {
  if (search === null) return 0;
  const [row] = await rowsOf(db, { count: is.bigint })`SELECT count(*) AS count FROM vehicles WHERE ${search}`;
  return Number(row?.count ?? 0);
}
