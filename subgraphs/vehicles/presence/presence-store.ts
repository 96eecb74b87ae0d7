/**
 * Connections of vehicles at gateways, in the database. All times are the database's. Locks are always taken in one
 * order: the gateway's lease, vehicles by VIN, the head of the status positions.
 */
import type { ReportNumber } from '../../../core/wire/subgraph/presence-report.ts';
import type { PrismaClient } from '../../../prisma/generated/client.ts';
import type { Transaction } from '../../shared/postgres/transaction.ts';
import { is } from '../../../core/json/shape.ts';
import { rowCount, rowsOf } from '../../shared/postgres/rows.ts';

/** Seconds after which a gateway that has not reported counts as dead; it reports at least every 10 s. */
const LEASE_SECONDS = 30;

/** The most vehicles that one statement sets offline. */
const SWEEP_BATCH = 5_000;

/** A gateway as its reports show it. */
export interface GatewayState {
  readonly id: string;
  readonly reportedAt: Date;
  readonly secondsSinceReport: number;
  /** The number of vehicles with a connection there. */
  readonly vehicles: number;
}

/** Gives the gateways whose lease has not expired, those with the most vehicles first. */
export function liveGateways(prisma: PrismaClient): Promise<GatewayState[]> {
  return rowsOf(prisma, { id: is.string, reportedAt: is.date, secondsSinceReport: is.number, vehicles: is.number })`
    SELECT gateway_id AS id, renewed_at AS "reportedAt",
           GREATEST(0, extract(epoch FROM clock_timestamp() - renewed_at))::float8 AS "secondsSinceReport",
           (SELECT count(*) FROM vehicle_connections AS open WHERE open.gateway_id = lease.gateway_id)::int4 AS vehicles
    FROM gateway_leases AS lease
    WHERE renewed_at >= NOW() - make_interval(secs => ${LEASE_SECONDS})
    ORDER BY vehicles DESC, id`;
}

/**
 * Renews the gateway's lease, and locks its row until the transaction ends.
 *
 * @returns false, having changed nothing, when the stored state is not the one that the report builds on: the lease has
 * expired, the database was restored from a backup, or a later report has overtaken this one
 */
export async function renewLease(tx: Transaction, { gateway, sequence, since }: ReportNumber): Promise<boolean> {
  const renewed =
    since === 0
      ? await tx.$executeRaw`
          INSERT INTO gateway_leases AS lease (gateway_id, sequence) VALUES (${gateway}::uuid, ${sequence})
          ON CONFLICT (gateway_id) DO UPDATE SET sequence = EXCLUDED.sequence, renewed_at = NOW() WHERE lease.sequence < EXCLUDED.sequence`
      : await tx.$executeRaw`
          UPDATE gateway_leases SET sequence = ${sequence}, renewed_at = NOW()
          WHERE gateway_id = ${gateway}::uuid AND sequence < ${sequence} AND sequence >= ${since}`;
  return renewed > 0;
}

/**
 * Locks vehicles' rows until the transaction ends. Reports of one vehicle from several gateways are stored one after
 * another, and later statements see what was committed before.
 */
export async function lockVehicles(tx: Transaction, vins: readonly string[]): Promise<void> {
  await rowCount(
    tx,
  )`SELECT count(*) FROM (SELECT FROM vehicles WHERE vin = ANY(${vins}::text[]) ORDER BY vin FOR UPDATE) AS locked`;
}

/**
 * Opens and closes connections at a gateway; repeating it changes nothing. Gives the VINs whose connections were
 * closed.
 */
export async function changeConnections(
  tx: Transaction,
  gateway: string,
  opened: readonly string[],
  closed: readonly string[],
): Promise<string[]> {
  const rows = await rowsOf(tx, { vin: is.string })`
    WITH opening AS (
      INSERT INTO vehicle_connections (gateway_id, vin) SELECT ${gateway}::uuid, vin FROM unnest(${opened}::text[]) AS given (vin) ON CONFLICT DO NOTHING
    )
    DELETE FROM vehicle_connections WHERE gateway_id = ${gateway}::uuid AND vin = ANY(${closed}::text[]) RETURNING vin`;
  return rows.map(({ vin }) => vin);
}

/**
 * Sets the vehicles' status from their connections: a vehicle with one is online; one without any is due to go offline.
 * The caller holds their locks, and each of `opened` has a connection.
 *
 * @param contact whether the vehicles have just been in contact
 * @returns the number of vehicles whose status has changed
 */
