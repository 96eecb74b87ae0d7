/** The steps of which every change of a flag consists, in the change's transaction. */
import { isJsonObject } from '../../../core/json/json-value.ts';
import { isKilling } from '../../../core/evaluation/rules/kill-switch.ts';
import type { JsonObject, JsonValue } from '../../../core/model.ts';
import type { AuditAction, AuditEntry } from '../../shared/audit/audit-log.ts';
import type { Transaction } from '../../shared/postgres/transaction.ts';
import type { Flag } from '../flags/flag.ts';
import {
  insertFlags,
  saveFlags,
  saveReleases,
  saveSignatures,
  type FlagToInsert,
  type FlagToSave,
} from '../flags/flag-store.ts';
import { checkLimits } from '../flags/limits.ts';
import type { Clock } from '../rollouts/database-clock.ts';
import { isReleaseStep, stageWrites, type TakingEffect } from '../releases/release-writing.ts';
import { checkDependencies, type PlacedChange } from '../partitions/dependencies.ts';
import type { EditedFlag } from '../rollouts/rollout-transitions.ts';
import type { Signer } from '../signing/signing.ts';
import { reasonOf } from './stops/kill-switch-change.ts';
import type { ChangeRequest } from './requests/change-request.ts';
import { assignRevisions } from './revision.ts';
import { recordSwitch } from './edits/rule-edits.ts';
import {
  disturbedExperiments,
  noteDisturbance,
  noteForDependents,
  refuseStagedSplit,
  type ServedChange,
} from './running-experiments/running-experiment.ts';
import { stops } from './stops/stop.ts';

/**
 * The forms of a flag that stays as it is while a segment that it names changes: as vehicles have it, and as they will.
 * Its running experiment is compared by these.
 */
export interface SignedForms {
  readonly before: Flag;
  readonly after: Flag;
}

/** A change that is written: a flag before and after it, and the name that the audit log has for it. */
export interface FlagWrite extends EditedFlag {
  readonly action: AuditAction;
  readonly effect?: TakingEffect | undefined;
  /** Set where only the signature and the revision are new: nobody has changed the flag itself. */
  readonly forms?: SignedForms | null | undefined;
}

/** The circumstances of a write. */
export interface WriteOptions {
  /** The user in whose name; null for an API key or the control plane. */
  readonly by: string | null;
  /** Whether the change may disturb running experiments. */
  readonly force: boolean;
  /** Whether the change has waited for approval. */
  readonly waited: boolean;
  /** The clock by which releases begin. */
  readonly clock: Clock;
}

/** A flag that a change creates. */
export interface FlagBirth {
  readonly before: null;
  readonly edited: Flag;
  /** The argument at which a key that is taken is refused. */
  readonly field: string;
}

const effectOf = (write: FlagWrite | FlagBirth) => (write.before === null ? undefined : write.effect);

/** Says whether a write is a stage of a release, or its end at all vehicles: nobody changes the flag's own content. */
const isStage = ({ effect }: Pick<FlagWrite, 'effect'>): boolean => isReleaseStep(effect) && effect.status !== 'halted';

const isByPolicy = ({ effect = 'by policy' }: Pick<FlagWrite, 'effect'>): boolean => effect === 'by policy';

const isEdit = (write: FlagWrite | FlagBirth): write is FlagWrite => write.before !== null && write.forms == null;

/**
 * Writes the new states of flags with their new revisions and signatures, in their order, by a number of statements
 * that does not grow with the flags. `checkWritten` follows.
 *
 * @throws CONFLICT when it would disturb a running experiment and is not forced, or for a new flag whose key is
 *   taken; as `stageWrites` and `refuseStagedSplit`
 */
