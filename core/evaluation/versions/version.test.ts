import { describe, expect, it } from '@jest/globals';
import { compareVersions, readVersion, type Version } from './version.ts';

const shown = (version: Version | null) =>
  version === null
    ? null
    : version.numbers.join('.') + (version.prerelease === null ? '' : `-${version.prerelease.join('.')}`);

describe('readVersion', () => {
  it.each([
    ['2.5.0', '2.5.0.0'],
    ['2.5', '2.5.0.0'],
    ['2', '2.0.0.0'],
    ['v2.5.0-rc1', '2.5.0.0-rc1'],
    ['V2.5', '2.5.0.0'],
    ['  2.5.0\n', '2.5.0.0'],
    ['2.5-rc1', '2.5.0.0-rc1'],
    ['2.5.0rc1', '2.5.0.0-rc1'],
    ['2.5.0r.1', '2.5.0.0-r.1'],
    ['2.5.0-rc.01', '2.5.0.0-rc.1'],
    ['2.5.0-01', '2.5.0.0-1'],
    ['2.5.0-01a', '2.5.0.0-01a'],
    ['2.5.0-99999999999999999999', '2.5.0.0-99999999999999999999'],
    ['24.03.01', '24.3.1.0'],
    ['2.5.0.17', '2.5.0.17'],
    ['2.5.0.17.4-beta', '2.5.0.17-beta'],
    ['2.5.0+build.7', '2.5.0.0'],
  ])('reads %j as %s', (text, version) => {
    expect(shown(readVersion(text))).toBe(version);
  });

  it.each([
    '',
    ' ',
    'latest',
    'v',
    '2.',
    '.5',
    '2..5',
    '2.5.x',
    '2.5.0-',
    '2.5.0_1',
    '-1',
    '2 5',
    '2.5.0-rc..1',
    '99999999999999999999',
    '1.0.0.9007199254740992',
    `1.${'0'.repeat(100)}`,
  ])('cannot read %j', (text) => {
    expect(readVersion(text)).toBeNull();
  });

  it('still reads rightly after more versions than it remembers', () => {
    for (let patch = 0; patch < 2_500; patch++) expect(readVersion(`1.0.${patch}`)?.numbers[2]).toBe(patch);
    expect(shown(readVersion('1.0.7'))).toBe('1.0.7.0');
  });
});

describe('compareVersions', () => {
  it('orders versions as semver does, with a fourth number', () => {
    const ascending = [
      '0',
      '1.0.0-0',
      '1.0.0-1',
      '1.0.0-99999999999999999999',
      '1.0.0-199999999999999999999',
      '1.0.0--',
      '1.0.0-RC',
      '1.0.0-alpha',
      '1.0.0-alpha.1',
      '1.0.0-alpha.beta',
      '1.0.0-rc.2',
      '1.0.0-rc.10',
      '1.0.0-rc.10.0',
      '1.0.0-rc2',
      '1.0.0',
      '1.0.0.1-rc',
      '1.0.0.1',
      '1.0.0.17',
      '1.0.1-a',
      '1.0.1',
      '1.2',
      '1.10',
      '2',
    ];
    const versions = ascending.map((text) => readVersion(text) as Version);
    for (const [at, left] of versions.entries()) {
      for (const [other, right] of versions.entries())
        expect([ascending[at], ascending[other], Math.sign(compareVersions(left, right))]).toEqual([
          ascending[at],
          ascending[other],
          Math.sign(at - other),
        ]);
    }
  });
});
