/** The `ws` client as a vehicle uses it. */
import { WebSocket, type ClientOptions } from 'ws';
import type { CreateConnection } from './route.ts';

/** A sync of 1.5 MB of definitions, with room to spare. What says that it is larger is not read. */
const MAX_MESSAGE_BYTES = 8 * 1024 * 1024;

/** Milliseconds that a regular close may take. */
export const CLOSING_MS = 1000;

/** What graphql-ws makes a socket of. */
type VehicleWebSocket = new (address: string | URL, protocols?: string | string[]) => WebSocket;

/** A class for graphql-ws, which makes one socket of it; that goes to `onCreated`. */
export function vehicleWebSocket(
  createConnection: CreateConnection,
  onCreated: (socket: WebSocket) => void,
): VehicleWebSocket {
  const options: ClientOptions & { readonly closeTimeout: number } = {
    // Compression would cost the agent's memory, and the gateway 200 KB a vehicle.
    perMessageDeflate: false,
    maxPayload: MAX_MESSAGE_BYTES,
    followRedirects: false,
    closeTimeout: CLOSING_MS,
    // eslint-disable-next-line @typescript-eslint/consistent-type-assertions -- typed as `net.createConnection`; called as `http.request` calls it
    createConnection: createConnection as never,
  };
  return class extends WebSocket {
    constructor(address: string | URL, protocols?: string | string[]) {
      super(address, protocols, options);
      onCreated(this);
    }
  };
}
