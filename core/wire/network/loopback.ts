import { isIP } from 'node:net';

/**
 * Says whether only this machine can reach `host`: `localhost` in any case, with or without a final dot, or a loopback
 * address. An IPv6 address has no brackets, and an IPv4 address that is mapped into IPv6 does not count.
 */
export function isLoopback(host: string): boolean {
  return /^localhost\.?$/i.test(host) || host === '::1' || (isIP(host) === 4 && host.startsWith('127.'));
}
