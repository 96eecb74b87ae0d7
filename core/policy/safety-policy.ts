/**
 * Which changes wait for a second person. Source: design.md, "Safety and accountability" (ISO 26262: what can hurt
 * somebody is never decided by one person alone).
 */
import { SAFETY_LEVELS, type SafetyLevel } from '../model.ts';

const severity = (level: SafetyLevel) => SAFETY_LEVELS.indexOf(level);

/**
 * Whether a change of a flag from `before` to `after` has to be approved by a second person: any change of an ASIL-D
 * flag, and lowering the level of any flag, or an ASIL-D flag could be changed alone after being made less than one.
 *
 * @param action the audit action; pulling a kill switch never waits
 */
export function needsSecondPerson(before: { readonly safetyLevel: SafetyLevel }, after: { readonly safetyLevel: SafetyLevel }, action: string): boolean {
  if (action === 'KILL_SWITCH') return false;
  return before.safetyLevel === 'ASIL-D' || severity(after.safetyLevel) < severity(before.safetyLevel);
}
