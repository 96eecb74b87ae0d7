/**
 * The audience of a rule: conditions that narrow it beside those of its type. People do not write it. It is how a
 * segment that no older form can express travels in a signed definition (scopes.md, "Segments"). An older
 * program finds an unknown key and lets such a rule match nobody.
 */
import { badInput } from '../../errors.ts';
import type { JsonObject, JsonValue } from '../../model.ts';
import { isJsonObject } from '../../json/json-value.ts';
import { readObject, type Matcher } from './condition-fields.ts';
import { compileUserAttribute, parseUserAttribute, type AttributeComparison } from './user-attribute.ts';
import { TARGET_KEYS, isTargeted, readTarget, type VehicleTarget } from './vehicle-target.ts';
import { compileWhitelist, parseWhitelist, type SignedWhitelist, type WrittenWhitelist } from './vehicle-whitelist.ts';

const AUDIENCE_KEYS = [...TARGET_KEYS, 'vins', 'digests', 'all'] as const;

/** An audience that has been read; an undefined member does not narrow. */
export interface RuleAudience {
  readonly target: VehicleTarget;
  readonly listed: WrittenWhitelist | SignedWhitelist | undefined;
  readonly comparisons: readonly AttributeComparison[];
}

/** Splits a rule's conditions (any JSON) into its audience, undefined where it has none, and those of its type. */
export function splitAudience(conditions: JsonValue | undefined): {
  readonly audience: JsonValue | undefined;
  readonly own: JsonValue;
} {
  if (!isJsonObject(conditions) || !Object.hasOwn(conditions, 'audience'))
    return { audience: undefined, own: conditions ?? null };
  const { audience, ...own } = conditions;
  return { audience, own };
}

/** Says whether conditions are an object without members. A vehicle_target rule with an audience may have such. */
export const isEmptyObject = (value: unknown): boolean => isJsonObject(value) && Object.keys(value).length === 0;

function readListed(object: JsonObject, path: string): RuleAudience['listed'] {
  const lists = Object.fromEntries(Object.entries(object).filter(([key]) => key === 'vins' || key === 'digests'));
  return isEmptyObject(lists) ? undefined : parseWhitelist(lists, path);
}

/**
 * Parses an audience.
 *
 * @param value `{"models"?, "sw_version"?, "regions"?}` as in vehicle_target, `{"vins": […]}` or `{"digests": […]}` as
 *   in vehicle_whitelist, `{"all": […]}` as in user_attribute; at least one of them, and all that are given must hold
 * @throws BAD_USER_INPUT at the path of the first fault, LIMIT_EXCEEDED
 */
export function parseAudience(value: unknown, path: string): RuleAudience {
  const object = readObject(value, path, AUDIENCE_KEYS);
  if (isEmptyObject(object)) throw badInput(path, `At least one of ${AUDIENCE_KEYS.join(', ')} must be given.`);
  return {
    target: readTarget(object, path),
    listed: readListed(object, path),
    comparisons: Object.hasOwn(object, 'all') ? parseUserAttribute({ all: object['all'] }, path) : [],
  };
}

/**
 * Compiles an audience to a matcher.
 *
 * @param digestOf gives the digest of a VIN under the rule's id
 */
export function compileAudience(
  { target, listed, comparisons }: RuleAudience,
  digestOf: (vin: string) => string,
): Matcher {
  const isListed = listed === undefined ? null : compileWhitelist(listed, digestOf);
  const holds = compileUserAttribute(comparisons);
  return (context, nonce) =>
    isTargeted(target, context) && (isListed === null || isListed(context, nonce)) && holds(context, nonce);
}
