/** Reading of command lines, before anything is opened or created: help, version, and refusal of unknown options. */
import { readFileSync } from 'node:fs';
import { nearestName } from '../core/validation/nearest-name.ts';
import { complain, say } from '../main/process/log.ts';
import { membersOf, parseJson } from '../core/json/json-value.ts';

const PACKAGE = new URL('../package.json', import.meta.url);

/** Gives the names of all options in a usage text. */
function optionsIn(usage: string): string[] {
  return [...new Set(Array.from(usage.matchAll(/--([a-z][a-z-]*)/g), ([, name = '']) => name))];
}

/** Suggests the known option nearest to an unknown one; gives the empty string when none is near. */
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

/** Ends the process with exit code 2, naming the fault. */
function refuse(fault: string, usage: string): never {
  complain(`${fault}\n\n${usage}`);
  process.exit(2);
}

/** Gives the value of an option, as `--name value` or `--name=value`; undefined where the option is not given. */
function valueOf(option: string, args: readonly string[]): string | undefined {
  const at = args.findIndex((arg) => arg === option || arg.startsWith(`${option}=`));
  if (at < 0) return undefined;
  return args[at] === option ? (args[at + 1] ?? '') : args[at]?.slice(option.length + 1);
}

/**
 * Gives the arguments of a command whose only options are `--help`, `--version`, the switches in `known` and the
 * options in `valued`, without the latter and their values. Ends the process with exit code 2, naming the fault, for
 * any other option or for more than `most` other arguments.
 */
export function readPlainArguments(
  usage: string,
  { known = [], valued = [], most = 0 }: { known?: readonly string[]; valued?: readonly string[]; most?: number } = {},
): readonly string[] {
  const given = process.argv.slice(2);
  answerHelp(usage, given);
  const isValued = (arg: string) => valued.some((option) => arg === option || arg.startsWith(`${option}=`));
  const args = given.filter((arg, index) => !isValued(arg) && !valued.includes(given[index - 1] ?? ''));
  const unknown = args.find((arg) => arg.startsWith('-') && !known.includes(arg));
  if (unknown !== undefined) refuse(`Unknown option ${unknown}.${suggestOption(unknown, usage)}`, usage);
  const rest = args.filter((arg) => !arg.startsWith('-'));
  if (rest.length > most) refuse(`Unexpected argument "${rest[most]}".`, usage);
  return args;
}

/** The most workers: more than any machine can use. */
const MAX_WORKERS = 64;

/** The text about `--workers` in usages. */
export const WORKERS_USAGE = `  --workers N         gateway processes on the one port, 1 to ${MAX_WORKERS}; 1 when absent`;

/** Reads `--workers`; null where it is not given. Ends the process with exit code 2 for anything but 1 to 64. */
export function readWorkers(usage: string): number | null {
  return readCount('--workers', usage, MAX_WORKERS);
}

/** Reads an option; null where it is not given. Ends the process with exit code 2 for anything but 1 to `most`. */
export function readCount(option: string, usage: string, most: number): number | null {
  const text = valueOf(option, process.argv.slice(2));
  if (text === undefined) return null;
  const count = /^\d{1,9}$/.test(text) ? Number(text) : 0;
  if (count < 1 || count > most)
    refuse(`${option} is ${JSON.stringify(text)}; it must be a number from 1 to ${most}.`, usage);
  return count;
}
