/**
 * Ranges of versions: "`sw_version` is an npm-style range; [of up to] four numbers […]: a missing fourth number is 0;
 * prereleases are ordinary versions that come before their release in every form of range, hyphens included." Source:
 * design.md, "Evaluation".
 *
 * The packages that read npm's ranges know three numbers, and treat prereleases differently in different forms of
 * range, so ranges are read here. A range that leaves out some of the first three numbers means all versions that begin
 * with the given ones, prereleases included: `2.5.0-rc1` is in `2.5` and in `>=2.5`.
 */
import {
  BUILD,
  IDENTIFIERS,
  MAX_VERSION_LENGTH,
  compareVersions,
  fourNumbers,
  readNumbers,
  readPrerelease,
  readVersion,
  type Identifier,
  type Version,
} from './version.ts';

const MAX_RANGE_LENGTH = 200;

/** All versions from `low` to `high`; where `high` is null there is no upper bound. */
interface Interval {
  readonly low: Version;
  readonly withLow: boolean;
  readonly high: Version | null;
  readonly withHigh: boolean;
}

/** The alternatives of a range that a version can be in. */
export type VersionRange = readonly Interval[];

/** The first of all prereleases: no version with the same numbers comes before it. */
const FIRST: readonly Identifier[] = [0];
const LOWEST: Version = { numbers: [0, 0, 0, 0], prerelease: FIRST };

const PARTIAL = String.raw`(\d+|[x*])(?:\.(\d+|[x*]))?(?:\.(\d+|[x*]))?(?:\.(\d+|[x*]))?(?:-(${IDENTIFIERS}))?${BUILD}`;
const COMPARATOR = new RegExp(String.raw`\s*(<=|>=|<|>|=|~>?|\^)?[v=\s]*${PARTIAL}(?=\s|$)`, 'iy');
const HYPHEN = new RegExp(String.raw`^[v=\s]*${PARTIAL}\s+-\s+[v=\s]*${PARTIAL}$`, 'i');
const PARTIAL_PARTS = 5;

/**
 * The versions that a comparator names: either one version, or all that begin with the same numbers. The latter are
 * those from `low` to before `beyond`.
 */
interface Named {
  readonly numbers: readonly number[];
  readonly version: Version | null;
  readonly low: Version;
  /** The first version after them; null where the comparator names one version or all versions. */
  readonly beyond: Version | null;
}

/** Gives the first version that comes after all versions that begin with these numbers. */
function firstBeyond(numbers: readonly number[]): Version {
  const raised = [...numbers, 0, 0, 0].slice(0, 4);
  raised[numbers.length - 1] = numbers.at(-1)! + 1;
  return { numbers: fourNumbers(raised), prerelease: FIRST };
}

/**
 * Reads the numbers and the prerelease of a comparator.
 *
 * @returns null for a number or a prerelease after a wildcard, a prerelease after fewer than three numbers, and numbers
 *   of 2^53 or more
 */
function readNamed([first, second, third, fourth, prerelease]: readonly (string | undefined)[]): Named | null {
  const given = [first, second, third, fourth].filter((text) => text !== undefined);
  const wildcard = given.findIndex((text) => !/^\d/.test(text));
  const texts = wildcard < 0 ? given : given.slice(0, wildcard);
  if (given.slice(texts.length).some((text) => /^\d/.test(text))) return null;
  const all = readNumbers([...texts, '0', '0', '0', '0'].slice(0, 4));
  if (all === null) return null;
  const numbers = all.slice(0, texts.length);
  if (texts.length >= 3 && wildcard < 0) {
    const version = { numbers: all, prerelease: readPrerelease(prerelease) };
    return { numbers, version, low: version, beyond: null };
  }
  if (prerelease !== undefined) return null;
  return {
    numbers,
    version: null,
    low: { numbers: all, prerelease: FIRST },
    beyond: numbers.length === 0 ? null : firstBeyond(numbers),
  };
}

const from = (low: Version): Interval => ({ low, withLow: true, high: null, withHigh: false });
const before = (high: Version): Interval => ({ low: LOWEST, withLow: true, high, withHigh: false });
const EVERY = from(LOWEST);
const NONE = before(LOWEST);

/**
 * Gives the end of a caret's range, which keeps the left-most number of the first three that is not zero (npm). In
 * `^0.0.0.5` all three are zero, and the third is kept.
 */
function beyondCaret(numbers: readonly number[]): Version {
  const leading = numbers.slice(0, 3);
  const nonZero = leading.findIndex((number) => number > 0);
  return firstBeyond(nonZero < 0 ? leading : leading.slice(0, nonZero + 1));
}

