/** The vehicles subgraph's table. Rows go in and out as domain types. */
import type { Environment } from '../../core/model.ts';
import type { Prisma, PrismaClient } from '../../prisma/generated/client.ts';
import type { Vehicle, VehicleRegistration, VehicleStatus } from './vehicle.ts';

export type Transaction = Prisma.TransactionClient;
type Reader = PrismaClient | Transaction;

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
 * Writes a batch in one statement: new vehicles are offline, of known ones only what is registered changes. Ordered
 * by VIN, so that two batches with the same vehicles wait for each other instead of blocking each other.
 */
export async function upsertVehicles(tx: Transaction, vehicles: readonly VehicleRegistration[]): Promise<void> {
  const ordered = [...vehicles].sort((a, b) => (a.vin < b.vin ? -1 : 1));
  const column = (field: keyof VehicleRegistration) => ordered.map((vehicle) => vehicle[field]);
  await tx.$executeRaw`
    INSERT INTO vehicles (vin, model, sw_version, region, status)
    SELECT vin, model, sw_version, region, 'offline'
    FROM unnest(${column('vin')}::text[], ${column('model')}::text[], ${column('swVersion')}::text[], ${column('region')}::text[])
      AS batch (vin, model, sw_version, region)
    ORDER BY vin
    ON CONFLICT (vin) DO UPDATE
    SET model = EXCLUDED.model, sw_version = EXCLUDED.sw_version, region = EXCLUDED.region, updated_at = NOW()`;
}

/** The vehicle as it then is; null when there is none. */
export async function setEnvironment(tx: Transaction, vin: string, environment: Environment): Promise<Vehicle | null> {
  const [row] = await tx.vehicle.updateManyAndReturn({ where: { vin }, data: { environment } });
  return row === undefined ? null : toVehicle(row);
}
