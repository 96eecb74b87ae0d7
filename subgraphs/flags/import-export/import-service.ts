/**
 * Export of an environment to a file, and import of a file. An import is one set of changes (changes/sets): one
 * transaction, with a revision, a signature and an audit row for each flag.
 */
import { FleetFlagError } from '../../../core/errors.ts';
import type { Environment } from '../../../core/model.ts';
import { actingUser, type CallerIdentity } from '../../../core/access/caller.ts';
import type { FileFault, FlagEntry } from '../../../core/wire/flag-files/environment-file.ts';
import { isKilling } from '../../../core/evaluation/rules/kill-switch.ts';
import type { PrismaClient } from '../../../prisma/generated/client.ts';
import { asServiceError } from '../../shared/postgres/service-error.ts';
import type { FlagChanges } from '../changes/change.ts';
import { pulledSwitches, withPulled } from '../changes/stops/kill-switch-change.ts';
import type { FlagCreation, SetEdit } from '../changes/sets/change-set.ts';
import { differences, type FlagDifference } from './environment-difference.ts';
import { flagEntry, printEnvironmentFile } from './environment-file.ts';
import { importFaults } from './import-faults.ts';
import { exportedPolicy } from './imported-policy.ts';
import { newFlag, withEntry } from './imported-flag.ts';
import type { Flag } from '../flags/flag.ts';
import { findLivingFlags } from '../flags/reading/flag-reads.ts';

/** The changes that an import would make, compared with the flags at the time of planning. */
export interface ImportPlan {
  readonly environment: Environment;
  readonly differences: readonly FlagDifference[];
  /** The reasons why nothing may be written; empty when there are none. */
  readonly faults: readonly FileFault[];
  /** Each flag's revision at the time of planning: a flag that has changed since is not overwritten. */
  readonly revisions: ReadonlyMap<string, number>;
}

/**
 * The outcome of an import for one flag. `waits` means that a second person has to approve it; until then a new flag is
 * a draft.
 */
export interface ImportOutcome {
  readonly key: string;
  readonly done: 'created' | 'changed' | 'archived' | 'failed';
  readonly waits: boolean;
  /** The reason why the flag's import failed. */
  readonly message?: string;
}

/**
 * Gives the limits of an import's transaction, in milliseconds. A flag takes about a millisecond, and several times
 * that on a busy machine. A kill switch ends an import that is in its way, however long it may take.
 */
const limitsOf = (flags: number) => ({ maxWait: 5_000, timeout: Math.max(120_000, flags * 100) });

/** The refusal of an import that the database has ended. */
const ENDED = new FleetFlagError(
  'SERVICE_UNAVAILABLE',
  'The import was ended before all was written, so nothing of it is: a kill switch came first, the database was not available, or it took too long. Run it again.',
);

/** Exports an environment's living flags, all from one moment, and its release policy. */
export async function exportEnvironment(prisma: PrismaClient, environment: Environment): Promise<string> {
  const flags = await readEnvironment(prisma, environment);
  return printEnvironmentFile(flags.map(flagEntry), await exportedPolicy(prisma, environment));
}

/**
 * Compares a file's flags with an environment, and finds faults that the file alone cannot show. Writes nothing.
 *
 * @param archiveMissing whether flags that the file lacks will be archived
 */
export async function planImport(
  prisma: PrismaClient,
  environment: Environment,
  entries: readonly FlagEntry[],
  archiveMissing = false,
): Promise<ImportPlan> {
  const here = await readEnvironment(prisma, environment);
  const planned = differences(here.map(flagEntry), entries);
  return {
    environment,
    differences: planned,
    faults: await importFaults(
      prisma,
      environment,
      here,
      entries,
      planned.filter(({ kind }) => kind !== 'only-here' || archiveMissing),
    ),
    revisions: new Map(here.map((flag) => [flag.key, flag.revision])),
  };
}

/** Applies import plans. */
export class ImportService {
  constructor(private readonly changes: FlagChanges) {}