function intervalOf(operator: string, { numbers, version, low, beyond }: Named): Interval {
  if (numbers.length === 0) return operator === '<' || operator === '>' ? NONE : EVERY;
  switch (operator) {
    case '>=':
      return from(low);
    case '<':
      return before(low);
    case '>':
      return version === null ? from(beyond!) : { ...from(version), withLow: false };
    case '<=':
      return version === null ? before(beyond!) : { ...before(version), withHigh: true };
    case '^':
      return { ...from(low), high: beyondCaret(numbers) };
    case '~':
    case '~>':
      return { ...from(low), high: firstBeyond(numbers.slice(0, 2)) };
    default:
      return version === null
        ? { ...from(low), high: beyond }
        : { low: version, withLow: true, high: version, withHigh: true };
  }
}

/** Gives the versions that are in both intervals. */
function both(left: Interval, right: Interval): Interval {
  const lows = compareVersions(left.low, right.low);
  const { low, withLow } = lows === 0 ? (left.withLow ? right : left) : lows > 0 ? left : right;
  if (left.high === null || right.high === null) {
    const { high, withHigh } = left.high === null ? right : left;
    return { low, withLow, high, withHigh };
  }
  const highs = compareVersions(left.high, right.high);
  const { high, withHigh } = highs === 0 ? (left.withHigh ? right : left) : highs < 0 ? left : right;
  return { low, withLow, high, withHigh };
}

/**
 * Gives the version that comes next. After a release, it is the first prerelease of the next fourth number; after the
 * prerelease `rc`, it is `rc.0`.
 */
function nextVersion({ numbers, prerelease }: Version): Version {
  return prerelease === null ? firstBeyond(numbers) : { numbers, prerelease: [...prerelease, 0] };
}

function isPossible({ low, withLow, high, withHigh }: Interval): boolean {
  if (high === null) return true;
  const order = compareVersions(low, high);
  if (withLow && withHigh) return order <= 0;
  return order < 0 && (withLow || withHigh || compareVersions(nextVersion(low), high) < 0);
}

/** Reads one alternative of a range; null for other text. A blank one is refused: it would be every version. */
function readAlternative(text: string): Interval | null {
  const hyphen = HYPHEN.exec(text);
  if (hyphen !== null) {
    const [low, high] = [readNamed(hyphen.slice(1, 1 + PARTIAL_PARTS)), readNamed(hyphen.slice(1 + PARTIAL_PARTS))];
    return low === null || high === null ? null : both(intervalOf('>=', low), intervalOf('<=', high));
  }
  if (text === '') return null;
  let interval = EVERY;
  COMPARATOR.lastIndex = 0;
  while (COMPARATOR.lastIndex < text.length) {
    const comparator = COMPARATOR.exec(text);
    if (comparator === null) return null;
    const named = readNamed(comparator.slice(2));
    if (named === null) return null;
    interval = both(interval, intervalOf(comparator[1] ?? '=', named));
  }
  return interval;
}

/**
 * Reads an npm-style range (`>=2.5.0 <3`, `^2.5`, `2.4 - 2.6`, `1.x || >=2.5`) of up to four numbers. `*` is every
 * readable version.
 *
 * @returns null for other words, five numbers, a blank alternative, and more than 200 characters
 */
export function readRange(text: string): VersionRange | null {
  if (text.length > MAX_RANGE_LENGTH) return null;
  const alternatives = text.split('||').map((alternative) => readAlternative(alternative.trim()));
  return alternatives.every((alternative) => alternative !== null) ? alternatives.filter(isPossible) : null;
}

/** Says whether any version can be in `range`; none can be in `>=3 <2`. */
export function isPossibleRange(range: VersionRange): boolean {
  return range.length > 0;
}

function isWithin({ low, withLow, high, withHigh }: Interval, version: Version): boolean {
  const fromLow = compareVersions(version, low);
  if (fromLow < 0 || (fromLow === 0 && !withLow)) return false;
  if (high === null) return true;
  const fromHigh = compareVersions(version, high);
  return fromHigh < 0 || (fromHigh === 0 && withHigh);
}

/** Says whether `version`, as a context gives it (any JSON), is in `range`. An unreadable version is in none. */
export function isInRange(range: VersionRange, version: unknown): boolean {
  if (typeof version !== 'string') return false;
  const read = readVersion(version);
  if (read === null) return false;
  for (const interval of range) if (isWithin(interval, read)) return true;
  return false;
}

/** Decides whether a version, as a context gives it (any JSON), is in a range. */
export type VersionTest = (version: unknown) => boolean;

/** The most versions that a test remembers. A fleet has few of them and a vehicle has one. */
const MAX_REMEMBERED = 50;

/** Makes the test that says what `isInRange` says, and remembers it for the versions of late. */
export function versionTest(range: VersionRange): VersionTest {
  const answers = new Map<unknown, boolean>();
  return (version) => {
    const known = answers.get(version);
    if (known !== undefined) return known;
    const answer = isInRange(range, version);
    // A text that is too long to be a version would only take memory.
    if (typeof version !== 'string' || version.length > MAX_VERSION_LENGTH) return answer;
    if (answers.size >= MAX_REMEMBERED) answers.clear();
    answers.set(version, answer);
    return answer;
  };
}
