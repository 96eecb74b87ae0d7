/** The common parts of administrative commands: arguments, output, exit codes. */
import { suggestOption } from '../command-line.ts';
import type { Configuration } from '../../main/configuration.ts';
import { errorMessage } from '../../core/caught-error.ts';

/** The command's output, one line a call: results to `out`, everything else to `err`. */
export interface Output {
  readonly out: (line: string) => void;
  readonly err: (line: string) => void;
}

/** Runs a command. Gives the exit code: 0 done, 1 failed, 2 wrong usage; each command documents further ones. */
export type AdminCommand = (args: readonly string[], configuration: Configuration, output: Output) => Promise<number>;

/** Reports wrong usage of a command: exit code 2. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

/**
 * Reads a command line with `read` (parseArgs and checks). Turns anything it throws into a UsageError that ends with
 * `usage`.
 */
export function readArguments<T>(usage: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    const message = errorMessage(error);
    const unknown = /^Unknown option '(--?[^ ']+)/.exec(message)?.[1];
    const said = unknown === undefined ? message : `Unknown option ${unknown}.${suggestOption(unknown, usage)}`;
    throw new UsageError(`${said}\n\n${usage}`, { cause: error });
  }
}
