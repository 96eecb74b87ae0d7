/** The `ws` client with the settings of a vehicle. */
import { WebSocket, type ClientOptions } from 'ws';
import { AGENT_NAME } from '../../core/wire/network/agent-name.ts';
import type { CreateConnection } from './route.ts';

/** The largest message that is read: a sync of 1.5 MB of definitions, with room to spare. */
const MAX_MESSAGE_BYTES = 8 * 1024 * 1024;

/** The milliseconds that a regular close may take. */
export const CLOSING_MS = 1000;

/** The class from which graphql-ws makes a socket. */
type VehicleWebSocket = new (address: string | URL, protocols?: string | string[]) => WebSocket;

/** Watches the socket that graphql-ws makes. */
export interface SocketWatcher {
  created(socket: WebSocket): void;
  /**
   * Called when the gateway has refused the handshake.
   *
   * @param retryAfter the answer's header field
   */
  refused(status: number, retryAfter: string | undefined): void;
}

/** Gives a class from which graphql-ws makes its one socket. */
export function vehicleWebSocket(createConnection: CreateConnection, watcher: SocketWatcher): VehicleWebSocket {
  const options: ClientOptions & { readonly closeTimeout: number } = {
    // Compression would cost the agent memory, and the gateway 200 KB for each vehicle.
    perMessageDeflate: false,
    maxPayload: MAX_MESSAGE_BYTES,
    followRedirects: false,
    headers: { 'user-agent': AGENT_NAME },
    closeTimeout: CLOSING_MS,
    // oxlint-disable-next-line typescript/consistent-type-assertions -- typed as `net.createConnection`; called as `http.request` calls it
    createConnection: createConnection as never,
  };
  return class extends WebSocket {
    constructor(address: string | URL, protocols?: string | string[]) {
      super(address, protocols, options);
      this.on('unexpected-response', (_request, response) => {
        watcher.refused(response.statusCode ?? 0, response.headers['retry-after']);
        // With a listener, `ws` does not end the request itself.
        this.terminate();
      });
      watcher.created(this);
    }
  };
}
