/**
 * "A kill switch that is enabled with `force_disabled: true` wins over everything, whatever its priority."
 * (design.md) With `force_disabled: false` it is kept for its record and never matches.
 */
import { badInput } from '../../errors.ts';
import { readBoolean, readNonBlank, readObject, readOptional, readRequired } from './condition-fields.ts';
import type { JsonObject } from '../../model.ts';
import { isJsonObject } from '../../json/json-value.ts';
import { MAX_REASON_LENGTH, readReason } from '../../validation/text.ts';

export interface KillSwitch {
  readonly forceDisabled: boolean;
  readonly reason: string | undefined;
}

/** As it is read, from before there were rules for text as well. */
function readParsedReason(value: unknown, path: string): string {
  const reason = readNonBlank(value, path);
  // In code points, as everywhere where a reason is written.
  if (Array.from(reason).length > MAX_REASON_LENGTH)
    throw badInput(path, `A reason must have at most ${MAX_REASON_LENGTH} characters.`);
  return reason;
}

/**
 * The conditions as they are stored: with the reason as prose is kept. They have been parsed.
 *
 * @throws BAD_USER_INPUT at `path.reason`
 */
export function storedKillSwitch(conditions: JsonObject, path: string): JsonObject {
  const { reason } = conditions;
  if (reason === undefined) return conditions;
  return { ...conditions, reason: readReason(reason, `${path}.reason`) };
}

/**
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
 * Whether a rule (any JSON) holds its flag at the default. Unlike in the other rules an unknown key beside
 * `force_disabled` changes nothing: a stop must not be missed because a newer server wrote more about it.
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
 * Whether an edit (any JSON) of a rule of whichever type may pull a kill switch. What it leaves out stays as the rule
 * has it.
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

/** Whether any of a flag's rules (any JSON) is a kill switch that holds it at its default. */
export function isKilled(rules: unknown): boolean {
  return Array.isArray(rules) && rules.some(isKilling);
}
