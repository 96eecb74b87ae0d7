import type { FlagChanges } from '../changes/change.ts';
import type { Flag } from './flag.ts';
import { orRemembered, type RememberedFlags } from './remembered-flags.ts';
import { FlagService, type KillLane } from './flag-service.ts';
import type { PrismaClient } from '../../../prisma/generated/client.ts';

/** The use cases of flags, with reads of living flags answered from the cache while the database is down. */
export class RememberingFlagService extends FlagService {
  constructor(
    prisma: PrismaClient,
    changes: FlagChanges,
    kills: KillLane,
    private readonly remembered: RememberedFlags,
  ) {
    super(prisma, changes, kills);
  }

  /** Gives flags by id, from the cache while the database is down. */
  override byIds(ids: readonly string[]): Promise<Flag[]> {
    return orRemembered(
      () => super.byIds(ids),
      () => this.remembered.named('id', ids),
    );
  }

  /** Gives flags by key, from the cache while the database is down. */
  override byKeys(keys: readonly string[]): Promise<Flag[]> {
    return orRemembered(
      () => super.byKeys(keys),
      () => this.remembered.named('key', keys),
    );
  }

  /** Searches flags, in the cache while the database is down and the cache can answer. */
  override search(...args: Parameters<FlagService['search']>): ReturnType<FlagService['search']> {
    return orRemembered(
      () => super.search(...args),
      () => this.remembered.page(...args),
    );
  }
}
