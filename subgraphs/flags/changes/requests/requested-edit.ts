/** The edit that a change request of one flag asks for, made when it is approved. */
import type { Transaction } from '../../../shared/postgres/transaction.ts';
import { withContent, type Flag } from '../../flags/flag.ts';
import { MOVES, promoted } from '../../releases/release-steps.ts';
import type { TakingEffect } from '../../releases/release-writing.ts';
import { isAboutRollout } from '../../rollouts/rollout-transitions.ts';
import type { ChangeRequest } from './change-request.ts';

/** A flag as an approval makes it, and the way in which that takes effect. */
interface RequestedEdit {
  readonly edited: Flag;
  readonly effect?: TakingEffect;
}

/**
 * Gives a flag as the approval of a request makes it: the same object where the request is about its rollout.
 *
 * @throws CONFLICT as `withContent` and `promoted`
 */
export async function requestedEdit(tx: Transaction, before: Flag, change: ChangeRequest): Promise<RequestedEdit> {
  if (isAboutRollout(change)) return { edited: before };
  if (change.action === 'PROMOTE_RELEASE') return { edited: await promoted(tx, before, change.after), effect: MOVES };
  return { edited: { ...withContent(before, change.proposed, new Date()), draft: false } };
}
