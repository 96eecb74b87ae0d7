/**
 * Segments: named audiences, written once and named in the conditions of any rule but a kill switch
 * (`{"segment": "eu_test_fleet"}`). Vehicles know nothing of them: `expandRules` puts what a segment says in its place
 * before a definition is signed. Source: scopes.md, "Segments".
 */
import { badInput } from '../../errors.ts';
import { isJsonObject } from '../../json/json-value.ts';
import { FLAG_KEY_PATTERN, type JsonObject, type JsonValue, type RuleDefinition } from '../../model.ts';
import { readList, readObject, readOptional } from '../rules/condition-fields.ts';
import { parseUserAttribute } from '../rules/user-attribute.ts';
import { TARGET_KEYS, readTarget } from '../rules/vehicle-target.ts';
import { parseWrittenWhitelist } from '../rules/vehicle-whitelist.ts';

/** The most characters of a tag. */
const MAX_TAG_LENGTH = 50;
/** The most tags that a segment names, and that a vehicle has. */
export const MAX_TAGS = 50;

const SEGMENT_KEYS = [...TARGET_KEYS, 'all', 'vins', 'tags'] as const;

/** A segment with the vehicles that its tags select. */
export interface ResolvedSegment {
  readonly conditions: JsonObject;
  /** The VINs of the vehicles that have one of the segment's tags; null where it names none. */
  readonly tagged: readonly string[] | null;
}

/** The segments that rules name, by their keys. One that is missing holds no vehicle. */
export type Segments = ReadonlyMap<string, ResolvedSegment>;

/** Reads a tag: 1 to 50 letters, digits, dots, underscores and hyphens. Throws BAD_USER_INPUT at `path`. */
export function readTag(value: unknown, path: string): string {
  if (typeof value !== 'string' || value.length > MAX_TAG_LENGTH || !FLAG_KEY_PATTERN.test(value))
    throw badInput(
      path,
      `A tag must have 1 to ${MAX_TAG_LENGTH} letters, digits, dots, underscores and hyphens, and begin with a letter or digit.`,
    );
  return value;
}

/** Reads a segment's key, which has the form of a flag's key. Throws BAD_USER_INPUT at `path`. */
export function readSegmentKey(value: unknown, path: string): string {
  if (typeof value !== 'string' || !FLAG_KEY_PATTERN.test(value))
    throw badInput(
      path,
      "A segment's key must have 1 to 100 letters, digits, dots, underscores and hyphens, and begin with a letter or digit.",
    );
  return value;
}

/**
 * Parses the conditions of a segment: at least one of `models`, `sw_version`, `regions` as in vehicle_target, `all` as
 * in user_attribute, `vins` as in vehicle_whitelist, and `tags`. A vehicle belongs to the segment when all that are
 * given hold; of `tags`, as of models, one is enough.
 *
 * @throws BAD_USER_INPUT at the path of the first fault, LIMIT_EXCEEDED
 */
export function parseSegment(conditions: unknown, path: string): JsonObject {
  const object = readObject(conditions, path, SEGMENT_KEYS);
  if (Object.keys(object).length === 0)
    throw badInput(path, `At least one of ${SEGMENT_KEYS.join(', ')} must be given.`);
  readTarget(object, path);
  const { all, vins } = object;
  if (all !== undefined) parseUserAttribute({ all }, path);
  if (vins !== undefined) parseWrittenWhitelist({ vins }, path);
  readOptional(object, 'tags', path, (tags, at) => readList(tags, at, readTag, MAX_TAGS));
  return object;
}

/** Gives the key of the segment that a rule's conditions (any JSON) name; null where they name none. */
export function segmentOf({ conditions }: Pick<RuleDefinition, 'conditions'>): string | null {
  const segment = isJsonObject(conditions) ? conditions['segment'] : undefined;
  return typeof segment === 'string' ? segment : null;
}

/**
 * Splits written conditions into the segment that they name and the conditions of the rule's type.
 *
 * @throws BAD_USER_INPUT where the segment is no key, or the rule is a kill switch
 */
export function readSegmented(
  type: RuleDefinition['type'],
  conditions: unknown,
  path: string,
): { readonly segment: string | null; readonly own: unknown } {
  if (type === 'kill_switch' || !isJsonObject(conditions) || !Object.hasOwn(conditions, 'segment'))
    return { segment: null, own: conditions };
  const { segment, ...own } = conditions;
  return { segment: readSegmentKey(segment, `${path}.segment`), own };
}

/** Gives stored conditions without the name of a segment: those of the rule's type alone. */
export function ownConditions(conditions: JsonValue): JsonValue {
  if (!isJsonObject(conditions)) return conditions;
  const { segment: _, ...own } = conditions;
  return own;
}

/** Gives the tags that a segment names. */
export function tagsOf(conditions: JsonObject): string[] {
  const { tags } = conditions;
  return Array.isArray(tags) ? tags.filter((tag) => typeof tag === 'string') : [];
}
