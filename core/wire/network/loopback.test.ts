import { expect, test } from '@jest/globals';
import { isLoopback } from './loopback.ts';

test('loopback addresses are distinguished from addresses that others can reach', () => {
  expect(
    ['127.0.0.1', '127.1.2.3', 'localhost', 'LocalHost', 'LOCALHOST.', '::1'].filter((host) => !isLoopback(host)),
  ).toEqual([]);
  expect(
    ['0.0.0.0', '192.168.1.5', '127.evil.example', '::', 'vehicle', 'localhost.evil.example', 'localhost..', ''].filter(
      isLoopback,
    ),
  ).toEqual([]);
});
