/**
 * Export of an environment to a file, and import of a file. An import makes each change in the usual way (change.ts):
 * one transaction, revision, signature and audit row for each flag.
 */
import { randomUUID } from 'node:crypto';
import { FleetFlagError } from '../../../core/errors.ts';
import type { Environment } from '../../../core/model.ts';
import { actingUser, type CallerIdentity } from '../../../core/access/caller.ts';
import type { FileFault, FlagEntry, RuleEntry } from '../../../core/wire/environment-file.ts';
import { isKilled, isKilling, parseKillSwitch } from '../../../core/evaluation/rules/kill-switch.ts';
import type { PrismaClient } from '../../../prisma/generated/client.ts';
import type { FlagChange, FlagChanges } from '../changes/change.ts';
import { differences, pairRules, ruleName, sameRule, type FlagDifference } from './environment-difference.ts';
import { flagEntry, printEnvironmentFile, ruleEntry } from './environment-file.ts';
import { takenKeys, takenMessage } from '../flags/flag-keys.ts';
import type { Flag, Rule } from '../flags/flag.ts';
import { findLivingFlags } from '../flags/flag-reads.ts';

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
  /** Why the flag's import failed. */
  readonly message?: string;
}

/** Exports an environment's living flags, all from one moment. */
export async function exportEnvironment(prisma: PrismaClient, environment: Environment): Promise<string> {
  return printEnvironmentFile((await readEnvironment(prisma, environment)).map(flagEntry));
}

/** Compares a file's flags with an environment, and finds faults that the file alone cannot show. Writes nothing. */
export async function planImport(
  prisma: PrismaClient,
  environment: Environment,
  entries: readonly FlagEntry[],
): Promise<ImportPlan> {
  const here = await readEnvironment(prisma, environment);
  const present = new Map(here.map((flag) => [flag.key, flag]));
  return {
    environment,
    differences: differences(here.map(flagEntry), entries),
    faults: [
      ...(await keyFaults(
        prisma,
        entries.map(({ key }) => key).filter((key) => !present.has(key)),
      )),
      ...misfits(present, entries),
    ],
    revisions: new Map(here.map((flag) => [flag.key, flag.revision])),
  };
}

async function keyFaults(prisma: PrismaClient, keys: readonly string[]): Promise<FileFault[]> {
  const wanted = new Map(keys.map((key) => [key.toLowerCase(), key]));
  const taken = await takenKeys(prisma, keys);
  return taken.map((other) => {
    const key = wanted.get(other.key.toLowerCase()) ?? other.key;
    return { path: `flags.${key}`, message: takenMessage(key, other) };
  });
}

const saysWhy = ({ conditions }: RuleEntry) => parseKillSwitch(conditions, 'conditions').reason !== undefined;

function misfits(present: ReadonlyMap<string, Flag>, entries: readonly FlagEntry[]): FileFault[] {
  const faults: FileFault[] = [];
  for (const { key, type, rules } of entries) {
    const flag = present.get(key);
    for (const [index, rule] of rules.entries()) {
      const isNew = !flag?.rules.some((other) => ruleName(other) === ruleName(rule) && isKilling(other));
      if (isKilling(rule) && isNew && !saysWhy(rule))
        faults.push({
          path: `flags.${key}.rules.${index}.conditions.reason`,
          message: 'A kill switch requires a reason of 1 to 1,000 characters.',
        });
    }
    if (flag === undefined) continue;
    if (flag.type !== type)
      faults.push({
        path: `flags.${key}.type`,
        message: `The flag is of type ${flag.type}, and the type of a flag cannot change.`,
      });
    // A file older than the kill must not turn the flag on again for vehicles on the road.
    if (isKilled(flag.rules) && !isKilled(rules)) {
      faults.push({
        path: `flags.${key}.rules`,
        message:
          "The flag's kill switch is pulled, and an import cannot release it. Release it first, or export again so that the file has its rule.",
      });
    }
  }
  return faults;
}

/** Applies import plans. */
export class ImportService {
  constructor(private readonly changes: FlagChanges) {}

