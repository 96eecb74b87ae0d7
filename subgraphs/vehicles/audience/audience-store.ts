/** Reads of the fleet for audiences: few columns, many vehicles at once. */
import type { Environment } from '../../../core/model.ts';
import { Prisma, type PrismaClient } from '../../../prisma/generated/client.ts';
import type { VehicleGroup } from './audience.ts';
import { is } from '../../../core/json/shape.ts';
import { rowsOf } from '../../shared/postgres/rows.ts';

/** The characters of a VIN in a group's list. */
const VIN_LENGTH = 17;

/**
 * Selects the vehicles that a flag of `environment` can reach: those of the environment, and those without one yet; all
 * for null.
 */
const reachable = (environment: Environment | null) =>
  environment === null ? Prisma.sql`TRUE` : Prisma.sql`(environment = ${environment} OR environment IS NULL)`;

function vinsOf(list: string): string[] {
  return Array.from({ length: list.length / VIN_LENGTH }, (_, index) =>
    list.slice(index * VIN_LENGTH, (index + 1) * VIN_LENGTH),
  );
}

/**
 * Reads the vehicles that a flag of `environment` can reach, in pages of at most `pageSize` in the order of VINs, each
 * vehicle once. Vehicles are grouped by their facts: a fleet has some hundred combinations, and transferring a row for
 * each vehicle costs ten times as much.
 *
 * @param vins restricts the read to these; null reads all
 */
export async function* readGroups(
  prisma: PrismaClient,
  environment: Environment | null,
  vins: readonly string[] | null,
  pageSize: number,
): AsyncGenerator<VehicleGroup[]> {
  const among = vins === null ? Prisma.empty : Prisma.sql`AND vin = ANY(${vins})`;
  for (let after = '', more = true; more;) {
    const rows = await rowsOf(prisma, {
      model: is.string,
      swVersion: is.string,
      region: is.string,
      vins: is.string,
      last: is.string,
    })`
      SELECT model, sw_version AS "swVersion", region, string_agg(vin, '') AS vins, max(vin) AS last
      FROM (SELECT vin, model, sw_version, region FROM vehicles WHERE vin > ${after} AND ${reachable(environment)} ${among} ORDER BY vin LIMIT ${pageSize}) page
      GROUP BY model, sw_version, region ORDER BY model, sw_version, region`;
    const groups = rows.map((row) => ({
      model: row.model,
      swVersion: row.swVersion,
      region: row.region,
      vins: vinsOf(row.vins),
    }));
    // VINs are digits and capital letters, whose order is the same in every collation.
    for (const { last } of rows) if (last > after) after = last;
    more = groups.reduce((count, group) => count + group.vins.length, 0) === pageSize;
    yield groups;
  }
}

/** Counts the vehicles that a flag of `environment` can reach; all for null. */
export async function countReachable(prisma: PrismaClient, environment: Environment | null): Promise<number> {
  const [row] = await rowsOf(prisma, {
    count: is.bigint,
  })`SELECT count(*) AS count FROM vehicles WHERE ${reachable(environment)}`;
  return Number(row?.count ?? 0);
}
