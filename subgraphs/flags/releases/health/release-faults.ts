/**
 * Counts of the vehicles that report faults under a release. A read-only view of the vehicles subgraph's tables:
 * docs/decisions/data/reading-another-subgraphs-table.md.
 */
import { compileFlag } from '../../../../core/evaluation/evaluate.ts';
import { is } from '../../../../core/json/shape.ts';
import { isPastFaultLimit, type FaultFigures } from '../../../../core/releases/fault-limit.ts';
import { Prisma } from '../../../../prisma/generated/client.ts';
import { rowsOf } from '../../../shared/postgres/rows.ts';
import { hasPendingChange } from '../../../shared/between-subgraphs/pending-changes.ts';
import { FAULT_LIMITS } from '../../../shared/between-subgraphs/stored-faults.ts';
import type { Reader } from '../../../shared/postgres/transaction.ts';
import type { Flag } from '../../flags/flag.ts';
import { vehicleForm } from '../../flags/vehicle-form.ts';
import type { FlagRelease } from '../flag-release.ts';
import { vehiclesOfFlag } from '../registered-vehicles.ts';

/** A release under way, and the number of vehicles with a fault since it began, in its ring or not. */
export interface FaultyRelease {
  readonly id: string;
  readonly flagId: string;
  readonly faulty: number;
}

/**
 * The rows of faults that are read for one release at most; beyond them the number of faulty vehicles does not matter.
 */
const READ_ROWS = 10_000;

/**
 * Gives the releases under way with more faulty vehicles than they allow, wherever these are. Only of them the fleet
 * has to be counted.
 *
 * @param flagIds the flags whose releases are meant; by default all
 */
export async function faultyReleases(db: Reader, flagIds?: readonly string[]): Promise<FaultyRelease[]> {
  const meant = flagIds === undefined ? Prisma.sql`true` : Prisma.sql`r.flag_id = ANY(${[...flagIds]}::uuid[])`;
  const rows = await rowsOf(db, { id: is.string, flagId: is.string, faulty: is.bigint })`
    SELECT r.id, r.flag_id AS "flagId", counted.faulty FROM releases r JOIN flags fl ON fl.id = r.flag_id
    CROSS JOIN LATERAL (
      SELECT count(DISTINCT vin) AS faulty FROM (
        SELECT f.vin FROM vehicle_faults f
        WHERE f.environment = r.environment AND f.flag_key = fl.key
          AND f.revision BETWEEN r.started_revision AND (SELECT revision FROM environments WHERE name = r.environment)
        LIMIT GREATEST(${READ_ROWS}::bigint, ${FAULT_LIMITS.rowsOfVehicle} * (r.maximum_faulty_vehicles::bigint + 1))
      ) AS read
    ) AS counted
    WHERE r.ended_at IS NULL AND ${meant} AND counted.faulty > r.maximum_faulty_vehicles ORDER BY r.id`;
  return rows.map(({ faulty, ...row }) => ({ ...row, faulty: Number(faulty) }));
}

/**
 * Gives the vehicles that have faults under a flag since a release of it began, as a condition on `vehicles`. It is
 * about one vehicle at a time: the faulty vehicles of a whole fleet are not gathered for each page. A fault under a
 * revision that is still to come is no fault under any definition.
 */
const isFaulty = ({ environment, key }: Flag, { startedRevision }: FlagRelease) => Prisma.sql`EXISTS (
  SELECT FROM vehicle_faults f WHERE f.vin = vehicles.vin
    AND f.environment = ${environment} AND f.flag_key = ${key}
    AND f.revision BETWEEN ${startedRevision} AND (SELECT revision FROM environments WHERE name = ${environment}))`;

/** Counts vehicles that meet a condition, by their registered facts, until `isEnough`. */
async function countVehicles(
  db: Reader,
  flag: Flag,
  release: FlagRelease,
  condition: Prisma.Sql,
  isEnough: (figures: FaultFigures) => boolean,
): Promise<FaultFigures> {
  const [ring, rest] = [
    { vehicles: 0, faulty: 0 },
    { vehicles: 0, faulty: 0 },
  ];
  const { release: compiled } = compileFlag(vehicleForm(flag));
  if (compiled === null) return { ring, rest };
  for await (const page of vehiclesOfFlag(db, flag, condition, isFaulty(flag, release))) {
    for (const vehicle of page) {
      const side = compiled.isIn(vehicle) ? ring : rest;
      side.vehicles += 1;
      if (vehicle.isMarked) side.faulty += 1;
    }
    if (isEnough({ ring, rest })) break;
  }
  return { ring, rest };
}

/**
 * Counts the vehicles that have the definition of a release, and the faulty ones among them, by whether they are in its
 * ring. A vehicle has it that reports the revision at which the release began, and that the flag's change does not wait
 * for the end of a drive, or a fault under it.
 */
export function wholeFaultFigures(db: Reader, flag: Flag, release: FlagRelease): Promise<FaultFigures> {
  // A revision that is still to come is one of a history that a restore has ended, or a lie.
  const present = Prisma.sql`(SELECT revision FROM environments WHERE name = ${flag.environment})`;
  const isActive = Prisma.sql`applied_revision BETWEEN ${release.startedRevision} AND ${present} AND NOT ${hasPendingChange({ flag: flag.key })}`;
  const has = Prisma.sql`((${isActive}) OR ${isFaulty(flag, release)})`;
  return countVehicles(db, flag, release, has, () => false);
}

/**
 * Gives the figures by which the gate decides. Faulty vehicles are counted first: where too few of them are in the
 * ring, the others do not matter, and the figures have no more than the faulty ones.
 */
export async function faultFigures(db: Reader, flag: Flag, release: FlagRelease): Promise<FaultFigures> {
  const isTooMany = ({ ring }: FaultFigures) => ring.faulty > release.maximumFaultyVehicles;
  const first = await countVehicles(db, flag, release, isFaulty(flag, release), isTooMany);
  return isTooMany(first) ? wholeFaultFigures(db, flag, release) : first;
}

/** Says whether too many vehicles report faults under a release, by its own limits. */
export async function isTooFaulty(db: Reader, flag: Flag, release: FlagRelease): Promise<boolean> {
  return isPastFaultLimit(await faultFigures(db, flag, release), release);
}