  /**
   * Applies a plan, flag by flag. A flag that fails stays as it was, and the others continue.
   *
   * @param archiveMissing whether to archive flags that the file lacks; otherwise they stay
   * @throws BAD_USER_INPUT when the plan has faults; then nothing is written
   */
  async *apply(identity: CallerIdentity, plan: ImportPlan, archiveMissing: boolean): AsyncGenerator<ImportOutcome> {
    const [fault] = plan.faults;
    if (fault !== undefined) throw new FleetFlagError('BAD_USER_INPUT', fault.message, { field: fault.path });
    for (const difference of plan.differences) {
      if (difference.kind === 'only-here' && !archiveMissing) continue;
      yield await this.#applyOne(identity, plan, difference).catch((error: unknown) => {
        if (!(error instanceof FleetFlagError) || error.code === 'INTERNAL_SERVER_ERROR') throw error;
        return { key: difference.key, done: 'failed' as const, waits: false, message: error.message };
      });
    }
  }

  async #applyOne(identity: CallerIdentity, plan: ImportPlan, difference: FlagDifference): Promise<ImportOutcome> {
    const { key } = difference;
    const expectedRevision = plan.revisions.get(key);
    if (difference.kind === 'only-here') {
      const edit = (flag: Flag): Flag => ({ ...flag, enabled: false, archivedAt: new Date() });
      return {
        key,
        done: 'archived',
        waits: waits(
          await this.changes.edit(identity, { flag: { key }, expectedRevision, action: 'ARCHIVE_FLAG', edit }),
        ),
      };
    }
    const { entry } = difference;
    if (difference.kind === 'changed') {
      const change = await this.changes.edit(identity, {
        ...{ flag: { key }, expectedRevision, action: 'UPDATE_FLAG', reasonField: `flags.${key}.rules` },
        edit: (flag) => withEntry(flag, plan.environment, entry),
      });
      return { key, done: 'changed', waits: waits(change) };
    }
    return { key, done: 'created', waits: waits(await this.#create(identity, plan.environment, entry)) };
  }

  async #create(identity: CallerIdentity, environment: Environment, entry: FlagEntry): Promise<FlagChange> {
    const by = actingUser(identity.caller);
    const blank = {
      id: randomUUID(),
      revision: 0,
      totalEvaluations: 0,
      activeVehicles: 0,
      lastEvaluationAt: null,
      createdById: by,
      updatedById: by,
      archivedAt: null,
      draft: false,
      signedDefinition: '',
    };
    try {
      return await this.changes.create(identity, (at) => ({
        ...blank,
        ...entry,
        environment,
        createdAt: at,
        updatedAt: at,
        rules: entry.rules.map((rule) => ({ ...rule, id: randomUUID(), createdAt: at, updatedAt: at })),
      }));
    } catch (error) {
      // Somebody has created the flag since the plan was made.
      if (!(error instanceof FleetFlagError) || error.details.field !== 'input.key') throw error;
      throw new FleetFlagError(error.code, error.message, { field: `flags.${entry.key}` });
    }
  }
}

const waits = ({ applied }: FlagChange) => !applied;

/** Reads all living flags of an environment from one snapshot. */
function readEnvironment(prisma: PrismaClient, environment: Environment): Promise<Flag[]> {
  return prisma.$transaction((tx) => findLivingFlags(tx, environment), {
    isolationLevel: 'RepeatableRead',
    timeout: 60_000,
  });
}

/**
 * Gives the flag with the file's content. A rule that stays or moves keeps its id, and with it its rollout and its
 * whitelist's digests.
 */
function withEntry(flag: Flag, environment: Environment, entry: FlagEntry): Flag {
  if (flag.environment !== environment)
    throw new FleetFlagError('CONFLICT', `${flag.key} has moved to ${flag.environment}.`, {
      currentRevision: flag.revision,
    });
  const { name, description, safetyLevel, enabled, defaultValue } = entry;
  const present = new Map(flag.rules.map((rule) => [ruleEntry(rule), rule]));
  const pairs = pairRules([...present.keys()], entry.rules);
  const at = new Date();
  const rules = entry.rules.map((rule): Rule => {
    const paired = pairs.get(rule);
    const was = paired && present.get(paired);
    if (was === undefined) return { ...rule, id: randomUUID(), createdAt: at, updatedAt: at };
    return sameRule(ruleEntry(was), rule) ? was : { ...was, ...rule, updatedAt: at };
  });
  return { ...flag, name, description, safetyLevel, enabled, defaultValue, rules };
}
