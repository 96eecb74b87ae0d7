/**
 * Very many vehicles in one process. Each sends exactly what an agent sends, and waits before it connects again as an
 * agent does the first time. It does not verify the answers, because that would be the work of as many computers.
 */
import { setMaxListeners } from 'node:events';
import { setTimeout as pause } from 'node:timers/promises';
import { WebSocket } from 'ws';
import { Backoff } from '../../core/async/backoff.ts';
import { OPERATIONS } from '../../agent/link/operations.ts';

/** The state of one vehicle. */
export interface CrowdVehicle {
  readonly token: string;
  /** The revision that the vehicle has on disk. */
  revision: number;
  /** Whether the vehicle has synced on its present connection. */
  inTouch: boolean;
}

export class VehicleCrowd {
  readonly #url: string;
  readonly #environment: string;
  readonly #stop = new AbortController();
  readonly #running: Promise<void>[] = [];
  readonly #sockets = new Set<WebSocket>();
  readonly vehicles: CrowdVehicle[] = [];
  /** The bytes of all answers to syncs. */
  syncBytes = 0;
  /** Resolves when there is coverage. */
  #coverage: Promise<void> = Promise.resolve();
  #regain: () => void = () => undefined;

  constructor(url: string, environment: string) {
    setMaxListeners(0, this.#stop.signal);
    this.#url = url;
    this.#environment = environment;
  }

  /** Connects a vehicle that has `revision`, again and again until the crowd is closed. */
  add(token: string, revision: number): void {
    const vehicle = { token, revision, inTouch: false };
    this.vehicles.push(vehicle);
    this.#running.push(this.#stay(vehicle));
  }

  /** Gives the number of vehicles that are in sync at `revision` on an open connection. */
  inSync(revision: number): number {
    return this.vehicles.filter((vehicle) => vehicle.inTouch && vehicle.revision === revision).length;
  }

  /**
   * Keeps open connections, and lets no vehicle connect until `regainCoverage`, after which all of them do within a
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

  /** Runs one connection from beginning to end. Resolves to whether a sync was answered on it. */
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
        ask('changes', OPERATIONS.changes, { environment });
        ask('request-1', OPERATIONS.sync, { environment, since: vehicle.revision });
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
