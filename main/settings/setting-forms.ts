/** The forms of settings' texts. */
import { isIP } from 'node:net';
import { readRegularFileSync } from '../../core/files/regular-file.ts';

/** Parses `host:port`; gives null for other texts. */
export function readAddress(address: string): { host: string; port: number } | null {
  const [, host, port] = /^\[?([^\s\]]+?)\]?:(\d{1,5})$/.exec(address) ?? [];
  return host !== undefined && Number(port) > 0 && Number(port) <= 65_535 ? { host, port: Number(port) } : null;
}

/** Gives the name and the value of a header field written as `name=value` (percent-encoded), or null. */
export function readHeaderField(text: string): readonly [string, string] | null {
  const [, name, value] = /^([\w!#$%&'*+.^`|~-]+)=(.*)$/.exec(text) ?? [];
  if (name === undefined || value === undefined) return null;
  try {
    return [name.toLowerCase(), decodeURIComponent(value.trim())];
  } catch {
    return null;
  }
}

/**
 * Gives an origin as browsers send it (`https://dashboard.example.com`, without the scheme's default port), or null
 * when the text is none.
 */
export function readOrigin(text: string): string | null {
  if (!URL.canParse(text)) return null;
  const { protocol, host, origin } = new URL(text);
  const isPage = protocol === 'http:' || protocol === 'https:';
  return isPage && host !== '' && /^[a-z]+:\/\/[^/?#@*\\]+$/i.test(text) ? origin : null;
}

/**
 * Checks for addresses and ranges such as `192.0.2.1`, `10.0.0.0/8`, `2001:db8::/32`. A range of all addresses is
 * refused.
 */
export function isAddressRange(range: string): boolean {
  const [, address = '', prefix] = /^([^/%]+)(?:\/(\d{1,3}))?$/.exec(range) ?? [];
  const version = isIP(address);
  return (
    version !== 0 && (prefix === undefined || (Number(prefix) > 0 && Number(prefix) <= (version === 4 ? 32 : 128)))
  );
}

/** Checks for a regular file that this process may read. */
export function isReadable(path: string): boolean {
  try {
    readRegularFileSync(path);
    return true;
  } catch {
    return false;
  }
}

/** Checks for a URL with one of these protocols, such as `http:`. */
export function isUrlOf(text: string, protocols: readonly string[]): boolean {
  return URL.canParse(text) && protocols.includes(new URL(text).protocol);
}
