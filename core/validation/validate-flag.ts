/** Validates a flag's key, name and description. The lengths are those of the columns (database.md). */
import { badInput } from '../errors.ts';
import { FLAG_KEY_PATTERN } from '../model.ts';
import { readLine, readLines } from './text.ts';

const MAX_NAME_LENGTH = 200;
const MAX_DESCRIPTION_LENGTH = 10_000;

/**
 * Validates a key such as `adas_lane_keep_v2`: 1 to 100 letters, digits, `.`, `_` and `-`, of which the first is a
 * letter or digit. Throws BAD_USER_INPUT at `path`.
 */
export function validateFlagKey(key: unknown, path: string): string {
  if (typeof key !== 'string' || !FLAG_KEY_PATTERN.test(key)) {
    throw badInput(
      path,
      'A key must have 1 to 100 letters, digits, dots, underscores and hyphens, and begin with a letter or digit.',
    );
  }
  return key;
}

/** Gives the name as it is stored: one line of 1 to 200 characters. Throws BAD_USER_INPUT at `path`. */
export function validateFlagName(name: unknown, path: string): string {
  return readLine(name, path, { what: 'A name', max: MAX_NAME_LENGTH });
}

/**
 * Gives the description as it is stored: at most 10,000 characters, in any number of lines. Absent, it is null. Throws
 * BAD_USER_INPUT at `path`.
 */
export function validateFlagDescription(description: unknown, path: string): string | null {
  if (description === null || description === undefined) return null;
  return readLines(description, path, { what: 'A description', max: MAX_DESCRIPTION_LENGTH, mayBeEmpty: true });
}
