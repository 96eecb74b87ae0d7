import type { FlagChanges } from '../changes/change.ts';
import type { Flag } from './flag.ts';
import { orRemembered, type RememberedFlags } from './remembered-flags.ts';
import { FlagService, type KillLane } from './flag-service.ts';
import type { PrismaClient } from '../../../prisma/generated/client.ts';

/** The use cases of flags, of which those that only read living flags are answered while the database is away, too. */
export class RememberingFlagService extends FlagService {
  constructor(
    prisma: PrismaClient,
    changes: FlagChanges,
    kills: KillLane,
    private readonly remembered: RememberedFlags,
  ) {
    super(prisma, changes, kills);
  }

  override byIds(ids: readonly string[]): Promise<Flag[]> {
    return orRemembered(
      () => super.byIds(ids),
      () => this.remembered.named('id', ids),
    );
  }

  override byKeys(keys: readonly string[]): Promise<Flag[]> {
    return orRemembered(
      () => super.byKeys(keys),
      () => this.remembered.named('key', keys),
    );
  }

  override search(...args: Parameters<FlagService['search']>): ReturnType<FlagService['search']> {
    return orRemembered(
      () => super.search(...args),
      () => this.remembered.page(...args),
    );
  }
}
