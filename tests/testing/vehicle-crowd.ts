/**
 * Very many vehicles in one process. Each says what an agent says, word for word, and waits before it connects again as
 * an agent does the first time; what it gets it does not verify, which would be the work of as many computers.
 */
import { setMaxListeners } from 'node:events';
import { setTimeout as pause } from 'node:timers/promises';
import { WebSocket } from 'ws';
import { Backoff } from '../../core/async/backoff.ts';
import { CHANGES_SUBSCRIPTION, SYNC_QUERY } from '../../agent/link/operations.ts';

export interface CrowdVehicle {
  readonly token: string;
  /** The revision that it has on disk. */
  revision: number;
  /** Whether it has synced on the connection that it has. */
  inTouch: boolean;
}

export class VehicleCrowd {
  readonly #url: string;
  readonly #environment: string;
  readonly #stop = new AbortController();
  readonly #running: Promise<void>[] = [];
  readonly #sockets = new Set<WebSocket>();
  readonly vehicles: CrowdVehicle[] = [];
  /** Bytes of the answers to syncs. */
  syncBytes = 0;
  /** Ends when there is coverage. */
  #coverage: Promise<void> = Promise.resolve();
  #regain: () => void = () => undefined;

  constructor(url: string, environment: string) {
    setMaxListeners(0, this.#stop.signal);
    this.#url = url;
    this.#environment = environment;
  }

  /** Begins to connect a vehicle that has `revision`, and goes on until the crowd is closed. */
  add(token: string, revision: number): void {
    const vehicle = { token, revision, inTouch: false };
    this.vehicles.push(vehicle);
    this.#running.push(this.#stay(vehicle));
  }

  /** How many are in sync, with `revision`, on a connection that is open. */
  inSync(revision: number): number {
    return this.vehicles.filter((vehicle) => vehicle.inTouch && vehicle.revision === revision).length;
  }

  /**
   * What is connected stays so, and nobody tries to connect until `regainCoverage`: all of them then do within a
   * second.
   */
  loseCoverage(): void {
    this.#coverage = new Promise((resolve) => (this.#regain = resolve));
  }

  regainCoverage(): void {
    this.#regain();
  }

  async close(): Promise<void> {
    this.#stop.abort();
    this.#regain();
    for (const socket of this.#sockets) socket.terminate();
    await Promise.all(this.#running);
  }

  async #stay(vehicle: CrowdVehicle): Promise<void> {
    const { signal } = this.#stop;
    const backoff = new Backoff({ baseMs: 1_000, capMs: 30_000, random: Math.random });
    for (;;) {
      await this.#coverage;
      await pause(backoff.next(), undefined, { signal }).catch(() => undefined);
      if (signal.aborted) return;
      if (await this.#connect(vehicle)) backoff.reset();
      vehicle.inTouch = false;
    }
  }

  /** One connection from beginning to end. Resolves to whether a sync was answered on it. */
  #connect(vehicle: CrowdVehicle): Promise<boolean> {
    const socket = new WebSocket(this.#url, 'graphql-transport-ws', { perMessageDeflate: false });
    this.#sockets.add(socket);
    const environment = this.#environment;
    const ask = (id: string, query: string, variables: object) =>
      socket.send(JSON.stringify({ id, type: 'subscribe', payload: { query, variables } }));
    socket.on('open', () =>
      socket.send(JSON.stringify({ type: 'connection_init', payload: { authorization: `Bearer ${vehicle.token}` } })),
    );
    socket.on('message', (data: Buffer) => {
      const { type, id, payload } = JSON.parse(data.toString()) as {
        type: string;
        id?: string;
        payload?: { data?: { flagSync?: { revision: number }; flagChanges?: { revision: number } } };
      };
      if (type === 'connection_ack') {
        ask('changes', CHANGES_SUBSCRIPTION, { environment });
        ask('request-1', SYNC_QUERY, { environment, since: vehicle.revision });
      }
      if (type !== 'next' || payload?.data == null) return;
      if (id === 'changes') vehicle.revision = Math.max(vehicle.revision, payload.data.flagChanges?.revision ?? 0);
      else {
        this.syncBytes += data.length;
        vehicle.revision = payload.data.flagSync?.revision ?? vehicle.revision;
        vehicle.inTouch = true;
      }
    });
    return new Promise((resolve) => {
      socket
        .on('error', () => undefined)
        .on('close', () => {
          this.#sockets.delete(socket);
          resolve(vehicle.inTouch);
        });
    });
  }
}
