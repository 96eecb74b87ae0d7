import { expect, it } from '@jest/globals';
import { enteredName } from './context.ts';

it.each([
  [' EU\t', 'EU'],
  ['Ioniq  6', 'Ioniq  6'],
  ['', null],
  [' \t', null],
  [null, null],
  [undefined, undefined],
  [7, 7],
])('%j enters as %j', (name, entered) => {
  expect(enteredName(name)).toBe(entered);
});
