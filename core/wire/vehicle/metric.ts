/**
 * Measurements as vehicles send them to the control plane. The agent and the control plane share these checks, so that
 * no measurement enters a vehicle's queue that the control plane would refuse.
 */
import { badInput } from '../../errors.ts';
import { VARIANT_PATTERN, type JsonObject } from '../../model.ts';
import { checkNumber, checkText, isJsonObject } from '../../json/json-value.ts';
import { readLabel } from '../../validation/text.ts';
import { validateFlagKey } from '../../validation/validate-flag.ts';

/**
 * The metric by which a vehicle reports how often it has evaluated a flag. In each interval there is one measurement
 * for each flag and variant: `value` is the count, and `timestamp` is the time of the last evaluation. Names that begin
 * with `$` are reserved for the agent.
 */
export const EVALUATIONS_METRIC = '$evaluations';

export const MAX_BATCH_ITEMS = 500;
const MAX_METRIC_NAME_LENGTH = 100;
const MAX_TAGS = 16;
const MAX_TAG_NAME_LENGTH = 64;
/** The most bytes that all tags of a measurement may take, as JSON in UTF-8. */
const MAX_TAGS_BYTES = 1_024;
const BATCH_ID_PATTERN = /^[A-Za-z0-9._:-]{1,64}$/;

/** A measurement of a flag's effect, without its time. */
export interface Measured {
  readonly flagKey: string;
  readonly variant: string;
  readonly metricName: string;
  readonly value: number;
  readonly tags?: unknown;
}

/** Validates a batch's id: 1 to 64 letters, digits, `.`, `_`, `:` and `-`. Throws BAD_USER_INPUT at `path`. */
export function validateBatchId(id: string, path: string): string {
  if (!BATCH_ID_PATTERN.test(id))
    throw badInput(path, 'A batch id must have 1 to 64 letters, digits, dots, underscores, colons and hyphens.');
  return id;
}

/**
 * Gives a metric's name as it is stored: one line of 1 to 100 characters, without the blanks around it. It must have no
 * invisible characters and must not begin with `$`. Throws BAD_USER_INPUT at `path`.
 */
export function validateMetricName(name: unknown, path: string): string {
  const kept = readLabel(name, path, { what: 'A metric name', max: MAX_METRIC_NAME_LENGTH });
  if (kept.startsWith('$')) throw badInput(path, 'A metric name must not begin with "$".');
  return kept;
}

/**
 * Validates tags: a flat object of strings, booleans and numbers (those that `checkNumber` accepts), with at most 16
 * members and 1,024 bytes as JSON. Absent and empty tags become null. Throws BAD_USER_INPUT at `path` or at
 * `path.<tag>`.
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
  // Each UTF-16 unit takes at most three bytes in UTF-8, so that few texts have to be encoded.
  if (text.length * 3 > MAX_TAGS_BYTES && new TextEncoder().encode(text).byteLength > MAX_TAGS_BYTES)
    throw badInput(path, `Tags may have at most ${MAX_TAGS_BYTES} bytes as JSON.`);
  return entries.length === 0 ? null : tags;
}

/**
 * Validates a measurement, and gives its name and tags as they are stored.
 *
 * @param prefix the beginning of each member's dotted path, such as `input.items.3.`
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
    throw badInput(
      `${prefix}value`,
      'A whole number must be from −(2^53 − 1) to 2^53 − 1, to be stored exactly; measure in a larger unit.',
    );
  const isCount = metricName === EVALUATIONS_METRIC;
  if (isCount && (!Number.isSafeInteger(value) || value < 0))
    throw badInput(`${prefix}value`, `A value of ${EVALUATIONS_METRIC} must be a count: a whole number, 0 or more.`);
  return {
    metricName: isCount ? metricName : validateMetricName(metricName, `${prefix}metricName`),
    tags: validateTags(tags, `${prefix}tags`),
  };
}
