/**
 * "A kill switch that is enabled with `force_disabled: true` wins over everything, whatever its priority."
 * (design.md) With `force_disabled: false` the rule is kept as a record and never matches.
 */
import { badInput } from '../../errors.ts';
import { readBoolean, readNonBlank, readObject, readOptional, readRequired } from './condition-fields.ts';
import type { JsonObject } from '../../model.ts';
import { isJsonObject } from '../../json/json-value.ts';
import { MAX_REASON_LENGTH, readReason } from '../../validation/text.ts';

/** The conditions of a kill switch. */
export interface KillSwitch {
  readonly forceDisabled: boolean;
  readonly reason: string | undefined;
}

/** Reads a reason. Older reasons were stored before prose had rules, so it may be any text that is not blank. */
function readParsedReason(value: unknown, path: string): string {
  const reason = readNonBlank(value, path);
  // The length counts code points, as it does wherever a reason is written.
  if (Array.from(reason).length > MAX_REASON_LENGTH)
    throw badInput(path, `A reason must have at most ${MAX_REASON_LENGTH} characters.`);
  return reason;
}

/**
 * Gives the conditions as they are stored, with the reason normalised and checked as prose.
 *
 * @param conditions conditions that `parseKillSwitch` has accepted
 * @throws BAD_USER_INPUT at `path.reason`
 */
export function storedKillSwitch(conditions: JsonObject, path: string): JsonObject {
  const { reason } = conditions;
  if (reason === undefined) return conditions;
  return { ...conditions, reason: readReason(reason, `${path}.reason`) };
}

/**
 * Parses the conditions of a kill switch.
 *
 * @param conditions `{"force_disabled": boolean, "reason"?: "…"}`
 * @throws BAD_USER_INPUT at the path of the first fault
 */
export function parseKillSwitch(conditions: unknown, path: string): KillSwitch {
  const object = readObject(conditions, path, ['force_disabled', 'reason']);
  return {
    forceDisabled: readRequired(object, 'force_disabled', path, readBoolean),
    reason: readOptional(object, 'reason', path, readParsedReason),
  };
}

/**
 * Says whether a rule (any JSON) is a pulled kill switch. Unlike in other rules, an unknown key beside `force_disabled`
 * changes nothing: a stop must not be missed because a newer server wrote more about it.
 */
export function isKilling(rule: unknown): boolean {
  return (
    isJsonObject(rule) &&
    rule['type'] === 'kill_switch' &&
    rule['enabled'] === true &&
    isJsonObject(rule['conditions']) &&
    rule['conditions']['force_disabled'] === true
  );
}

/**
 * Says whether an edit (any JSON) of a rule may pull a kill switch. The rule's type is not known here, and a member
 * that the edit leaves out stays as it is in the rule; both count as if they could pull it.
 */
export function mayKill({
  enabled,
  conditions,
}: {
  readonly enabled?: unknown;
  readonly conditions?: unknown;
}): boolean {
  if (conditions === undefined) return enabled === true;
  return (
    (enabled === undefined || enabled === true) && isJsonObject(conditions) && conditions['force_disabled'] === true
  );
}

/** Says whether any of a flag's rules (any JSON) is a pulled kill switch. */
export function isKilled(rules: unknown): boolean {
  return Array.isArray(rules) && rules.some(isKilling);
}
