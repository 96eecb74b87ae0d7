import { isIPv6 } from 'node:net';

/** The characters of host names and IPv4 addresses, `_` among them, which names of containers may have. */
const NAME = /^[\p{L}\p{M}\p{N}._-]+$/u;

/** Parses `host:port`, with an IPv6 address in brackets, which the result omits. Gives null for other texts. */
export function readHostPort(text: string): { readonly host: string; readonly port: number } | null {
  const [, address, name, digits] = /^(?:\[([^\]]*)\]|([^:]*)):(\d{1,5})$/.exec(text) ?? [];
  const [host, port] = [address ?? name ?? '', Number(digits)];
  const isHost = address === undefined ? NAME.test(host) : isIPv6(host);
  return isHost && port <= 65_535 ? { host, port } : null;
}
