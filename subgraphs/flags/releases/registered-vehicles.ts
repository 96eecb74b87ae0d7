/**
 * The vehicles of a flag's environment and scope, page by page. A read-only view of the vehicles subgraph's table:
 * docs/decisions/data/reading-another-subgraphs-table.md.
 */
import { is } from '../../../core/json/shape.ts';
import { Prisma } from '../../../prisma/generated/client.ts';
import { rowsOf } from '../../shared/postgres/rows.ts';
import type { Reader } from '../../shared/postgres/transaction.ts';
import type { Flag } from '../flags/flag.ts';

/** The vehicles that are read at once. */
const PAGE = 5_000;

/** A vehicle by its registered facts, and whether it meets the condition that was asked for. */
export interface MarkedVehicle {
  readonly vin: string;
  readonly model: string;
  readonly region: string;
  readonly isMarked: boolean;
}

/**
 * Gives the vehicles of a flag that meet a condition, in pages, as far as the caller reads them.
 *
 * @param condition on the columns of `vehicles`
 * @param mark another condition, which is answered for each vehicle; by default true
 */
export async function* vehiclesOfFlag(
  db: Reader,
  { environment, scope }: Flag,
  condition: Prisma.Sql,
  mark: Prisma.Sql = Prisma.sql`true`,
): AsyncGenerator<readonly MarkedVehicle[], void> {
  const models = scope === null ? Prisma.sql`true` : Prisma.sql`model = ANY(${[...scope]}::text[])`;
  for (let after = '', more = true; more;) {
    const page = await rowsOf(db, { vin: is.string, model: is.string, region: is.string, isMarked: is.boolean })`
      SELECT vin, model, region, ${mark} AS "isMarked" FROM vehicles
      WHERE vin > ${after} AND environment = ${environment} AND ${models} AND (${condition}) ORDER BY vin LIMIT ${PAGE}`;
    after = page.at(-1)?.vin ?? after;
    more = page.length === PAGE;
    yield page;
  }
}
