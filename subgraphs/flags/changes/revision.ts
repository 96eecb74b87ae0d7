/**
 * Assigns revisions to changed flags: the new revision, the signature, and a tombstone in each partition or environment
 * that a flag has left. Runs inside the change's transaction, by a number of statements that does not grow with the
 * flags. Source: design.md, "Revisions: how nothing is ever missed"; scopes.md, "Scopes and partitions".
 */
import { isDeepStrictEqual } from 'node:util';
import type { Environment } from '../../../core/model.ts';
import { OTHER_MODELS, partitionsOf, type Scope } from '../../../core/partitions/partition.ts';
import { withSegments } from '../../shared/between-subgraphs/segments.ts';
import type { Transaction } from '../../shared/postgres/transaction.ts';
import type { Flag } from '../flags/flag.ts';
import { nextRevision } from '../flags/flag-store.ts';
import { vehicleForm } from '../flags/vehicle-form.ts';
import { nameModels } from '../partitions/scoped-models.ts';
import { moveThroughPartitions, without, type Movement } from '../partitions/tombstones.ts';
import type { Signer } from '../signing/signing.ts';

/** A flag before and after a change; `before` is null for a new flag. */
export interface FlagStates {
  readonly before: Flag | null;
  readonly after: Flag;
  /** Whether the change stops what vehicles have, so that none goes back to it by itself. */
  readonly isStop: boolean;
}

/** The part of a change that is in one environment. */
interface Step {
  readonly environment: Environment;
  /** The place of the change in the list. */
  readonly index: number;
  /** The flag that is in the environment after it; null where it leaves. */
  readonly flag: Flag | null;
  /**
   * The scope that the flag had in the environment until now; undefined where it was not in it. A draft and an archived
   * flag are in no partition.
   */
  readonly former: Scope | undefined;
  readonly key: string;
  /** The lowest revision to which vehicles may go back; null for that of the step itself. */
  readonly noReturnBelow: number | null;
}

/** A revision with what vehicles get for it. */
type Signed = Pick<Flag, 'revision' | 'signedDefinition' | 'noReturnBelow'>;

function stepsOf({ before, after, isStop }: FlagStates, index: number): Step[] {
  const { key, environment } = after;
  const noReturnBelow = isStop ? null : after.noReturnBelow;
  const wasPresent = before !== null && before.archivedAt === null && !before.draft;
  if (before !== null && after.archivedAt !== null)
    return [{ index, key, environment: before.environment, flag: null, former: before.scope, noReturnBelow }];
  if (before === null || before.environment === environment)
    return [{ index, key, environment, flag: after, former: wasPresent ? before.scope : undefined, noReturnBelow }];
  return [
    { index, key, environment: before.environment, flag: null, former: before.scope, noReturnBelow },
    { index, key, environment, flag: after, former: undefined, noReturnBelow },
  ];
}

/**
 * Gives the partitions through which a step moves its flag; null where it stays in those that it is in. A flag for
 * every vehicle that leaves has one tombstone for all, another one has one for each of its models.
 */
function movementOf({ key, flag, former }: Step, revision: number, named: readonly string[]): Movement | null {
  if (flag === null) return { key, revision, present: [], left: former ?? 'every' };
  const { scope } = flag;
  if (former !== undefined && isDeepStrictEqual(former, scope)) return null;
  const present = partitionsOf(scope, named);
  return { key, revision, present, left: former === undefined ? [] : without(partitionsOf(former, named), present) };
}

const comesOrMoves = ({ flag, former }: Step) =>
  flag !== null && (former === undefined || !isDeepStrictEqual(former, flag.scope));

/** Makes the steps of one environment: consecutive revisions, and what vehicles get for each. */
async function signSteps(
  tx: Transaction,
  signer: Signer,
  environment: Environment,
  steps: readonly Step[],
): Promise<Signed[]> {
  const first = await nextRevision(tx, environment, steps.length);
  const entering = steps.filter(comesOrMoves);
  const models = new Set(entering.flatMap(({ flag }) => flag?.scope ?? []));
  const all = entering.length === 0 ? [] : await nameModels(tx, environment, models);
  const named = all.filter((partition) => partition !== OTHER_MODELS);
  const movements = steps.flatMap((step, index) => movementOf(step, first + index, named) ?? []);
  const tombstones =
    movements.length === 0
      ? new Map<string, string>()
      : await moveThroughPartitions(tx, signer, environment, all, movements);
  const bounds = steps.map(({ noReturnBelow }, index) => noReturnBelow ?? first + index);
  const living = steps.flatMap(({ flag }, index) =>
    flag === null ? [] : { ...vehicleForm(flag), revision: first + index, noReturnBelow: bounds[index] ?? 0 },
  );
  const definitions = new Map(
    await Promise.all(
      (await withSegments(tx, living)).map(async (flag) => [flag.key, await signer.definition(flag)] as const),
    ),
  );
  return steps.map(({ key, flag }, index) => ({
    revision: first + index,
    noReturnBelow: bounds[index] ?? 0,
    signedDefinition: (flag === null ? tombstones : definitions).get(key) ?? '',
  }));
}

/**
 * Gives the flags as they are after changes, each with its new revision and signature: a flag that is new, stays,
 * changes its scope, is archived, comes back or moves to another environment. Revisions follow the order of the
 * changes, of which no two are of the same flag.
 */
export async function assignRevisions(
  tx: Transaction,
  signer: Signer,
  changes: readonly FlagStates[],
): Promise<Flag[]> {
  const flags = changes.map(({ after }) => after);
  const steps = changes.flatMap(stepsOf);
  // The rows of environments are locked in one order for all, because crossing promotions would deadlock otherwise.
  for (const environment of [...new Set(steps.map((step) => step.environment))].sort()) {
    const here = steps.filter((step) => step.environment === environment);
    const signed = await signSteps(tx, signer, environment, here);
    for (const [position, { index, flag }] of here.entries()) {
      const after = changes[index]?.after;
      if (after === undefined || (flag === null && after.archivedAt === null)) continue;
      flags[index] = { ...after, ...signed[position] };
    }
  }
  return flags;
}
