/** What a flag's key, name and description may be. The lengths are those of the columns (database.md). */
import { badInput } from '../errors.ts';
import { FLAG_KEY_PATTERN } from '../model.ts';
import { checkText } from './json.ts';

export const MAX_NAME_LENGTH = 200;
export const MAX_DESCRIPTION_LENGTH = 10_000;

/** Characters as PostgreSQL counts them: code points. */
function lengthOf(text: string): number {
  return Array.from(text).length;
}

/** A key such as `adas_lane_keep_v2`: 1 to 100 letters, digits, `.`, `_`, `-`, the first a letter or digit. Throws BAD_USER_INPUT at `path`. */
export function validateFlagKey(key: unknown, path: string): string {
  if (typeof key !== 'string' || !FLAG_KEY_PATTERN.test(key)) {
    throw badInput(path, 'A key has 1 to 100 letters, digits, dots, underscores and hyphens, and begins with a letter or digit.');
  }
  return key;
}

/** 1 to 200 characters that are not all blank. Throws BAD_USER_INPUT at `path`. */
export function validateFlagName(name: unknown, path: string): string {
  if (typeof name !== 'string' || name.trim() === '' || lengthOf(name) > MAX_NAME_LENGTH) {
    throw badInput(path, `A name has 1 to ${MAX_NAME_LENGTH} characters and is not blank.`);
  }
  checkText(name, path);
  return name;
}

/** At most 10,000 characters; null and absent are null. Throws BAD_USER_INPUT at `path`. */
export function validateFlagDescription(description: unknown, path: string): string | null {
  if (description === null || description === undefined) return null;
  if (typeof description !== 'string' || lengthOf(description) > MAX_DESCRIPTION_LENGTH) {
    throw badInput(path, `A description has at most ${MAX_DESCRIPTION_LENGTH} characters.`);
  }
  checkText(description, path);
  return description;
}
