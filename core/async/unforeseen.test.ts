import { expect, test } from '@jest/globals';
import { mayGoOn } from './unforeseen.ts';

test('a process goes on after a rejection that nobody handled, whatever it is', () => {
  for (const reason of [new Error('lost'), undefined, null, 'text'])
    expect(mayGoOn('unhandledRejection', reason)).toBe(true);
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
    expect(mayGoOn('uncaughtException', error)).toBe(false);
  }
});

test('a connection or pipe that broke off does not end the process', () => {
  expect(mayGoOn('uncaughtException', Object.assign(new Error('write EPIPE'), { code: 'EPIPE' }))).toBe(true);
});
