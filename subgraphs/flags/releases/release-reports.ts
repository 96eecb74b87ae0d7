/**
 * Counts of the vehicles of a release's ring that report its content as active and evaluated. A read-only view of the
 * vehicles subgraph's table: docs/decisions/data/reading-another-subgraphs-table.md.
 */
import { compileFlag } from '../../../core/evaluation/evaluate.ts';
import { Prisma } from '../../../prisma/generated/client.ts';
import { hasEvaluated } from '../../shared/between-subgraphs/evaluated-flags.ts';
import { hasPendingChange } from '../../shared/between-subgraphs/pending-changes.ts';
import type { Reader } from '../../shared/postgres/transaction.ts';
import type { Flag } from '../flags/flag.ts';
import { vehicleForm } from '../flags/vehicle-form.ts';
import type { FlagRelease } from './flag-release.ts';
import { vehiclesOfFlag } from './registered-vehicles.ts';

/** The reports of a ring, counted as far as they decide. */
export interface RingReports {
  /** The number of vehicles that have to report: as the stage says, or as many as the ring has. */
  readonly needed: number;
  /** The vehicles in which the new content is active. */
  readonly reported: number;
  /**
   * The part of these in which a program has evaluated it. A vehicle whose agent does not report evaluations is in it.
   */
  readonly evaluated: number;
}

/** Counts the vehicles of a ring that meet a condition, up to a number beyond which more do not matter. */
async function countInRing(
  db: Reader,
  flag: Flag,
  isIn: (vehicle: { vin: string; model: string; region: string }) => boolean,
  condition: Prisma.Sql,
  enough: number,
): Promise<number> {
  let count = 0;
  if (enough > 0)
    for await (const page of vehiclesOfFlag(db, flag, condition)) {
      count += page.filter(isIn).length;
      if (count >= enough) break;
    }
  return Math.min(count, enough);
}

/**
 * Counts the vehicles of a release's ring that have reported its present stage since that began. A vehicle reports the
 * revision that it has stored, and the contents that its programs have evaluated; one that has said nothing since then
 * does not count, nor one in which the flag's change waits for the end of a drive.
 */
export async function ringReports(db: Reader, flag: Flag, release: FlagRelease): Promise<RingReports> {
  const minimum = release.stages[release.stage]?.minimumVehicles ?? 0;
  const { release: compiled } = compileFlag(vehicleForm(flag));
  if (minimum === 0 || compiled === null) return { needed: minimum, reported: 0, evaluated: 0 };
  // A revision that is still to come is one of a history that a restore has ended, or a lie.
  const present = Prisma.sql`(SELECT revision FROM environments WHERE name = ${flag.environment})`;
  const has = Prisma.sql`COALESCE(applied_revision BETWEEN ${release.revision} AND ${present} AND last_seen_at >= ${release.stageStartedAt}, false) AND NOT ${hasPendingChange({ flag: flag.key })}`;
  const isEvaluated = hasEvaluated(flag.key, release.revision);
  const count = (condition: Prisma.Sql, enough: number) => countInRing(db, flag, compiled.isIn, condition, enough);
  const evaluated = await count(Prisma.sql`${has} AND ${isEvaluated}`, minimum);
  const reported = evaluated + (await count(Prisma.sql`${has} AND NOT ${isEvaluated}`, minimum - evaluated));
  const silent = await count(Prisma.sql`NOT (${has})`, minimum - reported);
  return { needed: reported + silent, reported, evaluated };
}
