/** Where a request comes from, over HTTP and for a websocket alike. */
import { randomUUID } from 'node:crypto';
import type { IncomingHttpHeaders, IncomingMessage } from 'node:http';
import { isIP } from 'node:net';
import proxyAddress from '@fastify/proxy-addr';
import type { RequestOrigin } from '../../../core/access/caller.ts';

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

/**
 * The request's own id, where it brings one that is a UUID, to be found again in our log and audit trail; else a new
 * one.
 */
export function requestIdOf({ 'x-request-id': given }: IncomingHttpHeaders): string {
  return typeof given === 'string' && UUID.test(given) ? given : randomUUID();
}

/**
 * An address as the audit trail and the limits keep it: IPv4 where it is one, without port and zone; null for what is
 * none.
 */
function readAddress(text: string | undefined): string | null {
  // Some proxies add the port (`192.0.2.1:1234`, `[2001:db8::1]:1234`).
  const [, bracketed, withPort] = /^(?:\[([^\]]+)\](?::\d+)?|([\d.]+):\d+)$/.exec(text ?? '') ?? [];
  const address = (bracketed ?? withPort ?? text ?? '').replace(/%.*$/, '').replace(/^::ffff:(?=\d+\.)/i, '');
  return isIP(address) === 0 ? null : address;
}

/** Where a connection comes from: what its requests, which have ids of their own, share. */
export type PeerReader = (request: IncomingMessage) => Omit<RequestOrigin, 'requestId'>;

/**
 * A function that gives who is at the other end of a request. `X-Forwarded-For` counts only as far as addresses of
 * `trustedProxies` have written it: of the last address that is none of theirs, and everything before it, anybody may
 * have written anything.
 *
 * @param trustedProxies addresses and CIDR ranges; throws a TypeError for what is neither
 */
export function peerReader(trustedProxies: readonly string[]): PeerReader {
  const trusts = proxyAddress.compile([...trustedProxies]);
  return (request) => {
    const peer = request.socket.remoteAddress;
    return {
      // A peer that is gone already has no address.
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
