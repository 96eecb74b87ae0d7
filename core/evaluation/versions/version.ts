/**
 * Software versions and their order: "Versions such as `2.5` or `v2.5.0-rc1` are read sensibly, and so are the four
 * numbers that vehicle software has (`2.5.0.17`); an unreadable version matches nothing." Source: design.md,
 * "Evaluation".
 */

/**
 * The most characters of a version, more than any real one has. The limit bounds what a context can make a process
 * parse and remember.
 */
export const MAX_VERSION_LENGTH = 100;

/** The four numbers of a version. */
export type Numbers = readonly [number, number, number, number];
/** One identifier of a prerelease: text, or a number. */
export type Identifier = string | number | bigint;

/** A version that has been read. */
export interface Version {
  readonly numbers: Numbers;
  /** The identifiers of a prerelease; null for a release. */
  readonly prerelease: readonly Identifier[] | null;
}

/** The identifiers of a prerelease, as part of a regular expression that ignores case. */
export const IDENTIFIERS = String.raw`[0-9a-z-]+(?:\.[0-9a-z-]+)*`;
/** The build metadata of a version, as part of a regular expression that ignores case. */
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

/** Reads the identifiers of a prerelease; null for undefined, which is a release. */
export function readPrerelease(text: string | undefined): readonly Identifier[] | null {
  return text === undefined ? null : text.split('.').map(readIdentifier);
}

/** Gives the first four of at least four numbers. */
export function fourNumbers(numbers: readonly number[]): Numbers {
  return [numbers[0]!, numbers[1]!, numbers[2]!, numbers[3]!];
}

/** Reads four numbers; a missing one is 0. Gives null where one is 2^53 or more. */
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

/** The versions that were read. A fleet has few of them and a vehicle has one, so each is read once. */
const readVersions = new Map<string, Version | null>();
const MAX_REMEMBERED = 1_000;

/**
 * Reads a version as carmakers write it. Surrounding blanks and a leading `v` are dropped. Missing numbers are 0 (`2.5`
 * is 2.5.0.0), leading zeros do not count (`24.03` is 24.3.0.0), and a fifth and further numbers are ignored. A suffix
 * is a prerelease with or without a hyphen (`2.5.0-rc1`, `2.5.0rc1`). Build metadata after `+` is ignored.
 *
 * @returns null for an unreadable version (words, blanks inside, more than 100 characters, numbers of 2^53 or more)
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

/**
 * Compares prereleases by semver's rules (https://semver.org, 11): numbers come before texts, and fewer identifiers
 * before more.
 */
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

/** Compares two versions: below 0 where `left` comes first, above 0 where `right` does, and 0 where they are equal. */
export function compareVersions(left: Version, right: Version): number {
  for (let index = 0; index < 4; index++) {
    const difference = left.numbers[index]! - right.numbers[index]!;
    if (difference !== 0) return difference;
  }
  // Both are releases, or both are bounds with the same prerelease object.
  if (left.prerelease === right.prerelease) return 0;
  if (left.prerelease === null) return 1;
  return right.prerelease === null ? -1 : comparePrereleases(left.prerelease, right.prerelease);
}
