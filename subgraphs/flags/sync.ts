/** What a vehicle asks for to be up to date: the smallest set of signed definitions since the revision that it has. */
import { badInput } from '../../core/errors.ts';
import type { Environment } from '../../core/model.ts';
import type { EnvironmentSnapshots } from './snapshots.ts';
import type { Delta } from './store.ts';

export interface FlagSync {
  readonly environment: Environment;
  readonly revision: number;
  /** Whether `flags` is everything and replaces what the vehicle has. */
  readonly full: boolean;
  readonly flags: readonly Delta[];
  /** Issued when the database last said that `revision` is the environment's: while it is away, that is in the past. */
  readonly statement: string;
}

export class SyncService {
  constructor(private readonly snapshots: EnvironmentSnapshots) {}

  /**
   * @param since the revision that the vehicle has stored; 0 for none. One above the environment's own (a vehicle of
   * before a restore) gets everything, with the lower revision: the vehicle is to see it and refuse.
   * @throws BAD_USER_INPUT below 0; SERVICE_UNAVAILABLE where neither the database nor a snapshot can say
   */
  async sync(environment: Environment, since: number): Promise<FlagSync> {
    if (since < 0) throw badInput('since', 'since is a revision: 0 or more.');
    const { revision, deltas, verifiedAt } = await this.snapshots.since(environment, since);
    const statement = await this.snapshots.statement(environment, revision, verifiedAt);
    return { environment, revision, full: since === 0 || since > revision, flags: deltas, statement };
  }
}
