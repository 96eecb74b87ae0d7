/**
 * A measurement as it travels from a vehicle to the control plane, and what it may be. Both ends read it with this,
 * so that nothing enters a vehicle's queue that the control plane would refuse.
 */
import { badInput } from '../errors.ts';
import { VARIANT_PATTERN, type JsonObject } from '../model.ts';
import { checkNumber, checkText, isJsonObject } from '../json/json-value.ts';
import { readLabel } from '../validation/text.ts';
import { validateFlagKey } from '../validation/validate-flag.ts';

/**
 * The metric under which a vehicle reports how often it has evaluated a flag: one measurement for each flag and variant
 * an interval, `value` the count, `timestamp` the last of them. Names that begin with `$` are the agent's own.
 */
export const EVALUATIONS_METRIC = '$evaluations';

export const MAX_BATCH_ITEMS = 500;
export const MAX_METRIC_NAME_LENGTH = 100;
export const MAX_TAGS = 16;
export const MAX_TAG_NAME_LENGTH = 64;
/** Of all tags of a measurement, as JSON, in UTF-8. */
export const MAX_TAGS_BYTES = 1_024;
const BATCH_ID_PATTERN = /^[A-Za-z0-9._:-]{1,64}$/;

/** What a measurement says, without its time. */
export interface Measured {
  readonly flagKey: string;
  readonly variant: string;
  readonly metricName: string;
  readonly value: number;
  readonly tags?: unknown;
}

/** A batch's id: 1 to 64 letters, digits, `.`, `_`, `:` and `-`. Throws BAD_USER_INPUT at `path`. */
export function validateBatchId(id: string, path: string): string {
  if (!BATCH_ID_PATTERN.test(id))
    throw badInput(path, 'A batch id must have 1 to 64 letters, digits, dots, underscores, colons and hyphens.');
  return id;
}

/**
 * The name that a program gives to what it measures, as it is kept: one line of 1 to 100 characters without the blanks
 * around it and without invisible characters, the first no `$`. Throws BAD_USER_INPUT at `path`.
 */
export function validateMetricName(name: unknown, path: string): string {
  const kept = readLabel(name, path, { what: 'A metric', max: MAX_METRIC_NAME_LENGTH });
  if (kept.startsWith('$')) throw badInput(path, 'A metric name must not begin with "$".');
  return kept;
}

/**
 * A flat object of text, numbers (whole ones up to 2^53) and booleans: at most 16 tags, 1,024 bytes as JSON. Absent and null are null, and so
 * is an empty one. Throws BAD_USER_INPUT at `path` or at `path.<tag>`.
 */
export function validateTags(tags: unknown, path: string): JsonObject | null {
  if (tags === undefined || tags === null) return null;
  if (!isJsonObject(tags)) throw badInput(path, 'Tags must be an object.');
  const entries = Object.entries(tags);
  if (entries.length > MAX_TAGS) throw badInput(path, `A measurement may have at most ${MAX_TAGS} tags.`);
  for (const [name, value] of entries) {
    if (name === '' || name.length > MAX_TAG_NAME_LENGTH)
      throw badInput(path, `A tag's name must have 1 to ${MAX_TAG_NAME_LENGTH} characters.`);
    checkText(name, path);
    if (name === '__proto__') throw badInput(`${path}.__proto__`, 'A tag must not be named __proto__.');
    if (typeof value === 'string') checkText(value, `${path}.${name}`);
    else if (typeof value === 'number') checkNumber(value, `${path}.${name}`);
    else if (typeof value !== 'boolean')
      throw badInput(`${path}.${name}`, 'A tag must be a string, a finite number or a boolean.');
  }
  const text = JSON.stringify(tags);
  // A character takes at most three bytes for each of its UTF-16 units: few texts have to be looked at.
  if (text.length * 3 > MAX_TAGS_BYTES && new TextEncoder().encode(text).byteLength > MAX_TAGS_BYTES)
    throw badInput(path, `Tags may have at most ${MAX_TAGS_BYTES} bytes as JSON.`);
  return entries.length === 0 ? null : tags;
}

/**
 * A measurement's name and tags as they are to be stored; all of `measured` is checked.
 *
 * @param prefix what stands before a member's name in its dotted path, such as `input.items.3.`
 * @throws BAD_USER_INPUT at the path of the first fault
 */
export function validateMeasured(
  measured: Measured,
  prefix: string,
): { readonly metricName: string; readonly tags: JsonObject | null } {
  const { flagKey, variant, metricName, value, tags } = measured;
  validateFlagKey(flagKey, `${prefix}flagKey`);
  if (!VARIANT_PATTERN.test(variant))
    throw badInput(`${prefix}variant`, 'A variant must have 1 to 50 letters, digits, dots, underscores and hyphens.');
  if (!Number.isFinite(value)) throw badInput(`${prefix}value`, 'A value must be a finite number.');
  if (Number.isInteger(value) && !Number.isSafeInteger(value))
    throw badInput(`${prefix}value`, 'A whole number beyond 2^53 cannot be stored exactly; measure in a larger unit.');
  const isCount = metricName === EVALUATIONS_METRIC;
  if (isCount && (!Number.isSafeInteger(value) || value < 0))
    throw badInput(`${prefix}value`, `A value of ${EVALUATIONS_METRIC} must be a count: a whole number, 0 or more.`);
  return {
    metricName: isCount ? metricName : validateMetricName(metricName, `${prefix}metricName`),
    tags: validateTags(tags, `${prefix}tags`),
  };
}
