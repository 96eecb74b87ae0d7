/** The table of faults. All times but `occurred_at` are the database's. */
import { ENVIRONMENTS, type Environment } from '../../../core/model.ts';
import { is } from '../../../core/json/shape.ts';
import { FAULT_KINDS, PROGRAM_FAULT_KINDS } from '../../../core/wire/vehicle/fault.ts';
import { Prisma, type PrismaClient } from '../../../prisma/generated/client.ts';
import { FAULT_LIMITS } from '../../shared/between-subgraphs/stored-faults.ts';
import { rowsOf } from '../../shared/postgres/rows.ts';
import type { FaultCount, FaultReport, StoredFault } from './fault.ts';

/** The most counts of one flag that are given. */
const MAX_COUNTS = 50;

/**
 * Writes reports of different vehicles in one statement, in the order of VINs. Of a fault that is known, the first
 * report counts. Where a vehicle has more faults than are kept, the oldest of the flag with the most faults make room;
 * those that programs cause among themselves, and so do all others. A fault by which a release under way decides makes
 * room for none but another such fault: where these leave too little, the last ones of a report are not stored.
 *
 * @returns the VINs that are registered; nothing is stored of the others
 */
export async function writeFaults(prisma: PrismaClient, reports: readonly FaultReport[]): Promise<ReadonlySet<string>> {
  const faults = reports.flatMap(({ vin, faults: ofVehicle }) => ofVehicle.map((fault) => ({ vin, ...fault })));
  const column = <Field extends keyof (typeof faults)[number]>(field: Field) => faults.map((fault) => fault[field]);
  const rows = await rowsOf(prisma, { vin: is.string })`
    WITH known AS MATERIALIZED (
      SELECT vin FROM vehicles WHERE vin = ANY(${reports.map(({ vin }) => vin)}::text[]) ORDER BY vin FOR KEY SHARE
    ), watched AS MATERIALIZED (
      SELECT r.environment, fl.key AS flag_key, r.started_revision, e.revision AS present_revision
      FROM releases r JOIN flags fl ON fl.id = r.flag_id JOIN environments e ON e.name = r.environment
      WHERE r.ended_at IS NULL
    ), kept AS MATERIALIZED (
      SELECT f.vin, f.environment, f.flag_key, f.revision, f.kind, f.received_at, ${isOfPrograms('f')} AS of_programs,
             ${isDecisive('f')} AS is_decisive
      FROM vehicle_faults f WHERE f.vin IN (SELECT vin FROM known)
    ), given AS (
      SELECT fault.*, ${isOfPrograms('fault')} AS of_programs, ${isDecisive('fault')} AS is_decisive
      FROM unnest(${column('vin')}::text[], ${column('environment')}::text[], ${column('flagKey')}::text[],
        ${column('revision')}::bigint[], ${column('kind')}::text[], ${column('message')}::text[],
        ${column('occurredAt')}::timestamptz[])
        WITH ORDINALITY AS fault (vin, environment, flag_key, revision, kind, message, occurred_at, place)
      WHERE vin IN (SELECT vin FROM known)
        AND NOT EXISTS (
          SELECT FROM vehicle_faults f WHERE (f.vin, f.environment, f.flag_key, f.revision, f.kind)
            = (fault.vin, fault.environment, fault.flag_key, fault.revision, fault.kind))
    ), room AS (
      SELECT vin, of_programs, ${FAULT_LIMITS.faultsOfVehicle}::bigint - count(*) AS rows FROM kept
      WHERE is_decisive GROUP BY vin, of_programs
    ), written AS (
      INSERT INTO vehicle_faults (vin, environment, flag_key, revision, kind, message, occurred_at)
      SELECT vin, environment, flag_key, revision, kind, message, occurred_at
      FROM (SELECT *, row_number() OVER (PARTITION BY vin, of_programs ORDER BY is_decisive DESC, place) AS place_in_row
            FROM given) AS ordered
      LEFT JOIN room USING (vin, of_programs)
      WHERE is_decisive OR place_in_row <= COALESCE(room.rows, ${FAULT_LIMITS.faultsOfVehicle})
      ORDER BY vin
      ON CONFLICT DO NOTHING
      RETURNING vin, environment, flag_key, ${isOfPrograms('vehicle_faults')} AS of_programs
    ), added AS (
      SELECT vin, of_programs, count(*) AS faults FROM written GROUP BY vin, of_programs
    ), added_of_flags AS (
      SELECT vin, of_programs, environment, flag_key, count(*) AS faults FROM written
      GROUP BY vin, of_programs, environment, flag_key
    ), surplus AS (
      -- Of the vehicle's faults from before this statement, the oldest of the flag with the most faults make room for the
      -- added ones: a flag that fails at each of its revisions must not hide the fault of another flag.
      SELECT vin, environment, flag_key, revision, kind
      FROM (
        SELECT kept.*, row_number() OVER (
          PARTITION BY vin, of_programs
          ORDER BY is_decisive DESC, place_in_flag + COALESCE(of_flag.faults, 0), received_at DESC, environment, flag_key,
            revision DESC, kind) AS place
        FROM (
          SELECT *, row_number() OVER (
            PARTITION BY vin, of_programs, environment, flag_key ORDER BY received_at DESC, revision DESC, kind) AS place_in_flag
          FROM kept
        ) AS kept
        LEFT JOIN added_of_flags of_flag USING (vin, of_programs, environment, flag_key)
      ) AS ordered
      JOIN added USING (vin, of_programs)
      WHERE place > GREATEST(0, ${FAULT_LIMITS.faultsOfVehicle}::bigint - added.faults)
    ), removed AS (
      DELETE FROM vehicle_faults f USING surplus s
      WHERE (f.vin, f.environment, f.flag_key, f.revision, f.kind) = (s.vin, s.environment, s.flag_key, s.revision, s.kind)
    )
    SELECT vin FROM known`;
  return new Set(rows.map(({ vin }) => vin));
}

