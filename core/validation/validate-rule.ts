/**
 * Validates a rule before it is stored. Source: design.md, "Conditions are validated when written: unknown keys, wrong
 * types, percentages outside 0–100, impossible ranges, invalid VINs and duplicates are refused with the path of the
 * fault. Values must fit the flag's type."
 */
import { badInput } from '../errors.ts';
import {
  RULE_TYPES,
  VARIANT_PATTERN,
  type FlagType,
  type JsonObject,
  type JsonValue,
  type RuleDefinition,
  type RuleType,
} from '../model.ts';
import { checkFlagValue } from '../evaluation/values/flag-value.ts';
import { checkJson, checkJsonSize, isJsonObject, isOneOf } from '../json/json-value.ts';
import { isEmptyObject } from '../evaluation/rules/audience.ts';
import { readSegmented } from '../evaluation/segments/segment.ts';
import { parseKillSwitch, storedKillSwitch } from '../evaluation/rules/kill-switch.ts';
import { parsePercentageRollout } from '../evaluation/rules/percentage-rollout.ts';
import { parseUserAttribute } from '../evaluation/rules/user-attribute.ts';
import { parseVehicleTarget, storedTarget } from '../evaluation/rules/vehicle-target.ts';
import { parseWrittenWhitelist } from '../evaluation/rules/vehicle-whitelist.ts';

/** The priority of a rule that is written without one. */
export const DEFAULT_PRIORITY = 100;

/** A rule as a client writes it. Every member may be anything. */
export interface RuleDraft {
  readonly type: unknown;
  /** The priority; 100 where it is null or absent. */
  readonly priority?: unknown;
  /** Whether the rule is enabled; true where it is null or absent. */
  readonly enabled?: unknown;
  readonly conditions: unknown;
  /**
   * The value that the rule serves. Absent, the rule has none. Null means the same, except for a JSON flag, which
   * refuses null as a value.
   */
  readonly value?: unknown;
  readonly variant?: unknown;
}

/** A rule that may be stored. It is complete except for its id. */
export interface ValidRule extends Omit<RuleDefinition, 'id'> {
  readonly value: JsonValue;
  readonly variant: string | null;
}

const PARSERS: Readonly<Record<RuleType, (conditions: unknown, path: string) => unknown>> = {
  kill_switch: parseKillSwitch,
  vehicle_whitelist: parseWrittenWhitelist,
  vehicle_target: parseVehicleTarget,
  user_attribute: parseUserAttribute,
  percentage_rollout: parsePercentageRollout,
};

/** The functions that normalise the text in the conditions of a type for storing. */
const NORMALISERS: Readonly<Partial<Record<RuleType, (conditions: JsonObject, path: string) => JsonObject>>> = {
  kill_switch: storedKillSwitch,
  vehicle_target: storedTarget,
  percentage_rollout: storedTarget,
};

/**
 * Checks that `conditions` may be stored for a rule of `type`: readable as that type, and at most 256 KB as JSON.
 * Beside the conditions of its type, a rule that is no kill switch may name a `segment`; whether there is one of that
 * key is not known here.
 *
 * @returns the conditions as written, without the blanks around models, regions and reasons
 * @throws BAD_USER_INPUT at the dotted path of the first fault, LIMIT_EXCEEDED (10,000 VINs, 262,144 bytes)
 */
export function validateConditions(type: RuleType, conditions: unknown, path: string): JsonValue {
  checkJson(conditions, path);
  const { segment, own } = readSegmented(type, conditions, path);
  checkJson(own, path);
  // A segment may be all that a target says.
  if (segment === null || type !== 'vehicle_target' || !isEmptyObject(own)) PARSERS[type](own, path);
  checkJsonSize(conditions, path);
  const stored = (isJsonObject(own) && NORMALISERS[type]?.(own, path)) || own;
  return segment !== null && isJsonObject(stored) ? { segment, ...stored } : stored;
}

function validateValue(flagType: FlagType, value: unknown, path: string): JsonValue {
  if (value === undefined || (value === null && flagType !== 'json')) return null;
  return checkFlagValue(flagType, value, path);
}

function validatePriority(priority: unknown, path: string): number {
  if (typeof priority !== 'number' || (priority | 0) !== priority)
    throw badInput(path, 'A priority must be a 32-bit integer.');
  return priority;
}

function validateVariant(variant: unknown, path: string): string {
  if (typeof variant !== 'string' || !VARIANT_PATTERN.test(variant)) {
    throw badInput(path, 'A variant must have 1 to 50 letters, digits, dots, underscores and hyphens.');
  }
  return variant;
}

/**
 * Validates a rule and completes it for storing. Without a value, its `value` is null: the rule then serves `true` on a
 * boolean flag and the flag's default value on the others.
 *
 * @param flagType the type of the flag that the rule is for
 * @param pathPrefix the dotted path of the draft in the request, such as `input`; faults are reported below it
 *   (`input.conditions.vins.3`)
 * @throws BAD_USER_INPUT at the dotted path of the first fault, LIMIT_EXCEEDED
 */
export function validateRuleInput(draft: RuleDraft, flagType: FlagType, pathPrefix: string): ValidRule {
  const { type } = draft;
  if (!isOneOf(RULE_TYPES, type))
    throw badInput(`${pathPrefix}.type`, `Unknown rule type; expected one of ${RULE_TYPES.join(', ')}.`);
  const priority = validatePriority(draft.priority ?? DEFAULT_PRIORITY, `${pathPrefix}.priority`);
  const enabled = draft.enabled ?? true;
  if (typeof enabled !== 'boolean') throw badInput(`${pathPrefix}.enabled`, 'Expected true or false.');
  return {
    type,
    priority,
    enabled,
    conditions: validateConditions(type, draft.conditions, `${pathPrefix}.conditions`),
    value: validateValue(flagType, draft.value, `${pathPrefix}.value`),
    variant:
      draft.variant === null || draft.variant === undefined
        ? null
        : validateVariant(draft.variant, `${pathPrefix}.variant`),
  };
}
