/** The use cases of backups: a vehicle writes and reads its own. */
import { FleetFlagError } from '../../../core/errors.ts';
import type { CallerIdentity } from '../../../core/access/caller.ts';
import type { PrismaClient } from '../../../prisma/generated/client.ts';
import type { VehicleBackupInput } from '../generated/resolvers.ts';
import { BACKUP_LIMITS, readAgent, readBackup, type StoredBackup } from './backup.ts';
import type { BackupCollector } from './backup-collector.ts';
import { findBackup } from './backup-store.ts';

/** Keeps the backups of vehicles' files. */
export class BackupService {
  constructor(
    private readonly prisma: PrismaClient,
    private readonly collector: BackupCollector,
  ) {}

  /**
   * Stores a backup of the calling vehicle. Resolves when it is stored; to false for a vehicle that is not registered.
   *
   * @throws FORBIDDEN when the caller is not a vehicle, BAD_USER_INPUT, LIMIT_EXCEEDED at `input.content` or
   * `input.agent`, or SERVICE_UNAVAILABLE with `retryAfter`
   */
  async backUp(identity: CallerIdentity, input: VehicleBackupInput): Promise<boolean> {
    const outcome = await this.collector.add(readBackup(vinOf(identity), input));
    const { agentsOfVehicle: limit } = BACKUP_LIMITS;
    if (outcome === 'full')
      throw new FleetFlagError('LIMIT_EXCEEDED', `${limit} other agents of this vehicle have a backup already.`, {
        field: 'input.agent',
        limit,
      });
    return outcome === 'stored';
  }

  /**
   * Gives the backup that an agent of the calling vehicle has sent in the last 7 days; null where there is none.
   *
   * @throws FORBIDDEN when the caller is not a vehicle, BAD_USER_INPUT at `agent`
   */
  find(identity: CallerIdentity, agent: string): Promise<StoredBackup | null> {
    return findBackup(this.prisma, vinOf(identity), readAgent(agent, 'agent'));
  }
}

function vinOf({ caller }: CallerIdentity): string {
  if (caller.kind !== 'vehicle' || caller.vin === null)
    throw new FleetFlagError('FORBIDDEN', 'Only a vehicle may write and read a backup, and only its own.');
  return caller.vin;
}
