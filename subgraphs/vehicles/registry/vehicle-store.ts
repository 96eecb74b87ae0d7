/** The vehicles subgraph's table. Rows go in and out as domain types. */
import type { Environment } from '../../../core/model.ts';
import type { Prisma } from '../../../prisma/generated/client.ts';
import type { Reader, Transaction } from '../../shared/postgres/transaction.ts';
import { nextStatusPosition } from './status-position.ts';
import type { Vehicle, VehicleRegistration, VehicleStatus } from './vehicle.ts';

function toVehicle(row: Prisma.VehicleGetPayload<object>): Vehicle {
  return {
    ...row,
    status: row.status as VehicleStatus,
    environment: row.environment as Environment | null,
    agentCpuPercent: row.agentCpuPercent?.toNumber() ?? null,
    cacheSizeMb: row.cacheSizeMb?.toNumber() ?? null,
    appliedRevision: row.appliedRevision === null ? null : Number(row.appliedRevision),
  };
}

/** In no particular order; what is not there is left out. */
export async function findVehicles(db: Reader, vins: readonly string[]): Promise<Vehicle[]> {
  return (await db.vehicle.findMany({ where: { vin: { in: [...vins] } } })).map(toVehicle);
}

/**
 * Writes a batch in one statement: new vehicles are offline, or online where they are connected already; of known ones
 * only what is registered changes, and what is the same is not written. Ordered by VIN, so that two batches with the
 * same vehicles wait for each other instead of blocking each other.
 *
 * @returns those that were written, in no particular order, and whether they are new
 */
export async function upsertVehicles(
  tx: Transaction,
  vehicles: readonly VehicleRegistration[],
): Promise<{ vin: string; created: boolean }[]> {
  const ordered = [...vehicles].sort((a, b) => (a.vin < b.vin ? -1 : 1));
  const column = (field: keyof VehicleRegistration) => ordered.map((vehicle) => vehicle[field]);
  // Only an updated row's version has been locked by whoever updated it: xmax is 0 in an inserted one.
  return tx.$queryRaw<{ vin: string; created: boolean }[]>`
    INSERT INTO vehicles AS known (vin, model, sw_version, region, status)
    SELECT vin, model, sw_version, region, CASE WHEN EXISTS (SELECT FROM vehicle_connections AS open WHERE open.vin = batch.vin) THEN 'online' ELSE 'offline' END
    FROM unnest(${column('vin')}::text[], ${column('model')}::text[], ${column('swVersion')}::text[], ${column('region')}::text[])
      AS batch (vin, model, sw_version, region)
    ORDER BY vin
    ON CONFLICT (vin) DO UPDATE
    SET model = EXCLUDED.model, sw_version = EXCLUDED.sw_version, region = EXCLUDED.region, updated_at = NOW()
    WHERE (known.model, known.sw_version, known.region) IS DISTINCT FROM (EXCLUDED.model, EXCLUDED.sw_version, EXCLUDED.region)
    RETURNING vin, xmax = 0 AS created`;
}

/** The vehicle as it then is; null when there is none. */
export async function setEnvironment(tx: Transaction, vin: string, environment: Environment): Promise<Vehicle | null> {
  // A revision counts in its environment only: that of another says nothing about how far the vehicle has got in this
  // one.
  await tx.vehicle.updateMany({ where: { vin, environment: { not: environment } }, data: { appliedRevision: null } });
  const [row] = await tx.vehicle.updateManyAndReturn({ where: { vin }, data: { environment } });
  return row === undefined ? null : toVehicle(row);
}

/** Takes the vehicle's row lock until the transaction ends; null when there is none. */
export async function lockVehicle(tx: Transaction, vin: string): Promise<Vehicle | null> {
  await tx.$executeRaw`SELECT FROM vehicles WHERE vin = ${vin} FOR UPDATE`;
  return (await findVehicles(tx, [vin]))[0] ?? null;
}

/** Gives the vehicle another status. Its lock is held. */
export async function setStatus(tx: Transaction, vin: string, status: VehicleStatus): Promise<Vehicle> {
  const statusPosition = await nextStatusPosition(tx);
  return toVehicle(await tx.vehicle.update({ where: { vin }, data: { status, statusPosition } }));
}

/**
 * Whether the vehicle has a connection, or lost its last one so short a time ago that it still counts. Its lock is
 * held.
 */
export async function isConnected(tx: Transaction, vin: string): Promise<boolean> {
  const [row] = await tx.$queryRaw<{ connected: boolean }[]>`
    SELECT disconnected_at IS NOT NULL OR EXISTS (SELECT FROM vehicle_connections AS open WHERE open.vin = vehicles.vin) AS connected FROM vehicles WHERE vin = ${vin}`;
  return row?.connected ?? false;
}

/**
 * The next `limit` vehicles whose status changed last after one position and up to another, in that order; of one
 * region and model, or any (null).
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

/** Ends the vehicle's tokens. The vehicle as it then is; null when there is none. */
export async function raiseTokenGeneration(tx: Transaction, vin: string): Promise<Vehicle | null> {
  // The database's clock: gateways page by this time, and ours may differ from that of another instance.
  await tx.$executeRaw`UPDATE vehicles SET token_generation = token_generation + 1, tokens_revoked_at = clock_timestamp() WHERE vin = ${vin}`;
  return (await findVehicles(tx, [vin]))[0] ?? null;
}

/** A vehicle whose tokens have been revoked. */
export interface TokenGeneration {
  readonly vin: string;
  readonly generation: number;
  readonly raisedAt: Date;
}

/** By time and then VIN, the next `limit` after (`since`, `after`). */
export async function tokenGenerations(
  db: Reader,
  since: Date,
  after: string,
  limit: number,
): Promise<TokenGeneration[]> {
  return db.$queryRaw<TokenGeneration[]>`
    SELECT vin, token_generation AS generation, tokens_revoked_at AS "raisedAt" FROM vehicles
    WHERE tokens_revoked_at IS NOT NULL AND (tokens_revoked_at, vin) > (${since}, ${after}) ORDER BY tokens_revoked_at, vin LIMIT ${limit}`;
}
