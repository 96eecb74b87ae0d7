import { describe, expect, it } from '@jest/globals';
import { isInRange, isPossibleRange, readRange, readVersion, type VersionRange } from './version.ts';

function range(text: string): VersionRange {
  const read = readRange(text);
  if (read === null) throw new Error(`${text} is no range`);
  return read;
}

describe('readVersion', () => {
  it.each([
    ['2.5.0', '2.5.0'],
    ['2.5', '2.5.0'],
    ['2', '2.0.0'],
    ['v2.5.0-rc1', '2.5.0-rc1'],
    ['V2.5', '2.5.0'],
    ['  2.5.0\n', '2.5.0'],
    ['2.5-rc1', '2.5.0-rc1'],
    ['2.5.0rc1', '2.5.0-rc1'],
    ['2.5.0-rc.01', '2.5.0-rc.1'],
    ['2.5.0-01', '2.5.0-1'],
    ['2.5.0-01a', '2.5.0-01a'],
    ['24.03.01', '24.3.1'],
    ['2.5.0.17', '2.5.0'],
    ['2.5.0.17.4-beta', '2.5.0-beta'],
    ['2.5.0+build.7', '2.5.0'],
  ])('reads %j as %s', (text, version) => {
    expect(readVersion(text)?.version).toBe(version);
  });

  it.each(['', ' ', 'latest', 'v', '2.', '.5', '2..5', '2.5.x', '2.5.0-', '2.5.0_1', '-1', '2 5', '2.5.0-rc..1', '99999999999999999999', `1.${'0'.repeat(100)}`])(
    'cannot read %j',
    (text) => {
      expect(readVersion(text)).toBeNull();
    },
  );

  it('still reads rightly after more versions than it remembers', () => {
    for (let patch = 0; patch < 2_500; patch++) expect(readVersion(`1.0.${patch}`)?.patch).toBe(patch);
    expect(readVersion('1.0.7')?.version).toBe('1.0.7');
  });
});

describe('readRange', () => {
  it.each(['', '  ', 'latest', '>>2', '>=2.5.0.1', '>=24.03', `>=1 ${'<9 '.repeat(80)}`])('refuses %j', (text) => {
    expect(readRange(text)).toBeNull();
  });

  it.each(['>=3 <2', '>2.5.0 <2.5.0', '<0.0.0-0', '1.x 2.x'])('knows that no version can be in %s', (text) => {
    expect(isPossibleRange(range(text))).toBe(false);
  });

  it.each(['*', '>=2', '>=2.5.0-rc1 <2.5.0', '>=3 <2 || 5.x'])('knows that a version can be in %s', (text) => {
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
    ['^2.5.0', '3.0.0-rc1', false],
    ['*', '0.0.1-alpha', true],
    ['*', 'latest', false],
    ['1.x || >=2.5.0 <3', '2.4.9', false],
    ['1.x || >=2.5.0 <3', '1.9', true],
    ['2.4 - 2.6', '2.6.9', true],
  ])('%s and %s: %s', (text, version, matches) => {
    expect(isInRange(range(text), version)).toBe(matches);
  });

  it.each([undefined, null, 2.5, ['2.5.0'], {}])('has nothing in it that is no text: %j', (version) => {
    expect(isInRange(range('*'), version)).toBe(false);
  });
});
