import type { AddressInfo } from 'node:net';

/**
 * Connections that the kernel holds until a process of the control plane takes them. After an outage a fleet comes
 * back at once, and what finds no room is reset. The kernel's `net.core.somaxconn` caps it.
 */
export const LISTEN_BACKLOG = 8_192;

/** The address and port of a server that listens. Throws an Error while it does not, or where it listens on a path. */
export function boundAddress(server: { address(): AddressInfo | string | null }): AddressInfo {
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('The server does not listen on a port.');
  return address;
}
