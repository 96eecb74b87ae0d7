/**
 * The safety policy: which changes need a second person's approval, and which roles may request them. Source:
 * design.md, "Safety and accountability" (ISO 26262: no person alone decides what can hurt somebody).
 */
import { SAFETY_LEVELS, type SafetyLevel } from '../model.ts';
import type { Role } from './caller.ts';
import { ADMINS, PLANNERS, STOPPERS, WRITERS, type Permission } from './permissions.ts';

interface Leveled {
  readonly safetyLevel: SafetyLevel;
}

const severity = ({ safetyLevel }: Leveled) => SAFETY_LEVELS.indexOf(safetyLevel);

/**
 * Says whether a second person has to approve a change of a flag from `before` to `after`. Any change of a flag that is
 * ASIL-D before or after it needs approval, and so does lowering the level of any flag: otherwise one person could
 * lower the level, change the flag alone, and raise the level again.
 *
 * @param before null for a flag that is being created
 * @param action the audit action; pulling a kill switch never needs approval
 */
export function needsSecondPerson(before: Leveled | null, after: Leveled, action: string): boolean {
  if (action === 'KILL_SWITCH') return false;
  if (after.safetyLevel === 'ASIL-D') return true;
  return before !== null && (before.safetyLevel === 'ASIL-D' || severity(after) < severity(before));
}

/**
 * Gives the permission to make or request a change, by its audit action. The operation does not matter: a rule that is
 * edited into a kill switch counts as a kill switch.
 */
export function permissionFor(action: string): Permission {
  if (action === 'KILL_SWITCH' || action === 'RELEASE_KILL_SWITCH') return STOPPERS;
  if (action === 'SET_RELEASE_POLICY') return ADMINS;
  return action === 'SCHEDULE_ROLLOUT' || action === 'RESUME_ROLLOUT' ? PLANNERS : WRITERS;
}

/** Says whether a user of `role` may request a change that is recorded as `action`. */
export function mayAskFor(action: string, role: Role): boolean {
  return permissionFor(action).users.includes(role);
}
