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

/** Milliseconds for which requests that are under way may go on when a server closes: as long as gateways wait. */
const UNDER_WAY_MS = 10_000;

/** A server that can be closed without cutting off what it has begun to answer. */
interface ClosableServer {
  readonly server: { closeAllConnections(): void };
  close(): PromiseLike<unknown>;
}

/**
 * Closes a server: it takes no more connections, and ends when what is under way has been answered. A connection on
 * which nothing ends is cut after a while.
 *
 * @param app closes its idle connections by itself (`forceCloseConnections: 'idle'`)
 */
export async function closeInOrder(app: ClosableServer, underWayMs = UNDER_WAY_MS): Promise<void> {
  const cut = setTimeout(() => app.server.closeAllConnections(), underWayMs);
  try {
    await app.close();
  } finally {
    clearTimeout(cut);
  }
}
