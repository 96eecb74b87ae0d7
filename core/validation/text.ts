/**
 * Normalises and checks text that people write. Characters are refused that would be invisible, or look like others,
 * where the text is listed, printed or exported (docs/decisions/trust/invisible-characters.md). Values that programs
 * read have other rules (core/json/json-value.ts).
 */
import { badInput } from '../errors.ts';
import { checkText } from '../json/json-value.ts';

/** Control characters, and the two separators of lines and paragraphs. */
const CONTROL = /[\p{Cc}\u2028\u2029]/u;
const CONTROL_EXCEPT_LINES = /(?![\t\n])\p{Cc}/u;
/** Invisible characters: directions (U+202E), characters of zero width, fillers, tags, selectors. */
const INVISIBLE = /[\p{Cf}\p{Default_Ignorable_Code_Point}]/u;
/** Text without invisible characters that needs no further check; most text is of this kind. */
const ASCII = /^[\t\n\x20-\x7e]*$/;

/** Letters and marks of scripts that write some words with a joiner (U+200D) or a non-joiner (U+200C). */
const JOINING = [
  ...['Arabic', 'Syriac', 'Nko', 'Mongolian', 'Devanagari', 'Bengali', 'Gurmukhi', 'Gujarati', 'Oriya', 'Tamil'],
  ...['Telugu', 'Kannada', 'Malayalam', 'Sinhala', 'Khmer', 'Myanmar', 'Tibetan'],
]
  .map((script) => `\\p{Script=${script}}`)
  .join('');
/** The flags of England, Scotland and Wales, spelt in tags. Fonts show no other such sequences (UTS #51). */
const TAGGED_FLAGS = ['gbeng', 'gbsct', 'gbwls'].map(
  (region) =>
    `\u{1f3f4}${Array.from(region, (letter) => String.fromCodePoint(0xe0000 + letter.charCodeAt(0))).join('')}\u{e007f}`,
);
/**
 * Sequences in which an invisible character changes what is seen: emoji (selectors, joined ones, keycaps, flags), a
 * Chinese character with its variant, and a joiner between letters of scripts that use one.
 */
const NEEDED_SEQUENCES = new RegExp(
  [
    ...TAGGED_FLAGS,
    '[0-9#*]\\ufe0f\\u20e3',
    '\\p{Extended_Pictographic}[\\ufe0e\\ufe0f]?\\p{Emoji_Modifier}?(?:\\u200d\\p{Extended_Pictographic}[\\ufe0e\\ufe0f]?\\p{Emoji_Modifier}?)*',
    '\\p{Script=Han}[\\ufe00-\\ufe02\\u{e0100}-\\u{e01ef}]',
    `(?<=[${JOINING}])[\\u200c\\u200d](?=[${JOINING}])`,
  ].join('|'),
  'gu',
);
const LINE_ENDS = /\r\n?/g;

/** The limits of a text, and its name in refusals. */
export interface TextLimits {
  /** The name of the text in a refusal, such as `A name`. */
  readonly what: string;
  /** The most characters, counted in code points as PostgreSQL does. */
  readonly max: number;
  /** Whether the text may be empty. Blanks alone are empty text. */
  readonly mayBeEmpty?: boolean;
}

/** Names the first invisible character of `text`, such as `U+200B`; null where there is none. */
function invisibleIn(text: string): string | null {
  const invisible = INVISIBLE.exec(text)?.[0];
  return invisible === undefined ? null : `U+${invisible.codePointAt(0)!.toString(16).toUpperCase().padStart(4, '0')}`;
}

function refuseInvisible(invisible: string | null, path: string, what: string): void {
  if (invisible !== null)
    throw badInput(
      path,
      `${what} must not have invisible characters, except where emoji and scripts need them; found ${invisible}.`,
    );
}

function readText(
  value: unknown,
  path: string,
  { what, max, mayBeEmpty = false }: TextLimits,
  control: RegExp,
): string {
  const text = typeof value === 'string' ? value.replace(LINE_ENDS, '\n').trim() : null;
  if (text === null || (text === '' && !mayBeEmpty) || Array.from(text).length > max) {
    throw badInput(
      path,
      mayBeEmpty
        ? `${what} must have at most ${max} characters.`
        : `${what} must have 1 to ${max} characters and not be blank.`,
    );
  }
  checkText(text, path);
  if (control.test(text)) throw badInput(path, `${what} must not have control characters.`);
  return text;
}

function readProse(value: unknown, path: string, limits: TextLimits, control: RegExp): string {
  const text = readText(value, path, limits, control);
  // A blank replaces each needed sequence, so that the characters around it do not form a new one.
  if (!ASCII.test(text)) refuseInvisible(invisibleIn(text.replace(NEEDED_SEQUENCES, ' ')), path, limits.what);
  return text;
}

/**
 * Reads one line of prose, such as a flag's name, without the blanks around it. Invisible characters are refused,
 * except where they change what is seen: in an emoji, or between letters of a script that joins them.
 *
 * @throws BAD_USER_INPUT at `path`
 */
export function readLine(value: unknown, path: string, limits: TextLimits): string {
  return readProse(value, path, limits, CONTROL);
}

/**
 * Checks that `text` has no invisible character at all.
 *
 * @throws BAD_USER_INPUT at `path`
 */
export function checkVisible(text: string, path: string, what: string): void {
  if (!ASCII.test(text)) refuseInvisible(invisibleIn(text), path, what);
}

/**
 * Reads one line by which programs distinguish things, such as a model or a metric, without the blanks around it. It
 * may have no invisible character at all.
 *
 * @throws BAD_USER_INPUT at `path`
 */
export function readLabel(value: unknown, path: string, limits: TextLimits): string {
  const label = readText(value, path, limits, CONTROL);
  checkVisible(label, path, limits.what);
  return label;
}

/**
 * Reads the name of a person or a program that acts. It is a label whose characters are normalised to NFKC (full width
 * becomes ordinary), so that two names that look the same are the same.
 *
 * @throws BAD_USER_INPUT at `path`
 */
export function readActorName(value: unknown, path: string, limits: TextLimits): string {
  return readLabel(typeof value === 'string' ? value.normalize('NFKC') : value, path, limits);
}

/** The most characters of a reason or a comment. */
export const MAX_REASON_LENGTH = 1_000;

/**
 * Reads prose of any number of lines, without the blanks around it and with `\n` between lines. Invisible characters
 * are refused as in `readLine`.
 *
 * @throws BAD_USER_INPUT at `path`
 */
export function readLines(value: unknown, path: string, limits: TextLimits): string {
  return readProse(value, path, limits, CONTROL_EXCEPT_LINES);
}

/**
 * Reads the reason that a person gives for an action, as it is stored: lines of prose.
 *
 * @throws BAD_USER_INPUT at `path` where it is blank or longer than 1,000 characters
 */
export function readReason(value: unknown, path: string, what = 'A reason'): string {
  return readLines(value, path, { what, max: MAX_REASON_LENGTH });
}

/** Reads an optional reason like `readReason`; null where it is null, absent or blank. */
export function readOptionalReason(value: unknown, path: string, what = 'A reason'): string | null {
  return readLines(value ?? '', path, { what, max: MAX_REASON_LENGTH, mayBeEmpty: true }) || null;
}
