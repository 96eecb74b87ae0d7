import { randomUUID } from 'node:crypto';
import { FleetFlagError } from '../../../core/errors.ts';
import type { JsonObject } from '../../../core/model.ts';
import type { CallerIdentity } from '../../../core/access/caller.ts';
import type { PrismaClient } from '../../../prisma/generated/client.ts';
import { appendAudit } from './audit-log.ts';
import type { Transaction } from '../postgres/transaction.ts';
import { is } from '../../../core/json/shape.ts';
import { rowsOf } from '../postgres/rows.ts';

/** The outcome of one run of the partitions' maintenance. */
export interface AuditPartitionMaintenance {
  /** The number of partitions that were created. */
  readonly created: number;
  /** Names of the tables that were detached from audit_logs. The operator archives them; FleetFlag never drops them. */
  readonly detached: readonly string[];
}

/** The audit log's record of a detached partition. Both positions are null when the partition had no rows. */
interface DetachedPartition extends JsonObject {
  readonly partition: string;
  readonly rows: number;
  readonly firstPosition: number | null;
  readonly lastPosition: number | null;
  readonly lastHash: string | null;
}

const KEEPER = 'fleetflag-partition-keeper';

/**
 * Creates the partitions of audit_logs for this year and the next where they are missing, and detaches those that lie
 * wholly more than 7 years back. Each detached partition is recorded in the audit log. Call it at start and daily; any
 * number of processes may run it at once.
 *
 * @param now the current time; the database's clock by default, tests pass their own
 */
export async function maintainAuditPartitions(
  prisma: PrismaClient,
  now: Date | null = null,
): Promise<AuditPartitionMaintenance> {
  const [ensured] = await waitingBriefly(
    prisma,
    (tx) =>
      rowsOf(tx, {
        created: is.number,
      })`SELECT ensure_audit_log_partitions(3, COALESCE(${now}::timestamptz, now())) AS created`,
  );
  const detached: string[] = [];
  for (let record = await detachExpired(prisma, now); record !== null; record = await detachExpired(prisma, now))
    detached.push(record.partition);
  return { created: ensured?.created ?? 0, detached };
}

/**
 * Runs `use` in a transaction that gives up soon. Attaching or detaching a partition waits for readers of the audit
 * log, and every change waits behind it; trying again later is cheaper.
 */
async function waitingBriefly<T>(prisma: PrismaClient, use: (tx: Transaction) => Promise<T>): Promise<T> {
  return prisma.$transaction(async (tx) => {
    await tx.$executeRaw`SET LOCAL lock_timeout = '2s'`;
    return use(tx);
  });
}

async function detachExpired(prisma: PrismaClient, now: Date | null): Promise<DetachedPartition | null> {
  return waitingBriefly(prisma, async (tx) => {
    const [row] = await rowsOf(tx, {
      record: is.nullable(
        is.shape({
          partition: is.string,
          rows: is.number,
          firstPosition: is.nullable(is.number),
          lastPosition: is.nullable(is.number),
          lastHash: is.nullable(is.string),
        }),
      ),
    })`SELECT detach_expired_audit_log_partition(COALESCE(${now}::timestamptz, now())) AS record`;
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
 * Checks that there is a partition for an audit row written now, by the database's clock. Creates it when it is
 * missing.
 *
 * @throws FleetFlagError SERVICE_UNAVAILABLE when it cannot be created, or Prisma's error when PostgreSQL does not
 * answer
 */
export async function requireAuditPartition(prisma: PrismaClient): Promise<void> {
  const [row] = await rowsOf(prisma, {
    isReady: is.boolean,
  })`SELECT ready_audit_log_partition(GREATEST(clock_timestamp(), last_at)) AS "isReady" FROM audit_chain`;
  if (row?.isReady !== true)
    throw new FleetFlagError(
      'SERVICE_UNAVAILABLE',
      'audit_logs has no partition for this month, and another table has its name.',
    );
}