export async function applyConnections(
  tx: Transaction,
  opened: readonly string[],
  closed: readonly string[],
  contact: boolean,
): Promise<number> {
  const [row] = await rowsOf(tx, { changed: is.bigint })`
    WITH coming AS MATERIALIZED (
      SELECT vin, row_number() OVER (ORDER BY vin) AS rank FROM vehicles WHERE vin = ANY(${opened}::text[]) AND status = 'offline'
    ), moved AS (
      UPDATE vehicle_status_head SET position = position + (SELECT count(*) FROM coming) WHERE EXISTS (SELECT FROM coming)
      RETURNING position - (SELECT count(*) FROM coming) AS base
    ), written AS (
      UPDATE vehicles SET
        status = CASE WHEN coming.rank IS NULL THEN vehicles.status ELSE 'online' END,
        status_position = COALESCE(moved.base + coming.rank, vehicles.status_position),
        disconnected_at = CASE WHEN EXISTS (SELECT FROM vehicle_connections AS open WHERE open.vin = vehicles.vin) THEN NULL ELSE NOW() END,
        last_seen_at = CASE WHEN ${contact} THEN NOW() ELSE vehicles.last_seen_at END
      FROM unnest(${[...opened, ...closed]}::text[]) AS touched (vin) LEFT JOIN coming ON coming.vin = touched.vin LEFT JOIN moved ON true
      WHERE vehicles.vin = touched.vin
    )
    SELECT count(*) AS changed FROM coming`;
  return Number(row?.changed ?? 0);
}

/** Deletes gateways as if all their sockets had been closed now. The caller holds their locks. */
export async function dropGateways(tx: Transaction, gateways: readonly string[], contact: boolean): Promise<void> {
  const rows = await rowsOf(tx, {
    vin: is.string,
  })`SELECT DISTINCT vin FROM vehicle_connections WHERE gateway_id = ANY(${gateways}::uuid[])`;
  const vins = rows.map(({ vin }) => vin);
  await lockVehicles(tx, vins);
  await tx.$executeRaw`DELETE FROM gateway_leases WHERE gateway_id = ANY(${gateways}::uuid[])`;
  await applyConnections(tx, [], vins, contact);
}

/**
 * Deletes gateways whose lease has expired, except those that another instance is handling or that report at this
 * moment. Gives the number of deleted ones.
 */
export async function dropDeadGateways(prisma: PrismaClient): Promise<number> {
  return prisma.$transaction(async (tx) => {
    const dead = await rowsOf(tx, { gateway_id: is.string })`
      SELECT gateway_id FROM gateway_leases WHERE renewed_at < NOW() - make_interval(secs => ${LEASE_SECONDS}) FOR UPDATE SKIP LOCKED`;
    if (dead.length > 0)
      await dropGateways(
        tx,
        dead.map((lease) => lease.gateway_id),
        false,
      );
    return dead.length;
  });
}

/**
 * Sets vehicles offline that have been without a connection for `graceSeconds`; one in maintenance keeps its status.
 * Vehicles that another transaction has locked wait for the next sweep.
 *
 * @returns the number of due vehicles, and of those whose status has changed
 */
export async function turnOffline(
  prisma: PrismaClient,
  graceSeconds: number,
): Promise<{ due: number; changed: number }> {
  const [row] = await rowsOf(prisma, { due: is.bigint, changed: is.bigint })`
    WITH gone AS MATERIALIZED (
      SELECT vin, status FROM vehicles WHERE disconnected_at <= NOW() - make_interval(secs => ${graceSeconds}) LIMIT ${SWEEP_BATCH} FOR UPDATE SKIP LOCKED
    ), going AS MATERIALIZED (
      SELECT vin, row_number() OVER (ORDER BY vin) AS rank FROM gone WHERE status = 'online'
    ), moved AS (
      UPDATE vehicle_status_head SET position = position + (SELECT count(*) FROM going) WHERE EXISTS (SELECT FROM going)
      RETURNING position - (SELECT count(*) FROM going) AS base
    ), written AS (
      UPDATE vehicles SET
        status = CASE WHEN going.rank IS NULL THEN vehicles.status ELSE 'offline' END,
        status_position = COALESCE(moved.base + going.rank, vehicles.status_position),
        disconnected_at = NULL
      FROM gone LEFT JOIN going ON going.vin = gone.vin LEFT JOIN moved ON true
      WHERE vehicles.vin = gone.vin
    )
    SELECT (SELECT count(*) FROM gone) AS due, (SELECT count(*) FROM going) AS changed`;
  return { due: Number(row?.due ?? 0), changed: Number(row?.changed ?? 0) };
}
