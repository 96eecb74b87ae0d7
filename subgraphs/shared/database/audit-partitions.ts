import type { PrismaClient } from '../../../prisma/generated/client.ts';

export interface AuditPartitionMaintenance {
  /** How many partitions were made. */
  readonly created: number;
  /** Tables that are no longer part of audit_logs: to be archived by the operator, never dropped here. */
  readonly detached: readonly string[];
}

/**
 * Makes the partitions of audit_logs for this month and the next three if they are missing, and detaches those wholly
 * older than 7 years. To be called at start and daily; any number of processes may do so.
 */
export async function maintainAuditPartitions(prisma: PrismaClient): Promise<AuditPartitionMaintenance> {
  const [ensured] = await prisma.$queryRaw<{ created: number }[]>`SELECT ensure_audit_log_partitions(3) AS created`;
  const detached = await prisma.$queryRaw<{ name: string }[]>`SELECT detach_expired_audit_log_partitions() AS name`;
  return { created: ensured?.created ?? 0, detached: detached.map(({ name }) => name) };
}
