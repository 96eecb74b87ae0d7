/**
 * Backups of the files of vehicles' agents (docs/decisions/vehicle/vehicle-backup.md). The control plane stores them as
 * bytes and never looks into them.
 */
import { FleetFlagError, badInput } from '../../../core/errors.ts';
import { readLabel } from '../../../core/validation/text.ts';
import type { VehicleBackupInput } from '../generated/resolvers.ts';

/** The limits of what a vehicle may keep, and the time for which it is kept. */
export const BACKUP_LIMITS = {
  /** The most bytes of a backup. */
  contentBytes: 65_536,
  /** The most agents of one vehicle that have a backup. */
  agentsOfVehicle: 4,
  /** The days after which a backup that was not sent again is deleted (database.md, section 7). */
  keptDays: 7,
} as const;

const MAX_AGENT_LENGTH = 100;

/** A backup that has been checked. */
export interface Backup {
  readonly vin: string;
  readonly agent: string;
  /** The bytes of the backup in base64. */
  readonly content: string;
}

/** A backup as it is stored. */
export interface StoredBackup {
  /** The bytes of the backup in base64. */
  readonly content: string;
  /** The SHA-256 of the bytes, in hexadecimal. */
  readonly digest: string;
  readonly backedUpAt: Date;
}

/** Reads the name of an agent. Throws BAD_USER_INPUT at `path` where it is none. */
export function readAgent(agent: string, path: string): string {
  return readLabel(agent, path, { what: 'agent', max: MAX_AGENT_LENGTH });
}

/**
 * Checks a backup's input.
 *
 * @throws BAD_USER_INPUT at `input.…`, or LIMIT_EXCEEDED at `input.content` for more than 65,536 bytes
 */
export function readBackup(vin: string, { agent, content }: VehicleBackupInput): Backup {
  const { contentBytes: limit } = BACKUP_LIMITS;
  const backup = { vin, agent: readAgent(agent, 'input.agent'), content };
  const bytes = Buffer.byteLength(content, 'base64');
  if (bytes > limit)
    throw new FleetFlagError('LIMIT_EXCEEDED', `A backup may have at most ${limit} bytes; found ${bytes}.`, {
      field: 'input.content',
      limit,
    });
  if (content === '' || Buffer.from(content, 'base64').toString('base64') !== content)
    throw badInput('input.content', 'content must be base64 with padding, of at least one byte.');
  return backup;
}