/** The condition that a row with the columns of `vehicle_faults` has been caused by a program. */
const isOfPrograms = (row: string) => Prisma.sql`${Prisma.raw(row)}.kind = ANY(${[...PROGRAM_FAULT_KINDS]}::text[])`;

/**
 * The condition that a release under way decides by a row with the columns of `vehicle_faults`: its flag is in the
 * table `watched`, and its revision is not from before the release
 * (subgraphs/flags/releases/health/release-faults.ts).
 */
const isDecisive = (row: string) => Prisma.sql`EXISTS (
  SELECT FROM watched w
  WHERE (w.environment, w.flag_key) = (${Prisma.raw(row)}.environment, ${Prisma.raw(row)}.flag_key)
    AND ${Prisma.raw(row)}.revision BETWEEN w.started_revision AND w.present_revision)`;

/** Gives the stored faults of vehicles, by VIN, the newest first. */
export async function faultsOfVehicles(
  db: PrismaClient,
  vins: readonly string[],
): Promise<ReadonlyMap<string, readonly StoredFault[]>> {
  const rows = await rowsOf(db, {
    vin: is.string,
    environment: is.oneOf(ENVIRONMENTS),
    flagKey: is.string,
    revision: is.bigint,
    kind: is.oneOf(FAULT_KINDS),
    message: is.string,
    occurredAt: is.date,
    receivedAt: is.date,
  })`
    SELECT vin, environment, flag_key AS "flagKey", revision, kind, message, occurred_at AS "occurredAt",
           received_at AS "receivedAt"
    FROM vehicle_faults
    WHERE vin = ANY(${[...vins]}::text[]) AND received_at > NOW() - make_interval(days => ${FAULT_LIMITS.keptDays})
    ORDER BY received_at DESC, environment, flag_key, revision DESC, kind`;
  const found = new Map<string, StoredFault[]>(vins.map((vin) => [vin, []]));
  for (const { revision, ...row } of rows) found.get(row.vin)?.push({ ...row, revision: Number(revision) });
  return found;
}

/** Names a flag by its key, which is unique in its environment. */
export interface FlagName {
  readonly environment: Environment;
  readonly key: string;
}

/**
 * Counts the vehicles with faults by flag, revision and kind: for each flag in its order, the newest revisions first.
 */
export async function faultCounts(
  db: PrismaClient,
  flags: readonly FlagName[],
): Promise<readonly (readonly FaultCount[])[]> {
  const rows = await rowsOf(db, {
    place: is.number,
    revision: is.bigint,
    kind: is.oneOf(FAULT_KINDS),
    vehicles: is.bigint,
    message: is.string,
    receivedAt: is.date,
  })`
    SELECT flag.place, counted.revision, counted.kind, counted.vehicles, newest.message, newest.received_at AS "receivedAt"
    FROM (
      SELECT environment, key, (place - 1)::int AS place
      FROM unnest(${flags.map(({ environment }) => environment)}::text[], ${flags.map(({ key }) => key)}::text[])
        WITH ORDINALITY AS given (environment, key, place)
    ) AS flag
    CROSS JOIN LATERAL (
      SELECT revision, kind, count(*) AS vehicles FROM vehicle_faults f
      WHERE f.environment = flag.environment AND f.flag_key = flag.key
        AND f.received_at > NOW() - make_interval(days => ${FAULT_LIMITS.keptDays})
      GROUP BY revision, kind ORDER BY revision DESC, kind LIMIT ${MAX_COUNTS}
    ) AS counted
    CROSS JOIN LATERAL (
      SELECT message, received_at FROM vehicle_faults f
      WHERE f.environment = flag.environment AND f.flag_key = flag.key AND f.revision = counted.revision
        AND f.kind = counted.kind
      ORDER BY received_at DESC LIMIT 1
    ) AS newest
    ORDER BY flag.place, counted.revision DESC, counted.kind`;
  const found = flags.map((): FaultCount[] => []);
  for (const { place, revision, vehicles, ...row } of rows)
    found[place]?.push({ ...row, revision: Number(revision), vehicles: Number(vehicles) });
  return found;
}

/** Deletes faults that are past their time. */
export async function removeOldFaults(prisma: PrismaClient): Promise<void> {
  await prisma.$executeRaw`
    DELETE FROM vehicle_faults WHERE received_at <= NOW() - make_interval(days => ${FAULT_LIMITS.keptDays})`;
}
