/**
 * Text that people write, as it is kept: what would look like nothing, or like something else than it is where it is
 * listed, printed and exported, does not get in. Values that programs read are not of this kind (json.ts).
 */
import { badInput } from '../errors.ts';
import { checkText } from './json.ts';

/**
 * Characters that move what follows them, or stand for nothing: controls, and the two separators of lines and
 * paragraphs.
 */
const CONTROL = /[\p{Cc}\u2028\u2029]/u;
/**
 * Also what is not seen itself and turns, joins or parts what is: directions (U+202E), characters of no width, tags.
 */
const UNSEEN = /[\p{Cc}\p{Cf}\p{Default_Ignorable_Code_Point}\u2028\u2029]/u;
const CONTROL_BUT_LINES = /(?![\t\n])\p{Cc}/u;
const LINE_ENDS = /\r\n?/g;

export interface TextLimits {
  /** What it is called in a refusal, such as `A name`. */
  readonly what: string;
  /** In characters as PostgreSQL counts them: code points. */
  readonly max: number;
  /** Whether it may be empty; blanks alone are then empty. */
  readonly mayBeEmpty?: boolean;
}

function readPlain(
  value: unknown,
  path: string,
  { what, max, mayBeEmpty = false }: TextLimits,
  control: RegExp,
): string {
  const text = typeof value === 'string' ? value.replace(LINE_ENDS, '\n').trim() : null;
  if (text === null || (text === '' && !mayBeEmpty) || Array.from(text).length > max) {
    throw badInput(
      path,
      mayBeEmpty ? `${what} has at most ${max} characters.` : `${what} has 1 to ${max} characters and is not blank.`,
    );
  }
  checkText(text, path);
  if (control.test(text)) throw badInput(path, `${what} has no control characters.`);
  return text;
}

/** One line of text without the blanks around it. @throws BAD_USER_INPUT at `path` */
export function readLine(value: unknown, path: string, limits: TextLimits): string {
  return readPlain(value, path, limits, CONTROL);
}

/**
 * The name of somebody or something that acts: one line of which all is seen, in the usual form of its characters (full
 * width becomes ordinary, NFKC), so that two names that look the same are. @throws BAD_USER_INPUT at `path`
 */
export function readActorName(value: unknown, path: string, limits: TextLimits): string {
  const name = readPlain(typeof value === 'string' ? value.normalize('NFKC') : value, path, limits, CONTROL);
  if (UNSEEN.test(name))
    throw badInput(
      path,
      `${limits.what} has no characters that are not seen, such as those of no width and those that turn the direction.`,
    );
  return name;
}

/**
 * Text of any number of lines, without the blanks around it and with `\n` as the end of each. @throws BAD_USER_INPUT at
 * `path`
 */
export function readLines(value: unknown, path: string, limits: TextLimits): string {
  return readPlain(value, path, limits, CONTROL_BUT_LINES);
}
