/** The changes of a set in memory, each with its flag under lock, before anything is written. */
import { FleetFlagError, badInput } from '../../../../core/errors.ts';
import { needsSecondPerson } from '../../../../core/access/safety-policy.ts';
import type { CallerIdentity } from '../../../../core/access/caller.ts';
import type { AuditAction } from '../../../shared/audit/audit-log.ts';
import type { Transaction } from '../../../shared/postgres/transaction.ts';
import { flagContent, withContent, type Flag } from '../../flags/flag.ts';
import type { FaultPlace } from '../../partitions/dependencies.ts';
import type { RolloutTransitions } from '../../rollouts/rollout-transitions.ts';
import { checkSegments } from '../../segments/segment-change.ts';
import { NOWHERE, REQUEST, archivedRefusal, checkCurrent, checkRevision, notFound } from '../change-checks.ts';
import { checkRight, partsOf } from '../change-parts.ts';
import { whyKilled, type SignedForms } from '../flag-writing.ts';
import { checkSegmentsThen, type ChangeRequest } from '../requests/change-request.ts';
import { endRequestsFor } from '../requests/request-ending.ts';
import type { ChangeEntry, ChangeSet, FlagCreation, Resigning } from './change-set.ts';
import { lockNamedFlags } from './lock-flags.ts';

/** A change of a set, with its flag under lock. */
export interface SetChange {
  /** Null for a flag that the set creates. */
  readonly before: Flag | null;
  readonly edited: Flag;
  readonly place: FaultPlace;
  readonly entries: readonly ChangeEntry[];
  /** The forms of a `Resigning`; undefined where the flag itself changes. */
  readonly forms?: SignedForms | null | undefined;
}

/** Gives the last of a change's entries, which names it; the first may be the kill switch that it pulls. */
export const lastEntryOf = ({ entries }: SetChange): ChangeEntry => {
  const entry = entries.at(-1);
  if (entry === undefined) throw new Error('A change of a set has no entry');
  return entry;
};

const isCreation = (change: ChangeSet['changes'][number]): change is FlagCreation => 'newFlag' in change;
const isResigning = (change: ChangeSet['changes'][number]): change is Resigning => 'resigned' in change;

/** Says whether a change writes its flag, at least its signature. */
export const isWritten = ({ forms }: SetChange) => forms !== null;

const memberOf = ({ resigned, forms, entry }: Resigning): SetChange => ({
  ...{ before: resigned, edited: resigned, place: NOWHERE, entries: [entry], forms },
});

/** Locks the flags of a request of edits and makes them in memory, as `approve` needs them. */
export async function lockRequestedChanges(
  tx: Transaction,
  rollouts: RolloutTransitions,
  identity: CallerIdentity,
  request: ChangeRequest,
): Promise<SetChange[] | FleetFlagError> {
  const present = await lockNamedFlags(tx, { ids: request.members.map(({ flagId }) => flagId) });
  const members: SetChange[] = [];
  for (const { flagId, flagRevision, action, proposed, before, after } of request.members) {
    const flag = present.byId(flagId);
    if (flag === null) throw new Error(`A flag of change request ${request.id} no longer exists`);
    if (flag.archivedAt !== null && action !== 'UNARCHIVE_FLAG') {
      await (
        await endRequestsFor(tx, rollouts, identity, [flag])
      )();
      return archivedRefusal(flag);
    }
    if (flag.draft) checkRevision(flag, flagRevision);
    else checkCurrent(flag, flagRevision, action === 'UNARCHIVE_FLAG');
    const edited = { ...withContent(flag, proposed, new Date()), draft: false };
    const parts = flag.draft ? [] : partsOf(flag, edited, { action });
    const entries = parts.length > 1 ? parts : [{ action, before, after }];
    members.push({ before: flag, edited, place: REQUEST, entries });
  }
  await checkSegmentsThen(tx, request.members);
  await checkNamedSegments(tx, members);
  return members;
}

/** Locks the flags of a set and makes its edits in memory. Changes that change nothing are left out. */
export async function lockSetChanges(tx: Transaction, identity: CallerIdentity, set: ChangeSet): Promise<SetChange[]> {
  const edits = set.changes.flatMap((change) => (isCreation(change) || isResigning(change) ? [] : [change]));
  const present = await lockNamedFlags(tx, {
    keys: edits.flatMap(({ flag }) => ('key' in flag ? flag.key : [])),
    ruleIds: edits.flatMap(({ flag }) => ('ruleId' in flag ? flag.ruleId : [])),
  });
  const named = new Map<string, string>();
  const once = (key: string, path: string) => {
    const first = named.get(key);
    if (first !== undefined)
      throw badInput(path, `${key} is changed by ${first} already; make one change of it of both.`);
    named.set(key, path);
  };
  const members: SetChange[] = [];
  for (const change of set.changes) {
    if (isResigning(change)) {
      members.push(memberOf(change));
      continue;
    }
    if (isCreation(change)) {
      const edited = change.newFlag(new Date());
      once(edited.key, change.place.path ?? '');
      checkRight(identity, 'CREATE_FLAG');
      // Refuses a kill switch without a reason.
      whyKilled(edited);
      const entries = [{ action: 'CREATE_FLAG' as const, before: null, after: flagContent(edited) }];
      members.push({ before: null, edited, place: change.place, entries });
      continue;
    }
    const { flag: by, place, path } = change;
    const before = 'key' in by ? present.byKey(by.key) : present.byRule('ruleId' in by ? by.ruleId : '');
    if (before === null) throw notFound(by);
    const field = by.field ?? path;
    if (before.environment !== set.environment)
      throw badInput(field, `${before.key} lives in ${before.environment}, not in ${set.environment}.`);
    once(before.key, field);
    located(field, () => checkCurrent(before, change.expectedRevision, change.unarchives));
    const edited = change.edit(before);
    if (edited.environment !== before.environment)
      throw badInput(`${place.path}.environment`, 'A flag of a set cannot move to another environment; move it alone.');
    const parts = partsOf(before, edited, change);
    for (const { action } of parts) checkRight(identity, action);
    if (parts.length > 0)
      members.push({ before, edited, place, entries: parts.map(({ edited: _, ...entry }) => entry) });
  }
  // Segments are locked before environments, as in every change.
  await checkNamedSegments(tx, members);
  return members;
}

/** Runs a check of one change of a set; its refusal names the change. */
function located(field: string, check: () => void): void {
  try {
    check();
  } catch (error) {
    if (!(error instanceof FleetFlagError)) throw error;
    throw new FleetFlagError(error.code, error.message, { ...error.details, field });
  }
}

/** Checks the segments that the changes of a set name; the draft of a request counts as new. */
const checkNamedSegments = (tx: Transaction, members: readonly SetChange[]): Promise<void> =>
  checkSegments(
    tx,
    members.map((member) => ({
      before: member.before?.draft === true ? null : member.before,
      flag: member.edited,
      field: segmentField(member),
    })),
  );

/** Gives the argument in which a change's caller names a segment. */
function segmentField({ place, entries }: Pick<SetChange, 'place' | 'entries'>): string {
  const isRule = entries.some(({ action }) => action === 'CREATE_RULE' || action === 'UPDATE_RULE');
  return `${place.path ?? 'changes'}${isRule && place.hasMembers ? '.conditions.segment' : ''}`;
}

/** Says whether a change of a set needs a second person for one of its actions. */
export const needsApproval = ({ before, edited }: SetChange, action: AuditAction) =>
  needsSecondPerson(before, edited, action);
