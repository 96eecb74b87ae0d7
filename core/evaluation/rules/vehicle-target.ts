/**
 * "vehicle_target: every list given must contain the vehicle's value; `sw_version` is an npm-style range; versions
 * such as `2.5` or `v2.5.0-rc1` are read sensibly; an unreadable version matches nothing." (design.md)
 */
import { badInput } from '../../errors.ts';
import type { VersionTest } from '../versions/version-range.ts';
import type { EvaluationContext, JsonObject, JsonValue } from '../../model.ts';
import { readNames, readObject, readOptional, readVersionRange, type Matcher } from './condition-fields.ts';
import { checkModelName } from '../../partitions/model-name.ts';
import { checkVisible } from '../../validation/text.ts';

export const TARGET_KEYS = ['models', 'sw_version', 'regions'] as const;

/**
 * The vehicles that a rule targets; an undefined member does not narrow. Models and regions are compared exactly,
 * including their case. The blanks around those in the rule do not count.
 */
export interface VehicleTarget {
  readonly models: ReadonlySet<string> | undefined;
  readonly swVersion: VersionTest | undefined;
  readonly regions: ReadonlySet<string> | undefined;
}

/** Reads the target in an object whose keys have been checked. Throws BAD_USER_INPUT at the path of the first fault. */
export function readTarget(object: JsonObject, path: string): VehicleTarget {
  return {
    models: readOptional(object, 'models', path, readNames),
    swVersion: readOptional(object, 'sw_version', path, readVersionRange),
    regions: readOptional(object, 'regions', path, readNames),
  };
}

/**
 * Parses the conditions of a vehicle_target rule.
 *
 * @param conditions `{"models"?: […], "sw_version"?: "…", "regions"?: […]}`, at least one of them
 * @throws BAD_USER_INPUT at the path of the first fault, LIMIT_EXCEEDED
 */
export function parseVehicleTarget(conditions: unknown, path: string): VehicleTarget {
  const object = readObject(conditions, path, TARGET_KEYS);
  // An empty target would reach every vehicle, which is hardly what its author meant.
  if (Object.keys(object).length === 0)
    throw badInput(path, `At least one of ${TARGET_KEYS.join(', ')} must be given.`);
  return readTarget(object, path);
}

function isTextList(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.every((item) => typeof item === 'string');
}

const LISTS = { models: 'A model', regions: 'A region' } as const;

/**
 * Gives the conditions as they are stored. Models and regions lose the blanks around them and may have no invisible
 * characters, as in the registry of vehicles, which has no model `*` either.
 *
 * @param conditions conditions that `parseVehicleTarget` or `parsePercentageRollout` has accepted
 * @throws BAD_USER_INPUT at the path of the first fault
 */
export function storedTarget(conditions: JsonObject, path: string): JsonObject {
  const stored: Record<string, JsonValue> = { ...conditions };
  for (const [key, what] of Object.entries(LISTS)) {
    const names = conditions[key];
    if (!isTextList(names)) continue;
    names.forEach((name, index) => checkVisible(name, `${path}.${key}.${index}`, what));
    const trimmed = names.map((name) => name.trim());
    if (key === 'models')
      for (const [index, name] of trimmed.entries())
        checkModelName(name, `${path}.models.${index}`, 'leave models out for vehicles of every model');
    stored[key] = trimmed;
  }
  return stored;
}

/** Says whether `name` is in the set, or there is no set. A value of another type is in no set. */
function isAmong(names: ReadonlySet<unknown> | undefined, name: unknown): boolean {
  return names === undefined || names.has(name);
}

/** Says whether a context's vehicle is targeted. A value that the context lacks is in no list. Allocates nothing. */
export function isTargeted(target: VehicleTarget, context: EvaluationContext): boolean {
  return (
    isAmong(target.models, context.model) &&
    isAmong(target.regions, context.region) &&
    (target.swVersion === undefined || target.swVersion(context.swVersion))
  );
}

/** Compiles a target to a matcher. */
export function compileVehicleTarget(target: VehicleTarget): Matcher {
  return (context) => isTargeted(target, context);
}
