/** Reads the code and the message of a caught error. JavaScript can throw any value, so nothing is known of it. */
import { membersOf } from './json/json-value.ts';

/** Gives the code of an error of Node.js or the operating system, such as `ENOENT`; undefined where it has none. */
export function errorCode(error: unknown): string | undefined {
  const { code } = membersOf(error);
  return typeof code === 'string' ? code : undefined;
}

/** Says whether an error of a file system means that there is no such file or folder. */
export function isMissingFile(error: unknown): boolean {
  return errorCode(error) === 'ENOENT';
}

/** Says whether an error of a file system means that there is no room for what was written. */
export function isLackOfRoom(error: unknown): boolean {
  return ['ENOSPC', 'EDQUOT', 'EFBIG'].includes(errorCode(error) ?? '');
}

/** Gives the message of an error. Any other thrown value is converted to text. */
export function errorMessage(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
