import { randomUUID } from 'node:crypto';
import { FleetFlagError } from '../../../core/errors.ts';
import type { JsonObject } from '../../../core/model.ts';
import type { CallerIdentity } from '../../../core/access/caller.ts';
import type { PrismaClient } from '../../../prisma/generated/client.ts';
import { appendAudit } from './audit-trail.ts';
import type { Transaction } from '../postgres/transaction.ts';

export interface AuditPartitionMaintenance {
  /** How many partitions were made. */
  readonly created: number;
  /** Tables that are no longer part of audit_logs: to be archived by the operator, never dropped here. */
  readonly detached: readonly string[];
}

/** What the trail says of a partition that was detached. The positions are null of one without rows. */
interface DetachedPartition extends JsonObject {
  readonly partition: string;
  readonly rows: number;
  readonly firstPosition: number | null;
  readonly lastPosition: number | null;
  readonly lastHash: string | null;
}

const KEEPER = 'fleetflag-partition-keeper';

/**
 * Makes the partitions of audit_logs for this year and the next if they are missing, and detaches those wholly
 * older than 7 years, each with its record in the trail. To be called at start and daily; any number of processes may
 * do so.
 *
 * @param now what time it is; the database's, unless a test says otherwise
 */
export async function maintainAuditPartitions(
  prisma: PrismaClient,
  now: Date | null = null,
): Promise<AuditPartitionMaintenance> {
  const [ensured] = await waitingBriefly(
    prisma,
    (tx) =>
      tx.$queryRaw<
        { created: number }[]
      >`SELECT ensure_audit_log_partitions(3, COALESCE(${now}::timestamptz, now())) AS created`,
  );
  const detached: string[] = [];
  for (let record = await detachExpired(prisma, now); record !== null; record = await detachExpired(prisma, now))
    detached.push(record.partition);
  return { created: ensured?.created ?? 0, detached };
}

/**
 * Partitions come and go when nobody reads the trail; while that is waited for every change waits, too: rather the next
 * time.
 */
async function waitingBriefly<T>(prisma: PrismaClient, use: (tx: Transaction) => Promise<T>): Promise<T> {
  return prisma.$transaction(async (tx) => {
    await tx.$executeRaw`SET LOCAL lock_timeout = '2s'`;
    return use(tx);
  });
}

async function detachExpired(prisma: PrismaClient, now: Date | null): Promise<DetachedPartition | null> {
  return waitingBriefly(prisma, async (tx) => {
    const [row] = await tx.$queryRaw<
      { record: DetachedPartition | null }[]
    >`SELECT detach_expired_audit_log_partition(COALESCE(${now}::timestamptz, now())) AS record`;
    const record = row?.record ?? null;
    if (record === null) return null;
    const identity: CallerIdentity = {
      caller: { kind: 'anonymous' },
      origin: { ipAddress: null, userAgent: KEEPER, requestId: randomUUID() },
    };
    await appendAudit(tx, identity, { action: 'DETACH_PARTITION', after: record });
    return record;
  });
}

/**
 * Checks that changes have a partition to write their audit row into, now by the database's clock; one that is missing
 * is made.
 *
 * @throws FleetFlagError SERVICE_UNAVAILABLE where it cannot be made, or Prisma's error where PostgreSQL does not
 *   answer
 */
export async function requireAuditPartition(prisma: PrismaClient): Promise<void> {
  const [row] = await prisma.$queryRaw<
    { isReady: boolean }[]
  >`SELECT ready_audit_log_partition(GREATEST(clock_timestamp(), last_at)) AS "isReady" FROM audit_chain`;
  if (row?.isReady !== true)
    throw new FleetFlagError(
      'SERVICE_UNAVAILABLE',
      'audit_logs has no partition for this month, and another table has its name.',
    );
}
