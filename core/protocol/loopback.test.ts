import { expect, test } from '@jest/globals';
import { isLoopback } from './loopback.ts';

test('loopback is told from what others reach', () => {
  expect(['127.0.0.1', '127.1.2.3', 'localhost', '::1'].map(isLoopback)).toEqual([true, true, true, true]);
  expect(['0.0.0.0', '192.168.1.5', '127.evil.example', '::', 'vehicle'].map(isLoopback)).toEqual([false, false, false, false, false]);
});
