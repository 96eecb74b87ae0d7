import type { PrismaClient } from '../../../../prisma/generated/client.ts';
import type { LaggingReads } from '../../../shared/postgres/replica-reads.ts';
import type { AnswerNotes } from '../../../shared/subgraph/subgraph.ts';
import type { FlagChanges } from '../../changes/change.ts';
import type { Flag } from '../flag.ts';
import { FlagService, type KillLane } from '../flag-service.ts';
import { checkSearch } from '../reading/flag-queries.ts';
import { orRemembered, type RememberedFlags } from './remembered-flags.ts';

/**
 * The use cases of flags, with reads of living flags answered from memory: as of a read of the database that began
 * after the call, or as last read while the database is down.
 */
export class RememberingFlagService extends FlagService {
  /**
   * @param look brings `remembered` up to date by a read that begins after the call; rejects when it cannot be read
   * @param notes receives whether an answer is as last read
   * @param lagging where texts are searched for
   */
  constructor(
    prisma: PrismaClient,
    changes: FlagChanges,
    kills: KillLane,
    private readonly remembered: RememberedFlags,
    private readonly look: () => Promise<unknown>,
    private readonly notes: AnswerNotes,
    lagging: LaggingReads,
  ) {
    super(prisma, changes, kills, lagging);
  }

  /** Gives flags by id; those that are not in memory (drafts, archived ones) are read from the database. */
  override byIds(ids: readonly string[]): Promise<Flag[]> {
    return this.#named('id', ids, (others) => super.byIds(others));
  }

  /** Gives flags by key; those that are not in memory (drafts, archived ones) are read from the database. */
  override byKeys(keys: readonly string[]): Promise<Flag[]> {
    return this.#named('key', keys, (others) => super.byKeys(others));
  }

  /** Searches flags, in memory where it can answer. */
  override async search(...args: Parameters<FlagService['search']>): ReturnType<FlagService['search']> {
    checkSearch(args[0]);
    return orRemembered(
      async () => {
        await this.look();
        return this.remembered.page(...args) ?? super.search(...args);
      },
      () => this.remembered.page(...args),
      this.notes,
    );
  }

  #named(
    by: 'id' | 'key',
    names: readonly string[],
    read: (others: readonly string[]) => Promise<Flag[]>,
  ): Promise<Flag[]> {
    return orRemembered(
      async () => {
        await this.look();
        const found = this.remembered.find(by, names);
        const known = new Set(found.map((flag) => flag[by]));
        return [...found, ...(await read(names.filter((name) => !known.has(name))))];
      },
      () => this.remembered.named(by, names),
      this.notes,
    );
  }
}
