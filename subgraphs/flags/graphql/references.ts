/** The references of several types: to accounts, to flags by key, and to the statistics of a flag. */
import type { Caller } from '../../../core/access/caller.ts';
import { OTHER_MODELS, isInPartition } from '../../../core/partitions/partition.ts';
import type { Flag } from '../flags/flag.ts';
import { partitionFor } from '../sync/sync.ts';
import type { FlagStatistics } from '../flags/reading/flag-statistics.ts';
import type { FlagsServices } from './services.ts';

/** Loads the statistics of a flag; one in memory has those of when it was read. */
export const statisticsOf = async (flag: Flag, { statistics }: FlagsServices): Promise<FlagStatistics> =>
  (await statistics.load(flag)) ?? flag;

/** Gives a reference to an account, which the audit subgraph has. */
export const userReference = (id: string) => ({ id });
/** Gives a reference to an account; null for none. */
export const userReferenceOrNull = (id: string | null) => (id === null ? null : userReference(id));

/** Says whether a flag was found. */
export const isThere = (flag: Flag | null): flag is Flag => flag !== null;

/** Loads flags by their keys, in the same order. */
export const namedFlags = ({ byKey }: FlagsServices, keys: readonly string[]): Promise<(Flag | null)[]> =>
  Promise.all(keys.map((key) => byKey.load(key)));

/** Says whether a caller may read a flag. As in its stream, a vehicle sees only the flags of its own partition. */
export function maySee(caller: Caller, { environment, draft, scope }: Flag): boolean {
  if (caller.kind !== 'vehicle') return true;
  return environment === caller.environment && !draft && isInPartition(scope, partitionFor(caller) ?? OTHER_MODELS);
}
