/**
 * Ranges against an oracle that knows no bounds: it compares the numbers that a range gives with as many of the
 * version's.
 */
import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { isInRange, isPossibleRange, readRange } from './version-range.ts';
import { rounds } from '../../testing/rounds.ts';

const RUNS = { numRuns: rounds(500, 2_000), seed: 20_261_128 };

interface Written {
  readonly numbers: readonly number[];
  readonly prerelease: readonly (number | string)[] | null;
}

const identifier = fc.constantFrom<number | string>(0, 1, 9, 10, 'alpha', 'rc', 'rc1', '-');
const prerelease = fc.option(fc.array(identifier, { minLength: 1, maxLength: 2 }), { freq: 2 });
const number = fc.constantFrom(0, 1, 2, 3, 10);
const version: fc.Arbitrary<Written> = fc.record({
  numbers: fc.array(number, { minLength: 1, maxLength: 4 }),
  prerelease,
});
/** Three or four numbers name one version. Fewer, or a wildcard, name all versions that begin with them. */
const named = fc
  .record({
    numbers: fc.array(number, { maxLength: 4 }),
    prerelease,
    wildcard: fc.constantFrom('x', 'X', '*'),
    written: fc.boolean(),
  })
  .map(({ numbers, prerelease, wildcard, written }) => {
    const wild = numbers.length === 0 || (written && numbers.length < 4);
    const whole = numbers.length >= 3 && !wild;
    return { numbers, whole, prerelease: whole ? prerelease : null, wildcard: wild ? wildcard : null };
  });
type Named = typeof named extends fc.Arbitrary<infer T> ? T : never;

const comparator = fc.record({
  operator: fc.constantFrom('', '=', '>', '>=', '<', '<=', '^', '~', '~>'),
  named,
  blank: fc.constantFrom('', ' '),
});
const alternative = fc.oneof(
  {
    weight: 3,
    arbitrary: fc
      .array(comparator, { minLength: 1, maxLength: 3 })
      .map((comparators) => ({ comparators, hyphen: false })),
  },
  {
    weight: 1,
    arbitrary: fc.tuple(named, named).map(([low, high]) => ({
      comparators: [
        { operator: '>=', named: low, blank: '' },
        { operator: '<=', named: high, blank: '' },
      ],
      hyphen: true,
    })),
  },
);
const alternatives = fc.array(alternative, { minLength: 1, maxLength: 3 });
type Range = typeof alternatives extends fc.Arbitrary<infer T> ? T : never;

const printed = ({ numbers, prerelease }: Written): string =>
  numbers.join('.') + (prerelease === null ? '' : `-${prerelease.join('.')}`);
const printedNamed = (named: Named): string =>
  [...named.numbers, ...(named.wildcard === null ? [] : [named.wildcard])].join('.') +
  (named.prerelease === null ? '' : `-${named.prerelease.join('.')}`);
const printedRange = (range: Range): string =>
  range
    .map(({ comparators, hyphen }) =>
      hyphen
        ? comparators.map(({ named }) => printedNamed(named)).join(' - ')
        : comparators.map(({ operator, named, blank }) => operator + blank + printedNamed(named)).join(' '),
    )
    .join(' || ');

const order = (
  left: readonly unknown[],
  right: readonly unknown[],
  compare: (l: never, r: never) => number,
): number => {
  for (let index = 0; index < Math.min(left.length, right.length); index++) {
    const found = compare(left[index] as never, right[index] as never);
    if (found !== 0) return found;
  }
  return left.length - right.length;
};
const byNumber = (left: number, right: number) => left - right;
/** Each identifier as text whose order is semver's. */
const identifierKey = (value: number | string) =>
  typeof value === 'number' ? `0${String(value).padStart(20, '0')}` : `1${value}`;
const byKey = (left: number | string, right: number | string) =>
  identifierKey(left) < identifierKey(right) ? -1 : identifierKey(left) > identifierKey(right) ? 1 : 0;
const padded = (numbers: readonly number[]) => [...numbers, 0, 0, 0, 0].slice(0, 4);

