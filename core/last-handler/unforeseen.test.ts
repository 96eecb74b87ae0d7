import { expect, test } from '@jest/globals';
import { processGoesOn } from './unforeseen.ts';

test('a process goes on after a rejection that nobody handled, whatever it is', () => {
  for (const reason of [new Error('lost'), undefined, null, 'text'])
    expect(processGoesOn('unhandledRejection', reason)).toBe(true);
});

test('a process ends after an exception that nobody caught', () => {
  for (const error of [
    new TypeError('x is not a function'),
    undefined,
    null,
    'text',
    { code: 1 },
    Object.assign(new Error(), { code: 'ENOSPC' }),
  ]) {
    expect(processGoesOn('uncaughtException', error)).toBe(false);
  }
});

test('a connection or pipe that broke off does not end the process', () => {
  expect(processGoesOn('uncaughtException', Object.assign(new Error('write EPIPE'), { code: 'EPIPE' }))).toBe(true);
});
