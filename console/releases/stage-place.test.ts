import { expect, test } from '@jest/globals';
import { stagePlaces } from './stage-place.ts';

const STAGES = [0, 1, 10, 100].map((percentage) => ({ percentage }));

test('a release is in the last stage that its percentage has reached', () => {
  expect(stagePlaces(STAGES, 0)).toEqual(['present', 'ahead', 'ahead', 'ahead']);
  expect(stagePlaces(STAGES, 10)).toEqual(['passed', 'passed', 'present', 'ahead']);
  expect(stagePlaces(STAGES, 100)).toEqual(['passed', 'passed', 'passed', 'present']);
});

test('a promotion between two stages leaves a release in the lower of them', () => {
  expect(stagePlaces(STAGES, 55.5)).toEqual(['passed', 'passed', 'present', 'ahead']);
});

test('a release below its first stage is in it', () => {
  expect(stagePlaces([{ percentage: 5 }, { percentage: 100 }], 1)).toEqual(['present', 'ahead']);
});
