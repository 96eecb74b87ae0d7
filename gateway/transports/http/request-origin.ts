/** The origin of a request, for HTTP and websockets: its address, user agent and id. */
import { randomUUID } from 'node:crypto';
import type { IncomingHttpHeaders, IncomingMessage } from 'node:http';
import { isIP, type Socket } from 'node:net';
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
 * Creates the function that gives the address and user agent of a connection's client. `X-Forwarded-For` counts only as
 * far as proxies of `trustedProxies` have written it, because a client can send any text before that.
 *
 * @param trustedProxies addresses and CIDR ranges
 * @throws TypeError for a trusted proxy that is neither
 */
export function peerReader(trustedProxies: readonly string[]): PeerReader {
  const trusts = proxyAddress.compile([...trustedProxies]);
  /** The addresses of connections; a connection has many requests. */
  const peers = new WeakMap<Socket, string | null>();
  const peerOf = (socket: Socket): string | null => {
    let address = peers.get(socket);
    if (address === undefined) peers.set(socket, (address = readAddress(socket.remoteAddress)));
    return address;
  };
  const addressOf = (request: IncomingMessage): string | null => {
    // A peer that has already disconnected has no address.
    if (request.socket.remoteAddress === undefined) return null;
    const peer = peerOf(request.socket);
    const isForwarded = request.headers['x-forwarded-for'] !== undefined;
    return isForwarded ? (readAddress(proxyAddress(request, trusts)) ?? peer) : peer;
  };
  return (request) => ({ ipAddress: addressOf(request), userAgent: request.headers['user-agent'] ?? null });
}
