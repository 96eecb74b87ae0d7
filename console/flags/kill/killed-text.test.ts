import { expect, test } from '@jest/globals';
import { en } from '../../words/en.ts';
import { killedText } from './killed-text.ts';

test('a killed flag gives its default value, and during a release not the one that the page shows', () => {
  expect(killedText({ defaultValue: 20, release: null }, { words: en })).toContain('the default value 20,');
  const during = killedText({ defaultValue: 20, release: { id: 'r' } }, { words: en });
  expect(during).not.toContain('20');
  expect(during).toContain('from before the release');
});
