/**
 * Who is connected where, in the database. All times are the database's. Locks are taken in one order everywhere: the
 * gateway's lease, vehicles by VIN, the head of the status positions.
 */
import type { PrismaClient } from '../../../prisma/generated/client.ts';
import type { Transaction } from '../../shared/postgres/transaction.ts';

/** Seconds after which a gateway that has not reported counts as dead; it reports every 10 s at least. */
export const LEASE_SECONDS = 30;

/** Vehicles that are turned offline in one statement. */
const SWEEP_BATCH = 5_000;

/** Which report of which gateway. */
export interface ReportNumber {
  /** A UUID, of one life of the gateway. */
  readonly gateway: string;
  /** Rises with each report; 1 or more. */
  readonly sequence: number;
  /** The sequence of the last report that the gateway knows to be stored; 0 for none. */
  readonly since: number;
}

/**
 * Renews the lease, and takes its row lock until the transaction ends.
 *
 * @returns false, and nothing has happened, where what is stored of the gateway is not what the report builds on: its
 *   lease has run out, the database was set back, or this report has been overtaken by a later one
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
 * Vehicles' row locks, until the transaction ends: what happens to one vehicle at several gateways happens in turn, and
 * a later statement sees what was committed before it.
 */
export async function lockVehicles(tx: Transaction, vins: readonly string[]): Promise<void> {
  await tx.$queryRaw`SELECT count(*) FROM (SELECT FROM vehicles WHERE vin = ANY(${vins}::text[]) ORDER BY vin FOR UPDATE) AS locked`;
}

/**
 * Opens and closes connections at a gateway; what is so already stays so. Gives the VINs of those that are closed now.
 */
export async function changeConnections(
  tx: Transaction,
  gateway: string,
  opened: readonly string[],
  closed: readonly string[],
): Promise<string[]> {
  const rows = await tx.$queryRaw<{ vin: string }[]>`
    WITH opening AS (
      INSERT INTO vehicle_connections (gateway_id, vin) SELECT ${gateway}::uuid, vin FROM unnest(${opened}::text[]) AS given (vin) ON CONFLICT DO NOTHING
    )
    DELETE FROM vehicle_connections WHERE gateway_id = ${gateway}::uuid AND vin = ANY(${closed}::text[]) RETURNING vin`;
  return rows.map(({ vin }) => vin);
}

/**
 * Makes vehicles what their connections say: online with one, and without any on their way to offline. Their locks are
 * held, and `opened` have a connection.
 *
 * @param contact whether they have just been heard of
 * @returns how many have another status now
 */
export async function applyConnections(
  tx: Transaction,
  opened: readonly string[],
  closed: readonly string[],
  contact: boolean,
): Promise<number> {
  const [row] = await tx.$queryRaw<{ changed: bigint }[]>`
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

/** Forgets gateways whose locks are held, as though all sockets there had been closed now. */
export async function dropGateways(tx: Transaction, gateways: readonly string[], contact: boolean): Promise<void> {
  const rows = await tx.$queryRaw<
    { vin: string }[]
  >`SELECT DISTINCT vin FROM vehicle_connections WHERE gateway_id = ANY(${gateways}::uuid[])`;
  const vins = rows.map(({ vin }) => vin);
  await lockVehicles(tx, vins);
  await tx.$executeRaw`DELETE FROM gateway_leases WHERE gateway_id = ANY(${gateways}::uuid[])`;
  await applyConnections(tx, [], vins, contact);
}

/**
 * Forgets gateways whose lease has run out. Those that another instance is at, or that report at this moment, are left
 * to them. Gives their number.
 */
export async function dropDeadGateways(prisma: PrismaClient): Promise<number> {
  return prisma.$transaction(async (tx) => {
    const dead = await tx.$queryRaw<{ gateway_id: string }[]>`
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
 * Turns vehicles offline that have been without a connection for `graceSeconds`; one in maintenance keeps its status.
 * Vehicles that somebody is changing at this moment are left for the next time.
 *
 * @returns how many were due, and how many of them have another status now
 */
export async function turnOffline(
  prisma: PrismaClient,
  graceSeconds: number,
): Promise<{ due: number; changed: number }> {
  const [row] = await prisma.$queryRaw<{ due: bigint; changed: bigint }[]>`
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
