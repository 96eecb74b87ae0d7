/** Applies a change of a segment that a second person has approved. */
import { FleetFlagError } from '../../../core/errors.ts';
import { canonicalJson } from '../../../core/json/canonical-json.ts';
import { isJsonObject, membersOf } from '../../../core/json/json-value.ts';
import type { Transaction } from '../../shared/postgres/transaction.ts';
import { checkRevision } from '../changes/change-checks.ts';
import { requestedChanges, type ChangeRequest } from '../changes/requests/change-request.ts';
import type { ChangeSet } from '../changes/sets/change-set.ts';
import { contentOf, type SegmentContent } from './segment.ts';
import { isLiving, lockWithFlags, segmentSet } from './segment-change.ts';

/** Says whether a change request concerns a segment instead of its flag's content. */
export const isAboutSegment = ({ action }: Pick<ChangeRequest, 'action'>): boolean => action === 'SAVE_SEGMENT';

/**
 * Reads the segment that a request proposes.
 *
 * @throws Error where the request holds none
 */
export function proposedSegment({ id, after }: Pick<ChangeRequest, 'id' | 'after'>): SegmentContent {
  const { key, name, conditions } = membersOf(after);
  if (typeof key !== 'string' || typeof name !== 'string' || !isJsonObject(conditions))
    throw new Error(`The change request ${id} holds no segment`);
  return { key, name, conditions };
}

/**
 * Locks what a request changes, and gives its set: the segment, and the flags that name it.
 *
 * @throws CONFLICT where the segment, one of the flags, or which flags name it, has changed since
 */
export async function approvedSegment(tx: Transaction, request: ChangeRequest): Promise<ChangeSet> {
  const content = proposedSegment(request);
  const locked = await lockWithFlags(tx, content.key);
  const before = locked.present === null ? null : contentOf(locked.present);
  const known = new Map(requestedChanges(request).map(({ flagId, flagRevision }) => [flagId, flagRevision]));
  const living = locked.flags.filter(isLiving);
  if (
    canonicalJson(before) !== canonicalJson(request.before) ||
    living.length !== known.size ||
    living.some(({ id }) => !known.has(id))
  )
    throw new FleetFlagError(
      'CONFLICT',
      `The segment ${content.key}, or which flags name it, has changed since the request; reject it, and ask for the change again.`,
      { field: 'id' },
    );
  for (const flag of living) checkRevision(flag, known.get(flag.id));
  return segmentSet(tx, locked, content, request.force);
}
