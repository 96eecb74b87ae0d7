/** What a vehicle asks for to be up to date: the smallest set of signed definitions since the revision that it has. */
import { badInput } from '../../core/errors.ts';
import type { Environment } from '../../core/model.ts';
import type { PrismaClient } from '../../prisma/generated/client.ts';
import type { Signer } from './signing.ts';
import { changesSince, type Delta } from './store.ts';

export interface FlagSync {
  readonly environment: Environment;
  readonly revision: number;
  /** Whether `flags` is everything and replaces what the vehicle has. */
  readonly full: boolean;
  readonly flags: readonly Delta[];
  readonly statement: string;
}

export class SyncService {
  constructor(
    private readonly prisma: PrismaClient,
    private readonly signer: Signer,
  ) {}

  /**
   * @param since the revision that the vehicle has stored; 0 for none. One above the environment's own (a vehicle of
   * before a restore) gets everything, with the lower revision: the vehicle is to see it and refuse.
   */
  async sync(environment: Environment, since: number): Promise<FlagSync> {
    if (since < 0) throw badInput('since', 'since is a revision: 0 or more.');
    let delta = await changesSince(this.prisma, environment, since);
    const full = since === 0 || since > delta.revision;
    if (full && since > 0) delta = await changesSince(this.prisma, environment, 0);
    const statement = await this.signer.statement(environment, delta.revision, Math.floor(Date.now() / 1000));
    return { environment, revision: delta.revision, full, flags: delta.deltas, statement };
  }
}
