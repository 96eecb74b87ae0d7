import { describe, expect, test } from '@jest/globals';
import { AddressPolicy } from './address-policy.ts';

const NOT_PUBLIC = [
  ...['127.0.0.1', '10.1.2.3', '172.31.255.255', '192.168.0.1', '169.254.169.254', '100.64.0.1', '100.100.100.200'],
  ...['0.0.0.0', '255.255.255.255', '224.0.0.1', '192.0.2.1', '198.18.0.1', '240.0.0.1', '168.63.129.16'],
  ...['::1', '::', 'fe80::1', 'fe80::1%eth0', 'fc00::1', 'fd00:ec2::254', 'ff02::1', '2001:db8::1'],
  // IPv4 addresses inside IPv6: mapped, compatible, translated (NAT64), 6to4, Teredo.
  ...['::ffff:10.0.0.1', '::ffff:7f00:1', '::127.0.0.1', '64:ff9b::a00:1', '2002:7f00:1::', '2001::1'],
  ...['', 'localhost', '010.0.0.1x'],
];

describe('without allowed addresses', () => {
  const policy = new AddressPolicy([]);
  test.each(NOT_PUBLIC)('%s is refused', (address) => expect(policy.allows(address, true)).toBe(false));
  test.each(['8.8.8.8', '1.1.1.1', '::ffff:8.8.8.8', '2606:4700:4700::1111'])(
    '%s is allowed over https alone',
    (address) => expect([policy.allows(address, true), policy.allows(address, false)]).toEqual([true, false]),
  );
  test('http is allowed nowhere', () => expect(policy.allowsHttp).toBe(false));
});

test('allowed ranges are allowed over http as well, and nothing beside them', () => {
  const policy = new AddressPolicy(['10.20.0.0/16', '::1', '192.168.7.7']);
  expect(policy.allowsHttp).toBe(true);
  for (const address of ['10.20.3.4', '::ffff:10.20.3.4', '::1', '192.168.7.7'])
    expect([address, policy.allows(address, true), policy.allows(address, false)]).toEqual([address, true, true]);
  for (const address of ['10.21.0.1', '192.168.7.8', '127.0.0.1', '::2', '169.254.169.254'])
    expect([address, policy.allows(address, true)]).toEqual([address, false]);
});
