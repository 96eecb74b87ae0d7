/** Reading of command lines, before anything is opened or created: help, version, and refusal of unknown options. */
import { readFileSync } from 'node:fs';
import { nearestName } from '../core/validation/nearest-name.ts';
import { complain, say } from '../main/log.ts';
import { membersOf, parseJson } from '../core/json/json-value.ts';

const PACKAGE = new URL('../package.json', import.meta.url);

/** Gives the names of all options in a usage text. */
function optionsIn(usage: string): string[] {
  return [...new Set(Array.from(usage.matchAll(/--([a-z][a-z-]*)/g), ([, name = '']) => name))];
}

/** Suggests the known option nearest to an unknown one; gives the empty text when none is near. */
export function suggestOption(option: string, usage: string): string {
  const nearest = nearestName(option.replace(/^--?/, ''), optionsIn(usage));
  return nearest === null ? '' : ` Did you mean --${nearest}?`;
}

/** Answers `--help` and `--version` and ends the process with exit code 0. Does nothing otherwise. */
export function answerHelp(usage: string, args: readonly string[] = process.argv.slice(2)): void {
  if (args.includes('--help') || args.includes('-h')) say(usage);
  else if (args.includes('--version')) say(String(membersOf(parseJson(readFileSync(PACKAGE, 'utf8'))).version));
  else return;
  process.exit(0);
}

/**
 * Gives the arguments of a command whose only options are `--help`, `--version` and the switches in `known`. Ends the
 * process with exit code 2, naming the fault, for any other option or for more than `most` other arguments.
 */
export function readPlainArguments(
  usage: string,
  { known = [], most = 0 }: { known?: readonly string[]; most?: number } = {},
): readonly string[] {
  const args = process.argv.slice(2);
  answerHelp(usage, args);
  const unknown = args.find((arg) => arg.startsWith('-') && !known.includes(arg));
  const rest = args.filter((arg) => !arg.startsWith('-'));
  const fault =
    unknown !== undefined
      ? `Unknown option ${unknown}.${suggestOption(unknown, usage)}`
      : rest.length > most
        ? `Unexpected argument "${rest[most]}".`
        : null;
  if (fault !== null) {
    complain(`${fault}\n\n${usage}`);
    process.exit(2);
  }
  return args;
}
