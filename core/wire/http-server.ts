import type { AddressInfo } from 'node:net';

/**
 * The number of connections that the kernel holds until a process of the control plane accepts them. After an outage a
 * whole fleet reconnects at once, and connections beyond this number are reset. `net.core.somaxconn` caps it.
 */
export const LISTEN_BACKLOG = 8_192;

/** Gives the address and port of a listening server. Throws while it does not listen, or when it listens on a path. */
export function boundAddress(server: { address(): AddressInfo | string | null }): AddressInfo {
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('The server does not listen on a port.');
  return address;
}
