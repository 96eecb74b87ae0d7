import { isIP } from 'node:net';

/**
 * Gives an address as the audit log and the limits record it: without port and zone, and a mapped IPv4 address as IPv4.
 * Gives null for text that is not an address.
 */
export function plainAddress(text: string | undefined): string | null {
  // Some proxies add the port (`192.0.2.1:1234`, `[2001:db8::1]:1234`).
  const [, bracketed, withPort] = /^(?:\[([^\]]+)\](?::\d+)?|([\d.]+):\d+)$/.exec(text ?? '') ?? [];
  const address = (bracketed ?? withPort ?? text ?? '').replace(/%.*$/, '').replace(/^::ffff:(?=\d+\.)/i, '');
  return isIP(address) === 0 ? null : address;
}
