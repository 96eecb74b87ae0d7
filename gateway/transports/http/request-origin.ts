/** The origin of a request, for HTTP and websockets: its address and user agent. */
import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import proxyAddress from '@fastify/proxy-addr';
import type { RequestOrigin } from '../../../core/access/caller.ts';
import { plainAddress } from '../../../core/wire/network/plain-address.ts';

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
    if (address === undefined) peers.set(socket, (address = plainAddress(socket.remoteAddress)));
    return address;
  };
  const addressOf = (request: IncomingMessage): string | null => {
    // A peer that has already disconnected has no address.
    if (request.socket.remoteAddress === undefined) return null;
    const peer = peerOf(request.socket);
    const isForwarded = request.headers['x-forwarded-for'] !== undefined;
    return isForwarded ? (plainAddress(proxyAddress(request, trusts)) ?? peer) : peer;
  };
  return (request) => ({ ipAddress: addressOf(request), userAgent: request.headers['user-agent'] ?? null });
}
