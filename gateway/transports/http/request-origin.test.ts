import type { IncomingMessage } from 'node:http';
import { describe, expect, test } from '@jest/globals';
import { peerReader } from './request-origin.ts';

function addressOf(
  remoteAddress: string | undefined,
  forwarded: string | undefined,
  trusted: readonly string[] = [],
): string | null {
  const headers = forwarded === undefined ? {} : { 'x-forwarded-for': forwarded };
  return peerReader(trusted)({ headers, socket: { remoteAddress } } as unknown as IncomingMessage).ipAddress;
}

describe('the address of a request', () => {
  test.each([
    ['192.0.2.7', '192.0.2.7'],
    ['::ffff:192.0.2.7', '192.0.2.7'],
    ['2001:db8::7', '2001:db8::7'],
    ['fe80::7%eth0', 'fe80::7'],
    [undefined, null],
  ])('is that of its peer: %s', (peer, address) => {
    expect(addressOf(peer, undefined)).toBe(address);
    expect(addressOf(peer, '203.0.113.9')).toBe(address);
    expect(addressOf(peer, '203.0.113.9', ['10.0.0.0/8', '2001:db8:1::/48'])).toBe(address);
  });

  test.each<[string, string, string, string[], string]>([
    ['one that it passed on', '10.0.0.1', '203.0.113.9', ['10.0.0.0/8'], '203.0.113.9'],
    [
      'the last that is no proxy, whatever is before it',
      '10.0.0.1',
      '198.51.100.1, 203.0.113.9, 10.1.1.1',
      ['10.0.0.0/8'],
      '203.0.113.9',
    ],
    [
      'the nearest, where the proxy before is not trusted',
      '10.0.0.1',
      '203.0.113.9, 10.1.1.1',
      ['10.0.0.1'],
      '10.1.1.1',
    ],
    ['one of IPv6', '::1', '2001:db8::9', ['::1'], '2001:db8::9'],
    ['one with a port', '10.0.0.1', '203.0.113.9:4711', ['10.0.0.1'], '203.0.113.9'],
    ['one of IPv6 with a port', '10.0.0.1', '[2001:db8::9]:4711', ['10.0.0.1'], '2001:db8::9'],
    ['one that is mapped', '::ffff:10.0.0.1', '::ffff:203.0.113.9', ['10.0.0.0/8'], '203.0.113.9'],
    ['its own, where it passed on what is no address', '10.0.0.1', "unknown'; drop table", ['10.0.0.1'], '10.0.0.1'],
    ['its own, where it passed on nothing', '10.0.0.1', '', ['10.0.0.1'], '10.0.0.1'],
  ])('is of a trusted proxy %s', (_what, peer, forwarded, trusted, address) => {
    expect(addressOf(peer, forwarded, trusted)).toBe(address);
  });
});
