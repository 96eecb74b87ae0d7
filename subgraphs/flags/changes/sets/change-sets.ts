/** Makes the changes of a set together, and those of a set that has waited for a second person. */
import { randomUUID } from 'node:crypto';
import { FleetFlagError } from '../../../../core/errors.ts';
import { actingUser, type CallerIdentity } from '../../../../core/access/caller.ts';
import { isJsonObject } from '../../../../core/json/json-value.ts';
import { isKilled } from '../../../../core/evaluation/rules/kill-switch.ts';
import type { JsonObject, JsonValue } from '../../../../core/model.ts';
import { appendAuditRows, type AuditEntry } from '../../../shared/audit/audit-log.ts';
import type { Transaction } from '../../../shared/postgres/transaction.ts';
import type { Flag } from '../../flags/flag.ts';
import { lockRevision } from '../../flags/flag-store.ts';
import { withRelease } from '../../releases/release-writing.ts';
import type { RolloutTransitions } from '../../rollouts/rollout-transitions.ts';
import type { Signer } from '../../signing/signing.ts';
import { bornKilled, checkWritten, withBothPeople, writeFlags } from '../flag-writing.ts';
import { decideChangeRequest, type ChangeRequest } from '../requests/change-request.ts';
import { archives, endRequestsFor } from '../requests/request-ending.ts';
import type { ChangeSet, ChangeSetOutcome, SharedChange, WrittenSet } from './change-set.ts';
import {
  isWritten,
  lastEntryOf,
  lockSetChanges,
  needsApproval,
  lockRequestedChanges,
  type SetChange,
} from './set-changes.ts';
import { requestSet } from './set-request.ts';

const ofSet = (after: JsonValue, id: string): JsonObject => ({ ...(isJsonObject(after) ? after : {}), changeSet: id });

/**
 * Gives what a member changes for rollouts. A person's change of a segment is one of the rules that name it; vehicles
 * that join or leave it by their tags are none.
 */
function editOf(member: SetChange): { before: Flag; edited: Flag }[] {
  const { before, edited, forms } = member;
  if (before === null || forms === null) return [];
  if (forms === undefined) return [{ before, edited }];
  return lastEntryOf(member).action === 'REFRESH_SEGMENT' ? [] : [{ before: forms.before, edited: forms.after }];
}

/** Applies sets of changes and approves those that have waited, each within a transaction of the caller. */
export class ChangeSets {
  constructor(
    private readonly signer: Signer,
    private readonly rollouts: RolloutTransitions,
  ) {}

  /**
   * Makes the changes of a set, or one request of them all where any needs a second person.
   *
   * @throws as each change alone, at the paths of the set; BAD_USER_INPUT for a flag that two changes name, or that
   *   lives in another environment; CONFLICT where the environment has changed since `expectedRevision`
   */
  async apply(tx: Transaction, identity: CallerIdentity, set: ChangeSet): Promise<ChangeSetOutcome> {
    const all = await lockSetChanges(tx, identity, set);
    const environments =
      set.environment === null ? [...new Set(all.map(({ edited }) => edited.environment))].sort() : [set.environment];
    let revision = 0;
    for (const environment of environments) revision = await lockRevision(tx, environment);
    if (typeof set.expectedRevision === 'number' && set.expectedRevision !== revision)
      throw new FleetFlagError('CONFLICT', `${set.environment} has changed since revision ${set.expectedRevision}.`, {
        currentRevision: revision,
      });
    const id = randomUUID();
    if (all.some((member) => member.entries.some(({ action }) => needsApproval(member, action))))
      return requestSet(tx, identity, all, id, set);
    const by = actingUser(identity.caller);
    await set.shared?.write(by);
    const members = all.filter(isWritten);
    const written = await this.#write(tx, identity, members, { by, force: set.force === true, waited: false });
    const rows = members.flatMap(({ entries, edited, before }, index) =>
      entries.map((entry) => ({
        ...{ ...entry, flagId: edited.id },
        after: withRelease(ofSet(entry.after, id), before, written.flags[index] ?? edited),
      })),
    );
    const born = members.flatMap(({ before, edited }) => (before === null ? bornKilled(edited) : []));
    await appendAuditRows(tx, identity, [...rows, ...sharedRow(set.shared, written.flags, id), ...born]);
    await written.record();
    const { flags } = written;
    const last = flags.reduce((newest, flag) => Math.max(newest, flag.revision), revision);
    const changed = { id, flags, applied: true, changeRequest: null, warnings: [] };
    return { ...changed, revision: environments.length === 1 ? last : null };
  }

