/**
 * The flags in a release whose new content programs of a vehicle have evaluated, in the form of
 * `vehicles.evaluated_flags`: `<key>:<revision>`. The vehicles subgraph writes it; the flags subgraph reads it
 * (docs/decisions/data/reading-another-subgraphs-table.md).
 */
import { Prisma } from '../../../prisma/generated/client.ts';

/**
 * Selects the vehicles in which programs have evaluated the new content of a flag under a definition of `from` or
 * later, and those whose agents do not report it.
 */
export function hasEvaluated(flag: string, from: number): Prisma.Sql {
  return Prisma.sql`(evaluated_flags IS NULL OR EXISTS (SELECT FROM unnest(evaluated_flags) AS evaluated
    WHERE split_part(evaluated, ':', 1) = ${flag} AND split_part(evaluated, ':', 2)::bigint >= ${from}))`;
}