function compare(left: Written, right: Written): number {
  const numbers = order(padded(left.numbers), padded(right.numbers), byNumber);
  if (numbers !== 0) return numbers;
  if (left.prerelease === null || right.prerelease === null)
    return Number(right.prerelease !== null) - Number(left.prerelease !== null);
  return order(left.prerelease, right.prerelease, byKey);
}

function satisfies(version: Written, operator: string, named: Named): boolean {
  const first = (count: number) => padded(version.numbers).slice(0, count);
  const same = (count: number) => order(first(count), named.numbers.slice(0, count), byNumber) === 0;
  const difference = named.whole
    ? compare(version, named)
    : order(first(named.numbers.length), named.numbers, byNumber);
  const nonZero = named.numbers.slice(0, 3).findIndex((value) => value > 0);
  switch (operator) {
    case '>':
      return difference > 0;
    case '>=':
      return difference >= 0;
    case '<':
      return difference < 0;
    case '<=':
      return difference <= 0;
    case '^':
      return difference >= 0 && same(nonZero < 0 ? Math.min(named.numbers.length, 3) : nonZero + 1);
    case '~':
    case '~>':
      return difference >= 0 && same(Math.min(named.numbers.length, 2));
    default:
      return difference === 0;
  }
}

const oracle = (version: Written, range: Range) =>
  range.some(({ comparators }) => comparators.every(({ operator, named }) => satisfies(version, operator, named)));

/** Gives the versions that a range names and their neighbours. If any version is in the range, one of these is. */
const neighbours = (range: Range): Written[] =>
  range.flatMap(({ comparators }) =>
    comparators.flatMap(({ named: { numbers, prerelease } }) => {
      const raised = numbers.map((_, at) => [...numbers.slice(0, at), numbers[at]! + 1]);
      const low = padded(numbers);
      const next = [...low.slice(0, 3), low[3]! + 1];
      return [
        { numbers: low, prerelease },
        { numbers: low, prerelease: [...(prerelease ?? []), 0] },
        { numbers: next, prerelease: [0] },
        { numbers: next, prerelease: [0, 0] },
        { numbers: [0], prerelease: [0] },
        ...[low, ...raised].flatMap((each) => [
          { numbers: each, prerelease: null },
          { numbers: each, prerelease: [0] },
        ]),
      ];
    }),
  );

describe('laws of ranges', () => {
  it('contains the versions that its numbers say, with prereleases as ordinary versions before their release', () => {
    fc.assert(
      fc.property(alternatives, fc.array(version, { minLength: 1, maxLength: 10 }), (range, versions) => {
        const text = printedRange(range);
        const read = readRange(text)!;
        const wrong = [...versions, ...neighbours(range)].filter(
          (version) => isInRange(read, printed(version)) !== oracle(version, range),
        );
        expect({ text, wrong: wrong.map(printed) }).toEqual({ text, wrong: [] });
      }),
      RUNS,
    );
  });

  it('is called impossible exactly when no version is in it', () => {
    fc.assert(
      fc.property(alternatives, (range) => {
        expect([printedRange(range), isPossibleRange(readRange(printedRange(range))!)]).toEqual([
          printedRange(range),
          neighbours(range).some((version) => oracle(version, range)),
        ]);
      }),
      RUNS,
    );
  });

  it('means the same with a hyphen as with >= and <=', () => {
    fc.assert(
      fc.property(named, named, version, (low, high, version) => {
        const [one, other] = [
          `${printedNamed(low)} - ${printedNamed(high)}`,
          `>=${printedNamed(low)} <=${printedNamed(high)}`,
        ];
        expect(isInRange(readRange(one)!, printed(version))).toBe(isInRange(readRange(other)!, printed(version)));
      }),
      RUNS,
    );
  });

  it('never throws, and reads no range with a blank alternative', () => {
    const piece = fc.constantFrom(
      '1',
      '2.5',
      '2.5.0-rc.1',
      '>=',
      '<',
      '^',
      '~',
      '||',
      '|',
      ' ',
      '-',
      ' - ',
      'x',
      '*',
      '.',
      'v',
      '=',
      '+b',
      '0'.repeat(50),
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 12 }), (pieces) => {
        const text = pieces.join('');
        const blank = text.split('||').some((part) => part.trim() === '');
        if (blank) expect(readRange(text)).toBeNull();
        else readRange(text);
      }),
      RUNS,
    );
  });
});
