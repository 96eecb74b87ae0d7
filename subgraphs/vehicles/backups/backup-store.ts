/** The table of backups. All times are the database's. */
import type { PrismaClient } from '../../../prisma/generated/client.ts';
import { is } from '../../../core/json/shape.ts';
import { rowsOf } from '../../shared/postgres/rows.ts';
import { BACKUP_LIMITS, type Backup, type StoredBackup } from './backup.ts';

/** The outcome of writing a backup: `full` means that the vehicle has as many agents with a backup as it may. */
export type BackupOutcome = 'stored' | 'unregistered' | 'full';

/** Gives the key of a backup in the outcomes of a write. */
export const backupKey = ({ vin, agent }: Pick<Backup, 'vin' | 'agent'>) => `${vin} ${agent}`;

/**
 * Writes backups of different agents in one statement, in the order of VINs. The agents of a vehicle are counted as
 * they were before the statement, those of the batch itself included.
 *
 * @returns the result for each, by its key
 */
export async function writeBackups(
  prisma: PrismaClient,
  backups: readonly Backup[],
): Promise<ReadonlyMap<string, BackupOutcome>> {
  const column = (field: keyof Backup) => backups.map((backup) => backup[field]);
  const rows = await rowsOf(prisma, { vin: is.string, agent: is.string, stored: is.boolean })`
    WITH known AS MATERIALIZED (
      SELECT vin FROM vehicles WHERE vin = ANY(${column('vin')}::text[]) ORDER BY vin FOR KEY SHARE
    ), given AS MATERIALIZED (
      SELECT known.vin, backup.agent, decode(backup.content, 'base64') AS content, own.agent IS NOT NULL AS has_row,
             row_number() OVER (PARTITION BY known.vin, own.agent IS NOT NULL ORDER BY backup.agent) AS rank,
             (SELECT count(*) FROM vehicle_backups AS other WHERE other.vin = known.vin) AS rows
      FROM unnest(${column('vin')}::text[], ${column('agent')}::text[], ${column('content')}::text[]) AS backup (vin, agent, content)
      JOIN known ON known.vin = backup.vin
      LEFT JOIN vehicle_backups AS own ON own.vin = backup.vin AND own.agent = backup.agent
    ), written AS (
      INSERT INTO vehicle_backups (vin, agent, content, digest)
      SELECT vin, agent, content, encode(sha256(content), 'hex') FROM given
      WHERE has_row OR rows + rank <= ${BACKUP_LIMITS.agentsOfVehicle} ORDER BY vin, agent
      ON CONFLICT (vin, agent) DO UPDATE SET content = EXCLUDED.content, digest = EXCLUDED.digest, backed_up_at = NOW()
      RETURNING vin, agent
    )
    SELECT given.vin, given.agent, written.vin IS NOT NULL AS stored
    FROM given LEFT JOIN written ON written.vin = given.vin AND written.agent = given.agent`;
  const found = new Map(rows.map((row) => [backupKey(row), row.stored ? ('stored' as const) : ('full' as const)]));
  return new Map(backups.map((backup) => [backupKey(backup), found.get(backupKey(backup)) ?? 'unregistered']));
}

/** Gives the backup of an agent; null where there is none, or it is past its time. */
export async function findBackup(prisma: PrismaClient, vin: string, agent: string): Promise<StoredBackup | null> {
  const [row] = await rowsOf(prisma, { content: is.string, digest: is.string, backedUpAt: is.date })`
    SELECT translate(encode(content, 'base64'), E'\n', '') AS content, digest, backed_up_at AS "backedUpAt" FROM vehicle_backups
    WHERE vin = ${vin} AND agent = ${agent} AND backed_up_at > NOW() - make_interval(days => ${BACKUP_LIMITS.keptDays})`;
  return row ?? null;
}

/** Deletes backups that are past their time. */
export async function removeOldBackups(prisma: PrismaClient): Promise<void> {
  await prisma.$executeRaw`
    DELETE FROM vehicle_backups WHERE backed_up_at <= NOW() - make_interval(days => ${BACKUP_LIMITS.keptDays})`;
}
