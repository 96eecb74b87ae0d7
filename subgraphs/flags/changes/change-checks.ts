/** Checks of a change before it is made: its flag, its revision, and the person who asks. */
import { FleetFlagError } from '../../../core/errors.ts';
import type { CallerIdentity } from '../../../core/access/caller.ts';
import type { Flag } from '../flags/flag.ts';
import type { FaultPlace } from '../partitions/dependencies.ts';
import type { FlagEdit } from './change.ts';

/** The place of faults in the argument `input`. */
export const INPUT: FaultPlace = { path: 'input', hasMembers: true };
/** The place of faults that no argument is to blame for. */
export const NOWHERE: FaultPlace = { path: null, hasMembers: false };
/** The place of faults in the change request that the argument `id` names. */
export const REQUEST: FaultPlace = { path: 'id', hasMembers: false };

/** Gives the refusal of an edit whose flag or rule does not exist. */
export const notFound = (what: FlagEdit['flag']) =>
  'key' in what
    ? new FleetFlagError('NOT_FOUND', `There is no flag ${JSON.stringify(what.key)}.`, { field: what.field ?? 'key' })
    : new FleetFlagError('NOT_FOUND', 'This rule does not exist.', { field: what.field ?? 'id' });

/**
 * Gives the person who requests a change that two people must agree on.
 *
 * @throws FORBIDDEN when the caller is not a person, such as an API key
 */
export function askingPerson({ caller }: CallerIdentity, { key, safetyLevel }: Flag): string {
  if (caller.kind === 'user' && caller.userId !== null) return caller.userId;
  throw new FleetFlagError(
    'FORBIDDEN',
    `This change of ${key} (${safetyLevel}) requires the approval of a second person, which only a signed-in user may request. An API key may only pull its kill switch.`,
  );
}

/**
 * Refuses any change of a draft, a change based on another revision of the flag, and any change of an archived flag but
 * that which brings it back.
 *
 * @param unarchives whether the change brings the flag back
 * @throws CONFLICT
 */
export function checkCurrent(flag: Flag, expectedRevision: number | null | undefined, unarchives = false): void {
  const { key } = flag;
  if (flag.draft)
    throw new FleetFlagError(
      'CONFLICT',
      `${key} is waiting for its first approval and cannot change until then. To change it, cancel its change request and create the flag again.`,
    );
  checkRevision(flag, expectedRevision);
  if (flag.archivedAt !== null && !unarchives) throw archivedRefusal(flag);
}

/** Gives the refusal of a change of an archived flag. */
export const archivedRefusal = ({ key, revision: currentRevision }: Flag) =>
  new FleetFlagError('CONFLICT', `${key} is archived and cannot change; bring it back first.`, { currentRevision });

/** Refuses a change that is based on another revision of the flag. */
export function checkRevision(
  { key, revision: currentRevision }: Flag,
  expectedRevision: number | null | undefined,
): void {
  if (typeof expectedRevision === 'number' && expectedRevision !== currentRevision) {
    throw new FleetFlagError('CONFLICT', `${key} has changed since revision ${expectedRevision}.`, { currentRevision });
  }
}
