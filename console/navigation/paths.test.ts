import { expect, test } from '@jest/globals';
import { flagKeyIn, flagPath, matchPath, withQuery } from './paths.ts';

test('a path gives its parts, decoded, where it fits a pattern', () => {
  expect(matchPath('/flags/:key', flagPath('adas.lane keep/2'))).toEqual({ key: 'adas.lane keep/2' });
  expect(matchPath('/flags/:key/kill', flagPath('a', '/kill'))).toEqual({ key: 'a' });
  expect(matchPath('/flags/:key', '/flags')).toBeNull();
  expect(matchPath('/flags/:key', '/kill/a')).toBeNull();
  expect(matchPath('/flags/:key', '/flags/%')).toEqual({ key: '%' });
});

test('every page below a flag belongs to it', () => {
  for (const below of ['', '/kill', '/rules/3f0d2f4e'])
    expect(flagKeyIn(flagPath('adas.lane keep', below))).toBe('adas.lane keep');
  for (const path of ['/flags', '/flags/', '/kill', '/new-flag', '/']) expect(flagKeyIn(path)).toBeNull();
});

test('a query has no empty members', () => {
  expect(withQuery('/flags', { search: '조향', state: null, type: '' })).toBe('/flags?search=%EC%A1%B0%ED%96%A5');
  expect(withQuery('/flags', { search: '' })).toBe('/flags');
});
