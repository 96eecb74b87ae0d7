/**
 * Software versions and ranges: "`sw_version` is an npm-style range; versions such as `2.5` or `v2.5.0-rc1` are
 * read sensibly; an unreadable version matches nothing." Source: design.md, "Evaluation".
 *
 * A prerelease is an ordinary version that comes before its release (semver's `includePrerelease`): `2.5.0-rc1`
 * is in `>=2.4.0` and not in `>=2.5.0`. A number left out of a range stands for all versions that begin so,
 * prereleases too: `2.5.0-rc1` is in `2.5` and in `>=2.5`.
 */
import type { RangeOptions } from 'semver';
import Range from 'semver/classes/range.js';
import SemVer from 'semver/classes/semver.js';
import minVersion from 'semver/ranges/min-version.js';

/** The same object for versions and ranges: semver parses a version again when the options differ. */
const OPTIONS: RangeOptions = { includePrerelease: true };

/** More than any real version; keeps what a context can make us parse and remember small. */
const MAX_VERSION_LENGTH = 100;
const MAX_RANGE_LENGTH = 200;

export type Version = SemVer;
export type VersionRange = Range;

const VERSION_FORM = /^v?(\d+)(?:\.(\d+))?(?:\.(\d+))?((?:\.\d+)*)(?:-?([a-z][0-9a-z.-]*|(?<=-)[0-9a-z.-]+))?(?:\+[0-9a-z.-]+)?$/i;

function parseVersion(text: string): Version | null {
  const form = VERSION_FORM.exec(text);
  if (form === null) return null;
  const prerelease = form[5];
  const core = [form[1], form[2], form[3]].map((number = '0') => BigInt(number)).join('.');
  // Semver refuses `rc.01`; people write it.
  const suffix = prerelease === undefined ? '' : `-${prerelease.replace(/(^|\.)0+(?=\d+(?:\.|$))/g, '$1')}`;
  try {
    return new SemVer(core + suffix, OPTIONS);
  } catch {
    return null;
  }
}

/** A fleet has few versions and a vehicle has one, so each is read once. */
const readVersions = new Map<string, Version | null>();
const MAX_REMEMBERED = 1_000;

/**
 * A version as carmakers write it, as semver: surrounding blanks and a leading `v` are dropped, missing numbers are
 * 0 (`2.5` is 2.5.0), leading zeros do not count (`24.03` is 24.3.0), a fourth and further number are dropped
 * (`2.5.0.17` is 2.5.0), a suffix is a prerelease with or without its hyphen (`2.5.0-rc1`, `2.5.0rc1`), build
 * metadata after `+` does not count.
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

/**
 * An npm-style range (`>=2.5.0 <3`, `^2.5`, `2.4 - 2.6`, `1.x || >=2.5`); `*` is every readable version.
 *
 * @returns null for what is no range: other words, four numbers, leading zeros, blank, more than 200 characters
 */
export function readRange(text: string): VersionRange | null {
  if (text.length > MAX_RANGE_LENGTH || text.trim() === '') return null;
  try {
    return new Range(text, OPTIONS);
  } catch {
    return null;
  }
}

/** Whether any release can be in `range`: false for `>=3 <2`. */
export function isPossibleRange(range: VersionRange): boolean {
  // One alternative at a time: of several, minVersion looks only at that with the lowest bound.
  return range.range.split('||').some((alternative) => minVersion(alternative, OPTIONS) !== null);
}

/** Whether `version`, as a context gives it (any JSON), is in `range`; what is not a readable version is in none. */
export function isInRange(range: VersionRange, version: unknown): boolean {
  if (typeof version !== 'string') return false;
  const read = readVersion(version);
  return read !== null && range.test(read);
}
