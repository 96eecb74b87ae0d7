/** The one request of a set that a second person must agree to. */
import type { CallerIdentity } from '../../../../core/access/caller.ts';
import { appendAudit } from '../../../shared/audit/audit-log.ts';
import type { Transaction } from '../../../shared/postgres/transaction.ts';
import { flagContent } from '../../flags/flag.ts';
import { insertFlags } from '../../flags/flag-store.ts';
import { checkDependencies } from '../../partitions/dependencies.ts';
import type { Warning } from '../../partitions/registered-models.ts';
import { askingPerson } from '../change-checks.ts';
import { insertChangeRequest, type ProposedChange } from '../requests/change-request.ts';
import { disturbedExperiments } from '../running-experiments/running-experiment.ts';
import type { ChangeEntry, ChangeSet, ChangeSetOutcome, SharedChange } from './change-set.ts';
import { isWritten, lastEntryOf, needsApproval, type SetChange } from './set-changes.ts';

/** Gives the entry of a change beside flags; nothing where a set has none. */
const sharedEntry = (shared: SharedChange | undefined): Partial<ChangeEntry> =>
  shared === undefined ? {} : { action: shared.action, before: shared.before, after: shared.after };

/** Stores one request of all changes; the flags stay as they are, and new ones are drafts. */
export async function requestSet(
  tx: Transaction,
  identity: CallerIdentity,
  members: readonly SetChange[],
  id: string,
  { force: forced, shared }: ChangeSet,
): Promise<ChangeSetOutcome> {
  const force = forced === true;
  const asking = members.find((member) => member.entries.some(({ action }) => needsApproval(member, action)));
  const requestedById = askingPerson(identity, asking?.edited ?? members[0]!.edited);
  await checkDependencies(
    tx,
    members.map(({ before, edited, place }) => ({ before, after: edited, place })),
  );
  const drafts = members.map(({ before, edited }) => before ?? { ...edited, draft: true });
  await insertFlags(
    tx,
    members.flatMap(({ before, place }, index) => {
      const flag = drafts[index];
      return before !== null || flag === undefined ? [] : [{ flag, field: place.path ?? '' }];
    }),
  );
  await disturbedExperiments(
    tx,
    members
      .filter(isWritten)
      .flatMap(({ before, edited, forms }) =>
        before === null ? [] : [{ before: forms?.before ?? before, edited: forms?.after ?? edited, force }],
      ),
  );
  const changes: ProposedChange[] = [];
  const warnings: Warning[] = [];
  for (const [index, member] of members.entries()) {
    const { before, edited, place, entries } = member;
    const flag = drafts[index] ?? edited;
    if (entries.some(({ action }) => action === 'KILL_SWITCH'))
      warnings.push({
        field: place.path,
        message: `The kill switch of ${edited.key} waits for approval with the rest of the set; killSwitch pulls it at once.`,
      });
    const { action, ...values } = lastEntryOf(member);
    const whole = { before: before === null ? null : flagContent(before), after: flagContent(edited) };
    changes.push({ flag, edited, action, ...(entries.length > 1 ? whole : values) });
  }
  const [first] = changes;
  if (first === undefined) throw new Error('A set that needs approval has no change');
  const whole = { ...first, ...sharedEntry(shared) };
  const changeRequest = await insertChangeRequest(tx, whole, { id, requestedById, force }, changes);
  const byKey = (side: 'before' | 'after') =>
    Object.fromEntries(changes.map((change) => [change.edited.key, change[side]]));
  await appendAudit(tx, identity, {
    action: 'REQUEST_CHANGE',
    flagId: first.flag.id,
    before: shared?.before ?? (shared === undefined ? byKey('before') : null),
    after: {
      ...{ changeRequest: id, changeSet: id, action: whole.action, proposed: shared?.after ?? byKey('after') },
      ...(shared !== undefined && { flags: changes.map(({ flag }) => flag.key) }),
    },
  });
  return {
    ...{ id, applied: false, changeRequest, revision: null, warnings },
    flags: changes.map(({ flag }) => flag),
  };
}
