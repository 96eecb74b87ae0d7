/** Parsers and checks of the values of settings. */
import { isIP } from 'node:net';
import { readRegularFileSync } from '../../core/files/regular-file.ts';
import { readHostPort } from '../../core/wire/network/host-port.ts';

/** The characters that Node.js sends in the value of a header field: no line breaks, and nothing beyond Latin-1. */
const HEADER_VALUE = /^[\t\x20-\x7e\x80-\xff]*$/;

/** Parses the address of a server, `host:port`; gives null for other texts. */
export function readAddress(address: string): { readonly host: string; readonly port: number } | null {
  const read = readHostPort(address);
  return read !== null && read.port > 0 ? read : null;
}

/**
 * Gives the name and the value of a header field written as `name=value` (percent-encoded); null for other texts, and
 * for a value that no header field can have.
 */
export function readHeaderField(text: string): readonly [string, string] | null {
  const [, name, value] = /^([\w!#$%&'*+.^`|~-]+)=(.*)$/.exec(text) ?? [];
  if (name === undefined || value === undefined) return null;
  try {
    const decoded = decodeURIComponent(value.trim());
    return HEADER_VALUE.test(decoded) ? [name.toLowerCase(), decoded] : null;
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
 * Checks whether a text is an address or a range, such as `192.0.2.1`, `10.0.0.0/8` or `2001:db8::/32`. A range of all
 * addresses is refused.
 */
export function isAddressRange(range: string): boolean {
  const [, address = '', prefix] = /^([^/%]+)(?:\/(\d{1,3}))?$/.exec(range) ?? [];
  const version = isIP(address);
  return (
    version !== 0 && (prefix === undefined || (Number(prefix) > 0 && Number(prefix) <= (version === 4 ? 32 : 128)))
  );
}

/** Checks whether a path is that of a regular file which this process may read. */
export function isReadable(path: string): boolean {
  try {
    readRegularFileSync(path);
    return true;
  } catch {
    return false;
  }
}

/** Checks whether a text is a URL with one of these protocols, such as `http:`. */
export function isUrlOf(text: string, protocols: readonly string[]): boolean {
  // A parser of URLs also takes "redis:cache", which names no server.
  return URL.canParse(text) && protocols.some((protocol) => text.toLowerCase().startsWith(`${protocol}//`));
}
