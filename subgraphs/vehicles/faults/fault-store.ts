/** The table of faults. All times but `occurred_at` are the database's. */
import { ENVIRONMENTS, type Environment } from '../../../core/model.ts';
import { is } from '../../../core/json/shape.ts';
import { FAULT_KINDS, PROGRAM_FAULT_KINDS } from '../../../core/wire/vehicle/fault.ts';
import type { PrismaClient } from '../../../prisma/generated/client.ts';
import { FAULT_LIMITS } from '../../shared/between-subgraphs/stored-faults.ts';
import { rowsOf } from '../../shared/postgres/rows.ts';
import type { FaultCount, FaultReport, StoredFault } from './fault.ts';

/** The most counts of one flag that are given. */
const MAX_COUNTS = 50;

/**
 * Writes reports of different vehicles in one statement, in the order of VINs. Of a fault that is known, the first
 * report counts. Where a vehicle has more faults than are kept, the oldest of the flag with the most faults make room;
 * those that programs cause among themselves, and so do all others.
 *
 * @returns the VINs that are registered; the others are not stored
 */
export async function writeFaults(prisma: PrismaClient, reports: readonly FaultReport[]): Promise<ReadonlySet<string>> {
  const faults = reports.flatMap(({ vin, faults: ofVehicle }) => ofVehicle.map((fault) => ({ vin, ...fault })));
  const column = <Field extends keyof (typeof faults)[number]>(field: Field) => faults.map((fault) => fault[field]);
  const rows = await rowsOf(prisma, { vin: is.string })`
    WITH known AS MATERIALIZED (
      SELECT vin FROM vehicles WHERE vin = ANY(${reports.map(({ vin }) => vin)}::text[]) ORDER BY vin FOR KEY SHARE
    ), written AS (
      INSERT INTO vehicle_faults (vin, environment, flag_key, revision, kind, message, occurred_at)
      SELECT known.vin, fault.environment, fault.flag_key, fault.revision, fault.kind, fault.message, fault.occurred_at
      FROM unnest(${column('vin')}::text[], ${column('environment')}::text[], ${column('flagKey')}::text[],
        ${column('revision')}::bigint[], ${column('kind')}::text[], ${column('message')}::text[],
        ${column('occurredAt')}::timestamptz[]) AS fault (vin, environment, flag_key, revision, kind, message, occurred_at)
      JOIN known ON known.vin = fault.vin
      ORDER BY known.vin
      ON CONFLICT DO NOTHING
      RETURNING vin, environment, flag_key, kind = ANY(${[...PROGRAM_FAULT_KINDS]}::text[]) AS of_programs
    ), added AS (
      SELECT vin, of_programs, count(*) AS faults FROM written GROUP BY vin, of_programs
    ), surplus AS (
      -- Of the vehicle's faults from before this statement, the oldest of the flag with the most faults make room for the
      -- added ones: a flag that fails at each of its revisions must not hide the fault of another one's release.
      SELECT old.vin, old.environment, old.flag_key, old.revision, old.kind FROM added
      CROSS JOIN LATERAL (
        SELECT f.vin, f.environment, f.flag_key, f.revision, f.kind FROM vehicle_faults f
        WHERE f.vin = added.vin AND (f.kind = ANY(${[...PROGRAM_FAULT_KINDS]}::text[])) = added.of_programs
        ORDER BY row_number() OVER (PARTITION BY f.environment, f.flag_key ORDER BY f.received_at DESC, f.revision DESC, f.kind)
            + (SELECT count(*) FROM written w
               WHERE (w.vin, w.environment, w.flag_key, w.of_programs) = (f.vin, f.environment, f.flag_key, added.of_programs)),
          f.received_at DESC, f.environment, f.flag_key, f.revision DESC, f.kind
        OFFSET GREATEST(0, ${FAULT_LIMITS.faultsOfVehicle}::bigint - added.faults)
      ) AS old
    ), removed AS (
      DELETE FROM vehicle_faults f USING surplus s
      WHERE (f.vin, f.environment, f.flag_key, f.revision, f.kind) = (s.vin, s.environment, s.flag_key, s.revision, s.kind)
    )
    SELECT vin FROM known`;
  return new Set(rows.map(({ vin }) => vin));
}

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
