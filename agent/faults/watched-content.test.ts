import { expect, test } from '@jest/globals';
import { testFlag } from '../testing/held-flags.ts';
import { watchedContent } from './watched-content.ts';

const eco = testFlag('eco', { defaultValue: false });
const release = { id: 'r', percentage: 1, next: { defaultValue: true, rules: [] } };

test('the content of a definition does not change by its revision and the order of its members', () => {
  const { key, ...others } = eco;
  expect(watchedContent({ ...others, key, revision: 9 })).toBe(watchedContent(eco));
});

test('the content of a definition changes by its values and by a stage of its release', () => {
  expect(watchedContent({ ...eco, defaultValue: true })).not.toBe(watchedContent(eco));
  expect(watchedContent({ ...eco, release })).not.toBe(watchedContent(eco));
  expect(watchedContent({ ...eco, release: { ...release, percentage: 10 } })).not.toBe(
    watchedContent({ ...eco, release }),
  );
});