export async function writeFlags(
  tx: Transaction,
  signer: Signer,
  writes: readonly (FlagWrite | FlagBirth)[],
  { by, force, waited, clock }: WriteOptions,
): Promise<Flag[]> {
  const releases = await stageWrites(
    tx,
    clock,
    writes.map((write) => ({
      ...{ before: write.before, edited: write.edited },
      effect: write.before === null || isEdit(write) ? effectOf(write) : 'signed again',
    })),
  );
  const edits = writes.flatMap((write) => (write.before === null ? [] : [write]));
  const disturbed = await disturbedExperiments(
    tx,
    edits.map(({ before, edited, forms }) => ({
      ...{ before: forms?.before ?? before, edited: forms?.after ?? edited },
      ...{ force, waited },
    })),
  );
  const releasing = writes.flatMap((write, index) => {
    const release = releases.flags[index]?.release ?? null;
    const begins = isEdit(write) && isByPolicy(write) && release !== null && release !== write.before.release;
    return begins ? [{ before: write.before, edited: write.edited, waited }] : [];
  });
  refuseStagedSplit(releasing, disturbed);
  for (const { before, edited, action } of disturbed.size === 0 ? [] : edits) {
    const experiment = disturbed.get(before.id);
    if (experiment !== undefined) await noteDisturbance(tx, experiment, action, by, edited);
  }
  await noteForDependents(
    tx,
    writes.flatMap((write, index): ServedChange[] => {
      if (write.before === null) return [];
      const { before, edited, forms, action } = write;
      return [{ before: forms?.before ?? before, after: forms?.after ?? releases.flags[index] ?? edited, action }];
    }),
    by,
  );
  const updatedAt = new Date();
  const flags = await assignRevisions(
    tx,
    signer,
    writes.map((write, index) => {
      const edited = releases.flags[index] ?? write.edited;
      const isHalt = releases.halts[index] === true;
      return {
        before: write.before,
        isStop: write.before !== null && stops(write.before, edited, { action: write.action, isHalt }),
        after: isEdit(write) && !isStage(write) ? { ...edited, updatedAt, updatedById: by } : edited,
      };
    }),
  );
  const created: FlagToInsert[] = [];
  const changed: FlagToSave[] = [];
  const signed: Flag[] = [];
  const moved: Flag[] = [];
  for (const [index, flag] of flags.entries()) {
    const write = writes[index];
    if (write?.before === null) created.push({ flag, field: write.field });
    else if (write !== undefined && write.before !== null && isStage(write)) moved.push(flag);
    else if (write !== undefined && isEdit(write)) changed.push({ before: write.before, after: flag });
    else signed.push(flag);
  }
  await insertFlags(tx, created);
  await saveFlags(tx, changed);
  await saveSignatures(tx, signed);
  await saveReleases(tx, moved);
  await releases.write(flags, by);
  return flags;
}

/** Checks the dependencies and limits of what all changes of a transaction have come to. */
export async function checkWritten(tx: Transaction, changes: readonly PlacedChange[]): Promise<void> {
  // A draft counts as new: no vehicle has it.
  const checked = changes.map(({ before, ...change }) => ({
    ...change,
    before: before?.draft === true ? null : before,
  }));
  await checkDependencies(tx, checked);
  await checkLimits(tx, checked);
}

/** Gives the reason of the kill switches that hold a new flag; null where none does. */
export function whyKilled({ key, rules }: Flag): string | null {
  const pulled = rules.filter(isKilling);
  return pulled.length === 0 ? null : reasonOf(pulled, `flags.${key}.rules`);
}

/** Gives the audit row of the kill switch that holds a new flag from the beginning; none where none does. */
export function bornKilled(flag: Flag, userId: string | null = null): AuditEntry[] {
  const why = whyKilled(flag);
  if (why === null) return [];
  const record = recordSwitch(why)({ ...flag, rules: [] }, flag);
  return [{ action: 'KILL_SWITCH', flagId: flag.id, userId, ...record }];
}

/** Adds the requester and the reviewer to the audit row of an approved change. */
export function withBothPeople(after: JsonValue, request: ChangeRequest, approvedBy: string): JsonObject {
  const content = isJsonObject(after) ? after : {};
  return { ...content, changeRequest: { id: request.id, requestedBy: request.requestedById, approvedBy } };
}