  /**
   * Applies the set of a request in its requester's name. The caller has locked the request.
   *
   * @param shared finds what the request's set changes beside flags, under its locks, with the flags to sign again
   * @returns the refusal where a flag of it was archived meanwhile, which has ended the request
   * @throws CONFLICT where one of its flags has changed since
   */
  async approve(
    tx: Transaction,
    identity: CallerIdentity,
    request: ChangeRequest,
    approvedBy: string,
    comment: string | null,
    shared: ((tx: Transaction) => Promise<ChangeSet>) | null,
  ): Promise<{ readonly decided: ChangeRequest; readonly written: WrittenSet } | FleetFlagError> {
    const set = await shared?.(tx);
    const found =
      set === undefined
        ? await lockRequestedChanges(tx, this.rollouts, identity, request)
        : await lockSetChanges(tx, identity, set);
    if (found instanceof FleetFlagError) return found;
    await set?.shared?.write(request.requestedById);
    const members = found.filter(isWritten);
    const written = await this.#write(tx, identity, members, {
      ...{ by: request.requestedById, force: request.force, waited: true },
    });
    const decided = await decideChangeRequest(tx, request.id, {
      ...{ status: 'approved', reviewedById: approvedBy, comment },
    });
    const { id, action: ofRequest, requestedById } = request;
    const approval = {
      ...({ action: 'APPROVE_CHANGE', flagId: request.flagId } as const),
      after: { changeRequest: id, action: ofRequest, requestedBy: requestedById, comment },
    };
    const rows = members.flatMap(({ before: was, edited, entries }, index) =>
      entries.map(({ action, before, after }) => ({
        ...{ action, flagId: edited.id, userId: requestedById, before },
        after: withRelease(ofSet(withBothPeople(after, request, approvedBy), id), was, written.flags[index] ?? edited),
      })),
    );
    const born = members.flatMap(({ before, edited }) =>
      before?.draft === true ? bornKilled(edited, requestedById) : [],
    );
    const ofShared = sharedRow(set?.shared, written.flags, id, { request, approvedBy });
    await appendAuditRows(tx, identity, [approval, ...rows, ...ofShared, ...born]);
    await written.record();
    return { decided, written };
  }

  async #write(
    tx: Transaction,
    identity: CallerIdentity,
    members: readonly SetChange[],
    { by, force, waited }: { by: string | null; force: boolean; waited: boolean },
  ): Promise<WrittenSet & { record: () => Promise<void> }> {
    const halts = await this.rollouts.halt(tx, members.flatMap(editOf));
    const writes = members.map((member) => {
      const { before, edited, place, forms } = member;
      return before === null
        ? { before, edited, field: place.path ?? '' }
        : { before, edited, action: lastEntryOf(member).action, forms };
    });
    const flags = await writeFlags(tx, this.signer, writes, { by, force, waited, clock: this.rollouts.clock });
    const archived = members.flatMap(({ before }, index) => {
      const after = flags[index];
      return before !== null && after !== undefined && archives(before, after) ? [after] : [];
    });
    const recordEnded = await endRequestsFor(tx, this.rollouts, identity, archived);
    await checkWritten(
      tx,
      members.map(({ before, edited, place }, index) => ({ before, after: flags[index] ?? edited, place })),
    );
    return {
      flags,
      isKill: members.some(({ before }, index) => {
        const after = flags[index];
        return after !== undefined && isKilled(after.rules) && !(before !== null && isKilled(before.rules));
      }),
      record: async () => {
        await this.rollouts.recordHalts(tx, identity, halts);
        await recordEnded();
      },
    };
  }
}

/** Gives the audit row of what a set has changed beside flags. It names the flags with their new revisions. */
function sharedRow(
  shared: SharedChange | undefined,
  flags: readonly Flag[],
  id: string,
  approved: { readonly request: ChangeRequest; readonly approvedBy: string } | null = null,
): AuditEntry[] {
  if (shared?.isRecorded !== true) return [];
  const { action, before, after } = shared;
  const content = approved === null ? after : withBothPeople(after, approved.request, approved.approvedBy);
  const revisions = Object.fromEntries(flags.map(({ key, revision }): [string, JsonValue] => [key, revision]));
  return [
    {
      ...{ action, before, after: { ...ofSet(content, id), flags: revisions } },
      ...(approved !== null && { userId: approved.request.requestedById }),
    },
  ];
}
