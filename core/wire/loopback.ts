import { isIP } from 'node:net';

/**
 * Whether only this machine can reach `host`: a name in any case, with or without the dot of a whole name, or an
 * address, IPv6 without brackets, IPv4 not mapped into it.
 */
export function isLoopback(host: string): boolean {
  return /^localhost\.?$/i.test(host) || host === '::1' || (isIP(host) === 4 && host.startsWith('127.'));
}
