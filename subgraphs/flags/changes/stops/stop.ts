/**
 * The changes after which no vehicle may go back by itself to what it had before: they raise a flag's `noReturnBelow`
 * to their own revision. Every write of a flag is compared here. Pure. Source: releases.md, "Last known good";
 * docs/decisions/vehicle/no-return-below.md.
 */
import type { AuditAction } from '../../../shared/audit/audit-log.ts';
import type { Flag } from '../../flags/flag.ts';
import { pulledSwitches } from './kill-switch-change.ts';

/** The part of a write that the states of its flag do not show. */
export interface StopCircumstances {
  readonly action: AuditAction;
  /** Whether it halts the release that was under way. */
  readonly isHalt: boolean;
}

/**
 * Says whether a change stops a flag: it pulls a kill switch, disables, halts a release, is what a guard pulls back, or
 * takes the flag from the vehicles of an environment or gives it to them. Of a draft no vehicle has anything.
 */
export function stops(before: Flag, after: Flag, { action, isHalt }: StopCircumstances): boolean {
  if (before.draft) return false;
  const isDisabled = before.enabled && !after.enabled;
  // Revisions of another environment say nothing here, and a restored database may have lost what happened in between.
  const moves =
    before.environment !== after.environment || (before.archivedAt === null) !== (after.archivedAt === null);
  return isHalt || isDisabled || moves || action === 'GUARD_ROLLOUT' || pulledSwitches(before, after).length > 0;
}
