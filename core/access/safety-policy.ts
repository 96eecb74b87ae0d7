/**
 * Which changes wait for a second person, and who may ask for them. Source: design.md, "Safety and accountability"
 * (ISO 26262: what can hurt somebody is never decided by one person alone).
 */
import { SAFETY_LEVELS, type SafetyLevel } from '../model.ts';
import type { Role } from './caller.ts';
import { PLANNERS, STOPPERS, WRITERS, type Permission } from './permissions.ts';

interface Leveled {
  readonly safetyLevel: SafetyLevel;
}

const severity = ({ safetyLevel }: Leveled) => SAFETY_LEVELS.indexOf(safetyLevel);

/**
 * Whether a change of a flag from `before` to `after` has to be approved by a second person: any change of a flag that
 * is ASIL-D before or after it, and lowering the level of any flag, or what is to be ASIL-D could be decided alone
 * while it is less than that.
 *
 * @param before null for a flag that is being created
 * @param action the audit action; pulling a kill switch never waits
 */
export function needsSecondPerson(before: Leveled | null, after: Leveled, action: string): boolean {
  if (action === 'KILL_SWITCH') return false;
  if (after.safetyLevel === 'ASIL-D') return true;
  return before !== null && (before.safetyLevel === 'ASIL-D' || severity(after) < severity(before));
}

/**
 * Who may make a change, or ask for it, by the audit action that it is: a kill is a kill whichever operation it is
 * written as.
 */
export function permissionFor(action: string): Permission {
  if (action === 'KILL_SWITCH' || action === 'RELEASE_KILL_SWITCH') return STOPPERS;
  return action === 'SCHEDULE_ROLLOUT' || action === 'RESUME_ROLLOUT' ? PLANNERS : WRITERS;
}

/** Whether a person of `role` may ask for a change that is recorded as `action`. */
export function mayAskFor(action: string, role: Role): boolean {
  return permissionFor(action).users.includes(role);
}
