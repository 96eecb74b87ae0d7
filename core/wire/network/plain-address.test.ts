import { expect, test } from '@jest/globals';
import { plainAddress } from './plain-address.ts';

test.each([
  ['192.0.2.1', '192.0.2.1'],
  ['192.0.2.1:1234', '192.0.2.1'],
  ['[2001:db8::1]:1234', '2001:db8::1'],
  ['[2001:db8::1]', '2001:db8::1'],
  ['::FFFF:192.0.2.1', '192.0.2.1'],
  ['fe80::1%eth0', 'fe80::1'],
  ['gateway.example', null],
  ['', null],
  [undefined, null],
])('an address is recorded without port, zone and mapping: %s', (text, address) => {
  expect(plainAddress(text)).toBe(address);
});
