/** The reads of flags, their versions, partitions and dependencies. */
import { FleetFlagError, badInput } from '../../../../core/errors.ts';
import { FLAG_KEY_PATTERN, type Environment } from '../../../../core/model.ts';
import { checkText } from '../../../../core/json/json-value.ts';
import type { DependencyGraph } from '../../../../core/partitions/dependency-graph.ts';
import type { Page } from '../../../../core/wire/api/pagination.ts';
import type { PrismaClient } from '../../../../prisma/generated/client.ts';
import type { LaggingReads } from '../../../shared/postgres/replica-reads.ts';
import type { GivenScope } from '../../changes/change.ts';
import type { FlagFilter, FlagOrder } from '../../generated/resolvers.ts';
import { checkDependencies, readDependencyGraphs, type PlacedChange } from '../../partitions/dependencies.ts';
import { partitionLoads, type PartitionLoad } from '../../partitions/partition-load.ts';
import { modelWarnings, type Warning } from '../../partitions/registered-models.ts';
import type { Flag } from '../flag.ts';
import { listVersions, type VersionPage } from '../versions/flag-versions.ts';
import { NEWEST_FIRST } from './flag-order.ts';
import { findFlagsById, findFlagsByKey, searchFlags, type FlagPage } from './flag-reads.ts';

/** The most characters of a search. */
export const MAX_SEARCH = 200;
const MAX_KEY = 100;

/**
 * Throws BAD_USER_INPUT for text that is not well-formed, a search that is too long, or a prefix longer than any key.
 */
export function checkSearch({ search, keyPrefix }: FlagFilter): void {
  if (Array.from(search ?? '').length > MAX_SEARCH)
    throw badInput('filter.search', `A search must have at most ${MAX_SEARCH} characters.`);
  checkText(search ?? '', 'filter.search');
  if (Array.from(keyPrefix ?? '').length > MAX_KEY)
    throw badInput('filter.keyPrefix', `A key must have at most ${MAX_KEY} characters.`);
  checkText(keyPrefix ?? '', 'filter.keyPrefix');
}

/** Reads flags. */
export class FlagQueries {
  constructor(
    protected readonly prisma: PrismaClient,
    private readonly lagging: LaggingReads = { read: (work) => work(prisma) },
  ) {}

  /** Gives flags by id; unknown ids are left out. */
  async byIds(ids: readonly string[]): Promise<Flag[]> {
    return ids.length === 0 ? [] : findFlagsById(this.prisma, ids);
  }

  /** Gives flags by key; unknown keys are left out. */
  async byKeys(keys: readonly string[]): Promise<Flag[]> {
    // A text that is no valid key names no flag, and PostgreSQL does not accept every text.
    const valid = keys.filter((key) => FLAG_KEY_PATTERN.test(key));
    return valid.length === 0 ? [] : findFlagsByKey(this.prisma, valid);
  }

  /** Gives one page of the matching flags. Throws as `checkSearch`. */
  async search(search: FlagFilter, page: Page, order: FlagOrder = NEWEST_FIRST): Promise<FlagPage> {
    checkSearch(search);
    if (!search.search) return searchFlags(this.prisma, search, page, order);
    const found = await this.lagging.read(async (db) => ({ db, ...(await searchFlags(db, search, page, order)) }));
    if (found.db === this.prisma) return found;
    // A text is searched for at a replica; what is found is shown as it is now, so that no revision goes back.
    const present = new Map(
      (
        await findFlagsById(
          this.prisma,
          found.flags.map(({ id }) => id),
        )
      ).map((flag) => [flag.id, flag]),
    );
    return { ...found, flags: found.flags.map((flag) => present.get(flag.id) ?? flag) };
  }

  /** Gives what may be a mistake in the scopes that a change was given. */
  async warningsOf(given: readonly GivenScope[]): Promise<Warning[]> {
    return given.length === 0 ? [] : modelWarnings(this.prisma, given);
  }

  /** Gives the load of each partition of an environment, that of all other models first. */
  partitionLoads(environment: Environment): Promise<PartitionLoad[]> {
    return partitionLoads(this.prisma, environment);
  }

  /** Checks a change that nobody has made yet, as `checkDependencies`; it is checked again when it is made. */
  checkDependencies(change: PlacedChange): Promise<void> {
    return checkDependencies(this.prisma, [change]);
  }

  /** Gives the dependencies between the flags in use of some environments, in their order. */
  dependencies(environments: readonly Environment[]): Promise<DependencyGraph[]> {
    return readDependencyGraphs(this.prisma, environments);
  }

  /** Gives a page of the contents that a flag has had, newest first. NOT_FOUND for an unknown flag and for a draft. */
  async versions(key: string, page: Page): Promise<VersionPage> {
    const [flag] = await this.byKeys([key]);
    if (flag === undefined || flag.draft)
      throw new FleetFlagError('NOT_FOUND', `There is no flag ${JSON.stringify(key)}.`, { field: 'key' });
    return listVersions(this.prisma, flag.id, page);
  }
}
