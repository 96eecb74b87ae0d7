/**
 * The limits of what vehicles store, so that every vehicle can store its partition of an environment. An environment as
 * a whole has no limit. Source: scopes.md, "Scopes and partitions"; database.md, section 3 (100 flags for each
 * vehicle).
 */
import { isKilled } from '../../../core/evaluation/rules/kill-switch.ts';
import { FleetFlagError } from '../../../core/errors.ts';
import type { Environment } from '../../../core/model.ts';
import { OTHER_MODELS, isInPartition } from '../../../core/partitions/partition.ts';
import type { Transaction } from '../../shared/postgres/transaction.ts';
import type { Flag } from './flag.ts';
import { definitionIn } from '../signing/signing.ts';
import { partitionLoads, type PartitionLoad } from '../partitions/partition-load.ts';

/** The most living flags in one partition, enabled or not: each is a row in every vehicle of it. */
export const MAX_FLAGS = 100;
/** The most bytes of all living flags' signed definitions in one partition: 1.5 MB. */
export const MAX_DEFINITION_BYTES = 1_572_864;

/** A change of one flag. `before` is null for a flag that no vehicle has had: a new one, or a draft. */
export interface WrittenChange {
  readonly before: Flag | null;
  readonly after: Flag;
}

/**
 * Counts the bytes of people's content in the signed definition. A longer revision number, the bound that a stop
 * raises, `false` for `true` and the percentage of a release do not count as growth; otherwise an environment at its
 * limit could not be switched off, and no stage could follow.
 */
function contentBytes({ signedDefinition }: Flag): number {
  const { rules, release = null, ...flag } = definitionIn(signedDefinition);
  return Buffer.byteLength(
    JSON.stringify({
      ...{ ...flag, revision: 0, noReturnBelow: 0, enabled: true },
      ...{ rules: rules.map((rule) => ({ ...rule, enabled: true })) },
      ...(release !== null && { release: { ...release, percentage: 0 } }),
    }),
  );
}

/** The effect of a change on a partition: a flag comes into it, leaves it, or grows in it; or none of these. */
type Effect = 'comes' | 'leaves' | 'grows' | null;

/** Gives the function that says what a change does to a partition of an environment. */
function effectOf({ before, after }: WrittenChange, environment: Environment): (partition: string) => Effect {
  const isIn = (flag: Flag | null, partition: string) =>
    flag !== null &&
    flag.archivedAt === null &&
    flag.environment === environment &&
    isInPartition(flag.scope, partition);
  // Pulling a kill switch always passes.
  const isKill = before !== null && !isKilled(before.rules) && isKilled(after.rules);
  let grows: boolean | undefined;
  return (partition) => {
    // The first revision of a scope names its models: their vehicles were in the partition of the others until then.
    const was = isIn(before, partition);
    if (!isIn(after, partition)) return was ? 'leaves' : null;
    if (!was || before === null) return 'comes';
    grows ??= !isKill && contentBytes(after) > contentBytes(before);
    return grows ? 'grows' : null;
  };
}

const whose = (environment: Environment, { partition }: PartitionLoad, isOnly: boolean) => {
  if (isOnly) return environment;
  return partition === OTHER_MODELS
    ? `${environment}, for vehicles of a model that no scope names,`
    : `${environment}, for the ${partition},`;
};

function checkPartition(
  environment: Environment,
  load: PartitionLoad,
  effects: readonly Effect[],
  isOnly: boolean,
): void {
  const { flags, bytes } = load;
  const count = (effect: Effect) => effects.filter((one) => one === effect).length;
  if (flags > MAX_FLAGS && count('comes') > count('leaves')) {
    throw new FleetFlagError(
      'LIMIT_EXCEEDED',
      `${whose(environment, load, isOnly)} would have ${flags} flags; vehicles can store ${MAX_FLAGS}. Archive one first, narrow the scope of one, or move one to another environment.`,
      { limit: MAX_FLAGS },
    );
  }
  if (bytes > MAX_DEFINITION_BYTES && count('comes') + count('grows') > 0) {
    throw new FleetFlagError(
      'LIMIT_EXCEEDED',
      `The signed definitions of ${whose(environment, load, isOnly)} would have ${bytes} bytes; vehicles can store ${MAX_DEFINITION_BYTES}.`,
      { limit: MAX_DEFINITION_BYTES },
    );
  }
}

/**
 * Gives the partitions that changes would fill with too many flags, each as the refusal of a flag that comes to it. The
 * bytes are known only when definitions are signed.
 *
 * @param living the flags of the environment after the changes
 * @param fieldOf gives the path of a flag's scope
 */
export function fullPartitions(
  environment: Environment,
  changes: readonly WrittenChange[],
  living: readonly Flag[],
  fieldOf: (flag: Flag) => string,
): FleetFlagError[] {
  const effects = changes.map((change) => effectOf(change, environment));
  const partitions = [...new Set([OTHER_MODELS, ...living.flatMap(({ scope }) => scope ?? [])])];
  return partitions.flatMap((partition) => {
    const flags = living.filter(({ scope }) => isInPartition(scope, partition)).length;
    const here = effects.map((of) => of(partition));
    const coming = changes.find((_, index) => here[index] === 'comes');
    try {
      checkPartition(environment, { partition, flags, bytes: 0 }, here, partitions.length === 1);
      return [];
    } catch (error) {
      if (!(error instanceof FleetFlagError) || coming === undefined) throw error;
      return new FleetFlagError(error.code, error.message, { ...error.details, field: fieldOf(coming.after) });
    }
  });
}

/**
 * Refuses changes that make a partition exceed what vehicles can store. Call it in the changes' transaction, under the
 * environments' locks, when all of them are written. A change that does not grow a partition passes even where that is
 * above a limit, and pulling a kill switch always passes.
 *
 * @throws FleetFlagError LIMIT_EXCEEDED that names the partition, with `details.limit`: 100 flags or 1,572,864 bytes
 */
export async function checkLimits(tx: Transaction, changes: readonly WrittenChange[]): Promise<void> {
  for (const environment of new Set(changes.map(({ after }) => after.environment))) {
    const effects = changes.map((change) => effectOf(change, environment));
    // Most changes add nothing anywhere, which the partitions of their own scope show.
    const adding = changes.filter(({ after }, index) =>
      (after.scope ?? [OTHER_MODELS]).some((partition) =>
        ['comes', 'grows'].includes(effects[index]?.(partition) ?? ''),
      ),
    );
    if (adding.length === 0) continue;
    const isForEvery = adding.some(({ after }) => after.scope === null);
    const models = isForEvery ? null : [...new Set(adding.flatMap(({ after }) => after.scope ?? []))];
    const loads = await partitionLoads(tx, environment, models);
    for (const load of loads)
      checkPartition(
        environment,
        load,
        effects.map((of) => of(load.partition)),
        models === null && loads.length === 1,
      );
  }
}
