/** The origin of a request, for HTTP and websockets: its address, user agent and id. */
import { randomUUID } from 'node:crypto';
import type { IncomingHttpHeaders, IncomingMessage } from 'node:http';
import { isIP } from 'node:net';
import proxyAddress from '@fastify/proxy-addr';
import type { RequestOrigin } from '../../../core/access/caller.ts';

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

/**
 * Gives the id under which the log and the audit log record a request: that of its header `x-request-id` where it is a
 * UUID, otherwise a new one.
 */
export function requestIdOf({ 'x-request-id': given }: IncomingHttpHeaders): string {
  return typeof given === 'string' && UUID.test(given) ? given : randomUUID();
}

/**
 * Gives an address as the audit log and the limits record it: without port and zone, and a mapped IPv4 address as IPv4.
 * Gives null for text that is not an address.
 */
function readAddress(text: string | undefined): string | null {
  // Some proxies add the port (`192.0.2.1:1234`, `[2001:db8::1]:1234`).
  const [, bracketed, withPort] = /^(?:\[([^\]]+)\](?::\d+)?|([\d.]+):\d+)$/.exec(text ?? '') ?? [];
  const address = (bracketed ?? withPort ?? text ?? '').replace(/%.*$/, '').replace(/^::ffff:(?=\d+\.)/i, '');
  return isIP(address) === 0 ? null : address;
}

/** Gives the origin that all requests of a connection share; each request has an id of its own. */
export type PeerReader = (request: IncomingMessage) => Omit<RequestOrigin, 'requestId'>;

/**
 * Creates the function that gives the address and user agent of a connection's client. `X-Forwarded-For` counts only as far as proxies of
 * `trustedProxies` have written it, because a client can send any text before that.
 *
 * @param trustedProxies addresses and CIDR ranges
 * @throws TypeError for a trusted proxy that is neither
 */
export function peerReader(trustedProxies: readonly string[]): PeerReader {
  const trusts = proxyAddress.compile([...trustedProxies]);
  return (request) => {
    const peer = request.socket.remoteAddress;
    return {
      // A peer that has already disconnected has no address.
      ipAddress: peer === undefined ? null : (readAddress(proxyAddress(request, trusts)) ?? readAddress(peer)),
      userAgent: request.headers['user-agent'] ?? null,
    };
  };
}

/** A function that gives a request's origin: its peer as `peerReader` gives it, and its id. */
export function originReader(trustedProxies: readonly string[]): (request: IncomingMessage) => RequestOrigin {
  const peerOf = peerReader(trustedProxies);
  return (request) => ({ ...peerOf(request), requestId: requestIdOf(request.headers) });
}
