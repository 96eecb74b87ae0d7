/** The vehicles subgraph's table. Rows are mapped to domain types here. */
import { ENVIRONMENTS, type Environment } from '../../../core/model.ts';
import type { Prisma } from '../../../prisma/generated/client.ts';
import type { Reader, Transaction } from '../../shared/postgres/transaction.ts';
import { nextStatusPosition } from './status-position.ts';
import { VEHICLE_STATUSES, type Vehicle, type VehicleRegistration, type VehicleStatus } from './vehicle.ts';
import { oneOf, oneOfOrNull } from '../../shared/postgres/column-values.ts';
import { is } from '../../../core/json/shape.ts';
import { rowsOf } from '../../shared/postgres/rows.ts';

const readStatus = oneOf('vehicles.status', VEHICLE_STATUSES);
const readEnvironment = oneOfOrNull('vehicles.environment', ENVIRONMENTS);

function toVehicle(row: Prisma.VehicleGetPayload<object>): Vehicle {
  return {
    ...row,
    status: readStatus(row.status),
    environment: readEnvironment(row.environment),
    agentCpuPercent: row.agentCpuPercent?.toNumber() ?? null,
    cacheSizeMb: row.cacheSizeMb?.toNumber() ?? null,
    appliedRevision: row.appliedRevision === null ? null : Number(row.appliedRevision),
  };
}

/** Finds vehicles, in no particular order; unknown VINs are left out. */
export async function findVehicles(db: Reader, vins: readonly string[]): Promise<Vehicle[]> {
  return (await db.vehicle.findMany({ where: { vin: { in: [...vins] } } })).map(toVehicle);
}

/**
 * Writes a batch in one statement. A new vehicle is offline, or online where it is already connected. Of a known
 * vehicle only the registered facts change, and with the model the time of its change; unchanged rows are not written.
 * Rows are written in the order of VINs, so that two batches with the same vehicles wait for each other instead of
 * deadlocking.
 *
 * @returns the written vehicles, in no particular order, and whether each is new
 */
export async function upsertVehicles(
  tx: Transaction,
  vehicles: readonly VehicleRegistration[],
): Promise<{ vin: string; created: boolean }[]> {
  const ordered = [...vehicles].sort((a, b) => (a.vin < b.vin ? -1 : 1));
  const column = (field: keyof VehicleRegistration) => ordered.map((vehicle) => vehicle[field]);
  // xmax is 0 in an inserted row; an updated row carries the transaction that locked it.
  return rowsOf(tx, { vin: is.string, created: is.boolean })`
    INSERT INTO vehicles AS known (vin, model, sw_version, region, status)
    SELECT vin, model, sw_version, region, CASE WHEN EXISTS (SELECT FROM vehicle_connections AS open WHERE open.vin = batch.vin) THEN 'online' ELSE 'offline' END
    FROM unnest(${column('vin')}::text[], ${column('model')}::text[], ${column('swVersion')}::text[], ${column('region')}::text[])
      AS batch (vin, model, sw_version, region)
    ORDER BY vin
    ON CONFLICT (vin) DO UPDATE
    SET model = EXCLUDED.model, sw_version = EXCLUDED.sw_version, region = EXCLUDED.region, updated_at = NOW(),
      model_changed_at = CASE WHEN known.model = EXCLUDED.model THEN known.model_changed_at ELSE clock_timestamp() END
    WHERE (known.model, known.sw_version, known.region) IS DISTINCT FROM (EXCLUDED.model, EXCLUDED.sw_version, EXCLUDED.region)
    RETURNING vin, xmax = 0 AS created`;
}

/** Sets the environment and gives the updated vehicle; null when there is none. */
export async function setEnvironment(tx: Transaction, vin: string, environment: Environment): Promise<Vehicle | null> {
  // A revision counts only in its environment: one of another environment says nothing about the vehicle's state in
  // this one.
  await tx.vehicle.updateMany({ where: { vin, environment: { not: environment } }, data: { appliedRevision: null } });
  const [row] = await tx.vehicle.updateManyAndReturn({ where: { vin }, data: { environment } });
  return row === undefined ? null : toVehicle(row);
}

/** Locks the vehicle's row until the transaction ends; gives null when there is none. */
export async function lockVehicle(tx: Transaction, vin: string): Promise<Vehicle | null> {
  await tx.$executeRaw`SELECT FROM vehicles WHERE vin = ${vin} FOR UPDATE`;
  return (await findVehicles(tx, [vin]))[0] ?? null;
}

/** Sets the vehicle's status; the caller holds its lock. */
export async function setStatus(tx: Transaction, vin: string, status: VehicleStatus): Promise<Vehicle> {
  const statusPosition = await nextStatusPosition(tx);
  return toVehicle(await tx.vehicle.update({ where: { vin }, data: { status, statusPosition } }));
}

/**
 * Checks whether the vehicle has a connection, or lost its last one within the grace period. The caller holds its lock.
 */
export async function isConnected(tx: Transaction, vin: string): Promise<boolean> {
  const [row] = await rowsOf(tx, { connected: is.boolean })`
    SELECT disconnected_at IS NOT NULL OR EXISTS (SELECT FROM vehicle_connections AS open WHERE open.vin = vehicles.vin) AS connected FROM vehicles WHERE vin = ${vin}`;
  return row?.connected ?? false;
}

/**
 * Gives the next `limit` vehicles whose last status change has a position above `after` and at most `upTo`, in the
 * order of positions. `region` and `model` restrict them; null is for any.
 */
export async function changedStatuses(
  db: Reader,
  { after, upTo }: { readonly after: number; readonly upTo: number },
  { region, model }: { readonly region: string | null; readonly model: string | null },
  limit: number,
): Promise<{ position: number; vehicle: Vehicle }[]> {
  const rows = await db.vehicle.findMany({
    where: {
      statusPosition: { gt: after, lte: upTo },
      ...(region !== null && { region }),
      ...(model !== null && { model }),
    },
    orderBy: { statusPosition: 'asc' },
    take: limit,
  });
  return rows.map((row) => ({ position: Number(row.statusPosition), vehicle: toVehicle(row) }));
}

/** Revokes the vehicle's tokens and gives the updated vehicle; null when there is none. */
export async function raiseTokenGeneration(tx: Transaction, vin: string): Promise<Vehicle | null> {
  // The time is that of the database's clock: gateways page by it, and instances' clocks differ. It never goes back, as
  // that clock may when another server takes over: a gateway would not find what comes before the newest that it has.
  await tx.$executeRaw`UPDATE vehicles SET token_generation = token_generation + 1,
    tokens_revoked_at = GREATEST(clock_timestamp(), (SELECT max(tokens_revoked_at) FROM vehicles)) WHERE vin = ${vin}`;
  return (await findVehicles(tx, [vin]))[0] ?? null;
}

/** The current token generation of a vehicle whose tokens have been revoked. */
export interface TokenGeneration {
  readonly vin: string;
  readonly generation: number;
  readonly raisedAt: Date;
}

/** Gives revocations by time and then VIN: the next `limit` after (`since`, `after`). */
export async function tokenGenerations(
  db: Reader,
  since: Date,
  after: string,
  limit: number,
): Promise<TokenGeneration[]> {
  return rowsOf(db, { vin: is.string, generation: is.number, raisedAt: is.date })`
    SELECT vin, token_generation AS generation, tokens_revoked_at AS "raisedAt" FROM vehicles
    WHERE tokens_revoked_at IS NOT NULL AND (tokens_revoked_at, vin) > (${since}, ${after}) ORDER BY tokens_revoked_at, vin LIMIT ${limit}`;
}
