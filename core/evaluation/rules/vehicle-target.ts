/**
 * "vehicle_target: every list given must contain the vehicle's value; `sw_version` is an npm-style range; versions
 * such as `2.5` or `v2.5.0-rc1` are read sensibly; an unreadable version matches nothing." (design.md)
 */
import { badInput } from '../../errors.ts';
import { isInRange, type VersionRange } from '../version-range.ts';
import type { EvaluationContext, JsonObject, JsonValue } from '../../model.ts';
import { readNames, readObject, readOptional, readVersionRange, type Matcher } from './condition-fields.ts';
import { checkSeen } from '../../validation/text.ts';

export const TARGET_KEYS = ['models', 'sw_version', 'regions'] as const;

/**
 * Which vehicles are meant; what is undefined does not narrow. Models and regions are compared exactly, case included;
 * blanks around those in the rule do not count.
 */
export interface VehicleTarget {
  readonly models: ReadonlySet<string> | undefined;
  readonly swVersion: VersionRange | undefined;
  readonly regions: ReadonlySet<string> | undefined;
}

/** The target within an object whose keys have been checked. Throws BAD_USER_INPUT at the path of the first fault. */
export function readTarget(object: JsonObject, path: string): VehicleTarget {
  return {
    models: readOptional(object, 'models', path, readNames),
    swVersion: readOptional(object, 'sw_version', path, readVersionRange),
    regions: readOptional(object, 'regions', path, readNames),
  };
}

/**
 * @param conditions `{"models"?: […], "sw_version"?: "…", "regions"?: […]}`, at least one of them
 * @throws BAD_USER_INPUT at the path of the first fault, LIMIT_EXCEEDED
 */
export function parseVehicleTarget(conditions: unknown, path: string): VehicleTarget {
  const object = readObject(conditions, path, TARGET_KEYS);
  // An empty target would reach every vehicle, which nobody means by leaving everything out.
  if (Object.keys(object).length === 0)
    throw badInput(path, `At least one of ${TARGET_KEYS.join(', ')} must be given.`);
  return readTarget(object, path);
}

function isTextList(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.every((item) => typeof item === 'string');
}

const LISTS = { models: 'A model', regions: 'A region' } as const;

/**
 * The conditions as they are stored: models and regions as those of vehicles are, without the blanks around them and
 * without invisible characters. They have been parsed.
 *
 * @throws BAD_USER_INPUT at the path of the first fault
 */
export function storedTarget(conditions: JsonObject, path: string): JsonObject {
  const stored: Record<string, JsonValue> = { ...conditions };
  for (const [key, what] of Object.entries(LISTS)) {
    const names = conditions[key];
    if (!isTextList(names)) continue;
    names.forEach((name, index) => checkSeen(name, `${path}.${key}.${index}`, what));
    stored[key] = names.map((name) => name.trim());
  }
  return stored;
}

/** A garbage value of another type is in no set of strings. */
function isAmong(names: ReadonlySet<unknown> | undefined, name: unknown): boolean {
  return names === undefined || names.has(name);
}

/** Whether the context's vehicle is meant; a value that the context lacks is in no list. Allocates nothing. */
export function isTargeted(target: VehicleTarget, context: EvaluationContext): boolean {
  return (
    isAmong(target.models, context.model) &&
    isAmong(target.regions, context.region) &&
    (target.swVersion === undefined || isInRange(target.swVersion, context.swVersion))
  );
}

export function compileVehicleTarget(target: VehicleTarget): Matcher {
  return (context) => isTargeted(target, context);
}