  /**
   * Applies a plan as one set of changes: all flags or none. Kill switches of the file are pulled before that, because
   * they wait for nobody. Where one of the flags needs a second person, all wait for one approval.
   *
   * @param archiveMissing whether to archive flags that the file lacks; otherwise they stay
   * @throws BAD_USER_INPUT when the plan has faults; then nothing is written
   */
  async *apply(identity: CallerIdentity, plan: ImportPlan, archiveMissing: boolean): AsyncGenerator<ImportOutcome> {
    const [fault] = plan.faults;
    if (fault !== undefined) throw new FleetFlagError('BAD_USER_INPUT', fault.message, { field: fault.path });
    const differences = plan.differences.filter(({ kind }) => kind !== 'only-here' || archiveMissing);
    if (differences.length === 0) return;
    try {
      const revisions = await this.#pullSwitches(identity, plan, differences);
      const changes = differences.map((difference) => changeOf(identity, plan.environment, difference, revisions));
      const set = await this.changes.applySet(
        identity,
        { environment: plan.environment, changes },
        limitsOf(changes.length),
      );
      const changed = new Set(set.flags.map(({ key }) => key));
      for (const { key, kind } of differences)
        yield { key, done: kind === 'only-here' ? 'archived' : kind, waits: !set.applied && changed.has(key) };
    } catch (error) {
      const refusal = asServiceError(error);
      if (!(refusal instanceof FleetFlagError) || refusal.code === 'INTERNAL_SERVER_ERROR') throw error;
      yield* failures(differences, error === refusal ? refusal : ENDED);
    }
  }

  /**
   * Pulls the kill switches that the file has and the environment has not, as one set. Gives the flags' revisions after
   * that.
   */
  async #pullSwitches(
    identity: CallerIdentity,
    { environment, revisions }: ImportPlan,
    differences: readonly FlagDifference[],
  ): Promise<ReadonlyMap<string, number>> {
    const pulls = differences.flatMap((difference): SetEdit[] => {
      if (difference.kind !== 'changed' || !difference.entry.rules.some(isKilling)) return [];
      const { key, entry } = difference;
      const path = pathOf(key);
      return [
        {
          ...{ path, place: { path, hasMembers: true }, flag: { key, field: path } },
          ...{ expectedRevision: revisions.get(key), action: 'KILL_SWITCH', reasonField: `${path}.rules` },
          edit: (before) => withPulled(before, pulledSwitches(before, withEntry(before, environment, entry))),
        },
      ];
    });
    if (pulls.length === 0) return revisions;
    const { flags } = await this.changes.applySet(identity, { environment, changes: pulls }, limitsOf(pulls.length));
    return new Map([...revisions, ...flags.map(({ key, revision }) => [key, revision] as const)]);
  }
}

const pathOf = (key: string) => `flags.${key}`;

/** Gives the change that takes one difference away. */
function changeOf(
  identity: CallerIdentity,
  environment: Environment,
  difference: FlagDifference,
  revisions: ReadonlyMap<string, number>,
): SetEdit | FlagCreation {
  const { key } = difference;
  const path = pathOf(key);
  const place = { path, hasMembers: true };
  if (difference.kind === 'created')
    return { place, newFlag: (at) => newFlag(actingUser(identity.caller), environment, difference.entry, at) };
  const by = { ...{ path, place, flag: { key, field: path } }, expectedRevision: revisions.get(key) };
  if (difference.kind === 'only-here')
    return {
      ...by,
      place: { path, hasMembers: false },
      action: 'ARCHIVE_FLAG',
      edit: (flag) => ({ ...flag, enabled: false, archivedAt: new Date() }),
    };
  const { entry } = difference;
  return {
    ...{ ...by, action: 'UPDATE_FLAG', reasonField: `${path}.rules` },
    edit: (flag) => withEntry(flag, environment, entry),
  };
}

/** Gives the outcomes of an import that was refused: that of the flag at fault says why. */
function failures(differences: readonly FlagDifference[], { message, details }: FleetFlagError): ImportOutcome[] {
  const field = `${details.field ?? ''}.`;
  const [atFault] = differences
    .filter(({ key }) => field.startsWith(`${pathOf(key)}.`))
    .sort((a, b) => b.key.length - a.key.length);
  return differences.map(({ key }) => ({
    ...{ key, done: 'failed', waits: false },
    message:
      atFault === undefined || atFault.key === key
        ? message
        : `not imported because of ${atFault.key}: an import is made as a whole`,
  }));
}

/** Reads all living flags of an environment from one snapshot. */
function readEnvironment(prisma: PrismaClient, environment: Environment): Promise<Flag[]> {
  return prisma.$transaction((tx) => findLivingFlags(tx, environment), {
    isolationLevel: 'RepeatableRead',
    timeout: 60_000,
  });
}
