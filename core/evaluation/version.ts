/**
 * Software versions and their order: "Versions such as `2.5` or `v2.5.0-rc1` are read sensibly, and so are the four
 * numbers that vehicle software has (`2.5.0.17`); an unreadable version matches nothing." Source: design.md,
 * "Evaluation".
 */

/** More than any real version; keeps what a context can make us parse and remember small. */
const MAX_VERSION_LENGTH = 100;

export type Numbers = readonly [number, number, number, number];
export type Identifier = string | number | bigint;

export interface Version {
  readonly numbers: Numbers;
  /** Null of a release. */
  readonly prerelease: readonly Identifier[] | null;
}

/** Of a prerelease, in a regular expression that ignores case; so is BUILD. */
export const IDENTIFIERS = String.raw`[0-9a-z-]+(?:\.[0-9a-z-]+)*`;
export const BUILD = String.raw`(?:\+[0-9a-z.-]+)?`;
const VERSION_FORM = new RegExp(
  String.raw`^v?(\d+)(?:\.(\d+))?(?:\.(\d+))?(?:\.(\d+))?(?:\.\d+)*(?:-(${IDENTIFIERS})|((?=[a-z])${IDENTIFIERS}))?${BUILD}$`,
  'i',
);

function readIdentifier(text: string): Identifier {
  if (!/^\d+$/.test(text)) return text;
  const number = Number(text);
  return Number.isSafeInteger(number) ? number : BigInt(text);
}

export function readPrerelease(text: string | undefined): readonly Identifier[] | null {
  return text === undefined ? null : text.split('.').map(readIdentifier);
}

/** The first four of at least four numbers. */
export function fourNumbers(numbers: readonly number[]): Numbers {
  return [numbers[0]!, numbers[1]!, numbers[2]!, numbers[3]!];
}

/** Missing numbers are 0. @returns null for one beyond 2^53 */
export function readNumbers(texts: readonly (string | undefined)[]): Numbers | null {
  const numbers = texts.map((text = '0') => Number(text));
  return numbers.every(Number.isSafeInteger) ? fourNumbers(numbers) : null;
}

function parseVersion(text: string): Version | null {
  const form = VERSION_FORM.exec(text);
  if (form === null) return null;
  const numbers = readNumbers(form.slice(1, 5));
  return numbers === null ? null : { numbers, prerelease: readPrerelease(form[5] ?? form[6]) };
}

/** A fleet has few versions and a vehicle has one, so each is read once. */
const readVersions = new Map<string, Version | null>();
const MAX_REMEMBERED = 1_000;

/**
 * A version as carmakers write it: surrounding blanks and a leading `v` are dropped, missing numbers are 0 (`2.5` is
 * 2.5.0.0), leading zeros do not count (`24.03` is 24.3.0.0), nor do a fifth and further numbers, a suffix is a
 * prerelease with or without its hyphen (`2.5.0-rc1`, `2.5.0rc1`), build metadata after `+` does not count.
 *
 * @returns null for what cannot be read (words, blanks inside, more than 100 characters, numbers beyond 2^53)
 */
export function readVersion(text: string): Version | null {
  if (text.length > MAX_VERSION_LENGTH) return null;
  let version = readVersions.get(text);
  if (version === undefined) {
    version = parseVersion(text.trim());
    if (readVersions.size >= MAX_REMEMBERED) readVersions.clear();
    readVersions.set(text, version);
  }
  return version;
}

/** By semver's rules (https://semver.org, 11): numbers before texts, and what has fewer identifiers first. */
function comparePrereleases(left: readonly Identifier[], right: readonly Identifier[]): number {
  const common = Math.min(left.length, right.length);
  for (let index = 0; index < common; index++) {
    const one = left[index]!;
    const other = right[index]!;
    if (one === other) continue;
    const isText = typeof one === 'string';
    if (isText !== (typeof other === 'string')) return isText ? 1 : -1;
    return one < other ? -1 : 1;
  }
  return left.length - right.length;
}

/** Which of two versions comes first: below 0, 0 or above 0. Build metadata and the way of writing do not count. */
export function compareVersions(left: Version, right: Version): number {
  for (let index = 0; index < 4; index++) {
    const difference = left.numbers[index]! - right.numbers[index]!;
    if (difference !== 0) return difference;
  }
  // Two releases, and bounds that are the same prerelease.
  if (left.prerelease === right.prerelease) return 0;
  if (left.prerelease === null) return 1;
  return right.prerelease === null ? -1 : comparePrereleases(left.prerelease, right.prerelease);
}
