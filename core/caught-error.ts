/** What can be read of an error that was caught: JavaScript throws any value. */
import { membersOf } from './json/json-value.ts';

/** The code of an error of Node.js or of the operating system, such as `ENOENT`; undefined where it has none. */
export function errorCode(error: unknown): string | undefined {
  const { code } = membersOf(error);
  return typeof code === 'string' ? code : undefined;
}

/** The message of an error; what else was thrown as text. */
export function errorMessage(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
