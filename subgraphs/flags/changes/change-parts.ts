/**
 * The changes that make up an edit of a flag. The part that pulls a kill switch is a kill, whichever mutation carried
 * it, and the rest is a second change after it. Each part has its own name in the audit log and needs the permission of
 * that name.
 */
import { isDeepStrictEqual } from 'node:util';
import { FleetFlagError } from '../../../core/errors.ts';
import { refusalOf } from '../../../core/access/permissions.ts';
import { permissionFor } from '../../../core/access/safety-policy.ts';
import type { CallerIdentity } from '../../../core/access/caller.ts';
import type { AuditAction } from '../../shared/audit/audit-log.ts';
import type { ChangeRecord, FlagEdit } from './change.ts';
import { flagContent, type Flag } from '../flags/flag.ts';
import { pulledSwitches, reasonOf, releasesSwitch, withPulled } from './stops/kill-switch-change.ts';
import { recordSwitch } from './edits/rule-edits.ts';

/** One part of an edit. It starts from the flag as the previous part left it. */
export interface Part extends Omit<ChangeRecord, 'force'> {
  readonly edited: Flag;
}

/**
 * Splits an edit into its parts, in order. Gives none when nothing changes.
 *
 * @throws BAD_USER_INPUT for a kill switch that is pulled without a reason
 */
export function partsOf(
  before: Flag,
  edited: Flag,
  {
    action,
    reason = null,
    reasonField = 'input.conditions.reason',
    record,
  }: Pick<FlagEdit, 'action' | 'reason' | 'reasonField' | 'record'>,
): Part[] {
  const parts: Part[] = [];
  const pulled = pulledSwitches(before, edited);
  const held = withPulled(before, pulled);
  if (pulled.length > 0)
    parts.push({ edited: held, action: 'KILL_SWITCH', ...recordSwitch(reasonOf(pulled, reasonField))(before, held) });
  const content = flagContent(edited);
  if (isDeepStrictEqual(content, flagContent(held))) return parts;
  if ((action === 'UPDATE_RULE' || action === 'DELETE_RULE') && releasesSwitch(before, edited)) {
    return [...parts, { edited, action: 'RELEASE_KILL_SWITCH', ...recordSwitch(reason)(held, edited) }];
  }
  return [...parts, { edited, action, ...(record?.(held, edited) ?? { before: flagContent(held), after: content }) }];
}

/**
 * Checks that the caller may make a change of this name.
 *
 * @throws FORBIDDEN when it may not
 */
export function checkRight({ caller }: CallerIdentity, action: AuditAction): void {
  // The mutation itself was permitted, but the change inside it may not be: a SAFETY caller may only change kill
  // switches.
  const refusal = refusalOf(permissionFor(action), action, caller, {});
  if (refusal !== null)
    throw new FleetFlagError(refusal.code, `This caller may not ${action}; it may only pull or release kill switches.`);
}
