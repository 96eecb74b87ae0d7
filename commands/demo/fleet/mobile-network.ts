/** The mobile network between vehicles and control plane, simulated by a TCP relay on loopback that can be cut. */
import { createServer, connect, type Server, type Socket } from 'node:net';
import { boundAddress } from '../../../core/wire/network/http-server.ts';

/** A relay for one gateway. */
export class MobileNetwork {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  #up = true;

  private constructor(host: string, port: number) {
    this.#server = createServer((vehicle) => {
      if (!this.#up) {
        vehicle.destroy();
        return;
      }
      vehicle.setNoDelay(true);
      const controlPlane = connect({ host, port, noDelay: true });
      for (const [socket, other] of [
        [vehicle, controlPlane],
        [controlPlane, vehicle],
      ] as const) {
        this.#sockets.add(socket);
        socket.on('error', () => undefined);
        socket.on('close', () => {
          this.#sockets.delete(socket);
          other.destroy();
        });
        socket.pipe(other);
      }
    });
  }

  /** Relays connections to `host:port` until it is cut or closed. */
  static async open(host: string, port: number): Promise<MobileNetwork> {
    const network = new MobileNetwork(host, port);
    await new Promise<void>((resolve, reject) => {
      network.#server.once('error', reject);
      network.#server.listen(0, '127.0.0.1', resolve);
    });
    return network;
  }

  /** The URL at which vehicles find the gateway's websocket. */
  get wsUrl(): string {
    return `ws://127.0.0.1:${boundAddress(this.#server).port}/graphql`;
  }

  /** Drops every connection and accepts none until `restore`. */
  cut(): void {
    this.#up = false;
    for (const socket of this.#sockets) socket.destroy();
  }

  /** Accepts connections again. */
  restore(): void {
    this.#up = true;
  }

  /** Drops every connection and closes the relay. */
  async close(): Promise<void> {
    this.cut();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }
}
