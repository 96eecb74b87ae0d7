import { describe, expect, it } from '@jest/globals';
import { isInRange, isPossibleRange, readRange, versionTest, type VersionRange } from './version-range.ts';

function range(text: string): VersionRange {
  const read = readRange(text);
  if (read === null) throw new Error(`${text} is no range`);
  return read;
}

describe('readRange', () => {
  it.each([
    '',
    '  ',
    'latest',
    '>>2',
    '>=2.5.0.1.2',
    '2.x.1',
    '2.5.x-rc1',
    '2.5-rc1',
    '>=9007199254740993',
    '2.5.0rc1',
    '2.5x',
    '1 - 2 - 3',
    '1 - 9007199254740993',
    '9007199254740993 - 2',
    '>=9.0.0 ||',
    '|| >=9.0.0',
    '>=9.0.0 || || 1',
    '>=9.0.0 |||| 1',
    '||',
    '>=',
    '2.5 <',
    `>=1 ${'<9 '.repeat(80)}`,
  ])('refuses %j', (text) => {
    expect(readRange(text)).toBeNull();
  });

  it.each([
    '>=3 <2',
    '>2.5.0 =2.5.0',
    '=2.5.0 <2.5.0',
    '<2.5.0 =2.5.0',
    '>2.5.0 <2.5.0',
    '>2.5.0 <2.5.0.1-0',
    '>2.5.0-rc.1 <2.5.0-rc.1.0',
    '<0.0.0-0',
    '1.x 2.x',
    '3 - 2',
    '>*',
    '<x',
    '>=2.5.0 <2.5.0',
  ])('knows that no version can be in %s', (text) => {
    expect(isPossibleRange(range(text))).toBe(false);
  });

  it.each([
    '*',
    '>=2',
    '>=2.5.0-rc1 <2.5.0',
    '>=3 <2 || 5.x',
    '>2.5.0 <2.5.1-rc.9',
    '>2.5.0 <2.5.0.1-1',
    '>2.5.0-rc.1 <2.5.0-rc.1.1',
    '>=2.5.0 <=2.5.0',
    '<0.0.0',
  ])('knows that a version can be in %s', (text) => {
    expect(isPossibleRange(range(text))).toBe(true);
  });
});

describe('isInRange', () => {
  it.each([
    ['>=2.4.0', 'v2.5.0-rc1', true],
    ['>=2.5.0', 'v2.5.0-rc1', false],
    ['>=2.5', 'v2.5.0-rc1', true],
    ['2.5', 'v2.5.0-rc1', true],
    ['<2.5.0', 'v2.5.0-rc1', true],
    ['>= 2.5.0', '2.5', true],
    ['>=v2.5.0', '2.5', true],
    ['^2.5.0', '3.0.0-rc1', false],
    ['^0.2.5', '0.2.5-rc1', false],
    ['~>2.5.1', '2.5.9', true],
    ['*', '0.0.1-alpha', true],
    ['*', '0.0.0-0', true],
    ['*', 'latest', false],
    ['1.x || >=2.5.0 <3', '2.4.9', false],
    ['1.x || >=2.5.0 <3', '1.9', true],
    ['2.4 - 2.6', '2.6.9', true],
    ['2.4.0 - 2.6.0', '2.4.0-rc1', false],
    ['>2.5.0 <2.5.1-rc.9', '2.5.1-rc.1', true],
    ['2.5.0', '2.5.0.17', false],
    ['2.5.0.17', '2.5.0.17', true],
    ['2.5.0.x', '2.5.0.17', true],
    ['>=2.5.0.9', '2.5.0.17', true],
    ['<=2.5.0', '2.5.0.1', false],
    ['>2.5.0', '2.5.0.1', true],
    ['^2.5.0.17', '2.5.0.16', false],
    ['>=24.03', '24.3.1', true],
  ])('%s and %s: %s', (text, version, matches) => {
    expect(isInRange(range(text), version)).toBe(matches);
  });

  it.each([undefined, null, 2.5, ['2.5.0'], {}])('contains no value that is not text: %j', (version) => {
    expect(isInRange(range('*'), version)).toBe(false);
  });
});

describe('a test of versions', () => {
  it('agrees with isInRange, the first time and again, for more versions than it remembers', () => {
    const [text, tested] = [range('>=2.5.0 <2.8'), versionTest(range('>=2.5.0 <2.8'))];
    const versions = [
      ...Array.from({ length: 120 }, (_, number) => `2.${number % 10}.${number}`),
      ...['latest', '2.6.0-rc1', `2.6.0-${'a'.repeat(200)}`, '', null, undefined, 2.6, ['2.6.0']],
    ];
    for (const version of [...versions, ...versions, ...[...versions].reverse()])
      expect([version, tested(version)]).toEqual([version, isInRange(text, version)]);
  });
});
