/** What the administrative commands have in common: how they are called, and what they say. */
import { suggestOption } from '../command-line.ts';
import type { Configuration } from '../../main/configuration.ts';
import { errorMessage } from '../../core/caught-error.ts';

/** Where a command writes lines: results to `out`, everything else to `err`. */
export interface Output {
  readonly out: (line: string) => void;
  readonly err: (line: string) => void;
}

/** Gives the exit code: 0 done, 1 failed, 2 wrong usage; more in the command's own words. */
export type AdminCommand = (args: readonly string[], configuration: Configuration, output: Output) => Promise<number>;

/** A command that was called wrongly: exit code 2. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

/**
 * Reads a command line with `read` (parseArgs and checks); whatever it throws is a UsageError that ends with `usage`.
 */
export function readArguments<T>(usage: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    const message = errorMessage(error);
    const unknown = /^Unknown option '(--?[^ ']+)/.exec(message)?.[1];
    const said = unknown === undefined ? message : `There is no option ${unknown}.${suggestOption(unknown, usage)}`;
    throw new UsageError(`${said}\n\n${usage}`, { cause: error });
  }
}
