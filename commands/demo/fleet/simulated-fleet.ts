/**
 * The vehicles without an agent of their own: each has its token, its websocket and its subscription, as an agent has,
 * and reports what it has heard. They evaluate nothing and store nothing.
 */
import { createClient, type Client } from 'graphql-ws';
import { WebSocket } from 'ws';
import type { FleetVehicle } from './fleet.ts';
import { membersOf } from '../../../core/json/json-value.ts';
import { unattended } from '../../../core/last-handler/unattended.ts';

const CHANGES = 'subscription { flagChanges(environment: PRODUCTION) { revision } }';
const HEARTBEAT =
  'mutation ($revision: Int!) { agentHeartbeat(input: { agentVersion: "simulated", appliedRevision: $revision }) }';
/** The longest wait of a vehicle before it connects again, or reports a revision, in milliseconds. */
const SPREAD_MS = 1_500;

interface Connected {
  readonly client: Client;
  /** The newest revision that the vehicle has heard of, and when (performance.now()). */
  revision: number;
  at: number;
}

/** Some hundred vehicles at one gateway. */
export class SimulatedFleet {
  readonly #vehicles: Connected[] = [];
  #timers = new Set<NodeJS.Timeout>();
  #isClosed = false;

  /**
   * Connects each vehicle. Resolves when all subscriptions have been taken.
   *
   * @param tokens the vehicles' tokens by VIN
   * @param revision the environment's present revision, which the vehicles report at once
   */
  static async connect(
    wsUrl: string,
    tokens: ReadonlyMap<string, string>,
    vehicles: readonly FleetVehicle[],
    revision: number,
  ): Promise<SimulatedFleet> {
    const fleet = new SimulatedFleet();
    await Promise.all(vehicles.map(({ vin }) => fleet.#add(wsUrl, tokens.get(vin) ?? '', revision)));
    return fleet;
  }

  get size(): number {
    return this.#vehicles.length;
  }

  /**
   * Waits until every vehicle has heard of `revision`. Gives the times at which they did (performance.now()), in order.
   *
   * @throws Error when one has not within half a minute
   */
  async heard(revision: number): Promise<number[]> {
    const deadline = performance.now() + 30_000;
    while (this.#vehicles.some((vehicle) => vehicle.revision < revision)) {
      if (performance.now() > deadline) throw new Error(`Not every simulated vehicle has heard of ${revision}.`);
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    return this.#vehicles.map(({ at }) => at).sort((a, b) => a - b);
  }

  /** Closes every connection. */
  async close(): Promise<void> {
    this.#isClosed = true;
    for (const timer of this.#timers) clearTimeout(timer);
    await Promise.all(this.#vehicles.map(async ({ client }) => client.dispose()));
  }

  async #add(wsUrl: string, token: string, revision: number): Promise<void> {
    const client = createClient({
      url: wsUrl,
      webSocketImpl: WebSocket,
      connectionParams: { authorization: `Bearer ${token}` },
      lazy: false,
      onNonLazyError: () => undefined,
      retryAttempts: Number.POSITIVE_INFINITY,
      shouldRetry: () => !this.#isClosed,
      retryWait: () => new Promise((resolve) => setTimeout(resolve, 200 + Math.random() * SPREAD_MS)),
    });
    const vehicle: Connected = { client, revision: 0, at: 0 };
    this.#vehicles.push(vehicle);
    client.subscribe(
      { query: CHANGES },
      {
        next: ({ data }) => {
          const event = membersOf(membersOf(data)['flagChanges'])['revision'];
          if (typeof event !== 'number' || event <= vehicle.revision) return;
          vehicle.revision = event;
          vehicle.at = performance.now();
          this.#reportSoon(vehicle);
        },
        error: () => undefined,
        complete: () => undefined,
      },
    );
    // A socket's messages are taken in order: after this answer the subscription has been taken.
    await this.#report(client, revision);
  }

  /** Reports after a random wait, so that some hundred vehicles do not report at once. */
  #reportSoon(vehicle: Connected): void {
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      unattended(this.#report(vehicle.client, vehicle.revision), 'A heartbeat of the demo');
    }, Math.random() * SPREAD_MS);
    this.#timers.add(timer);
  }

  /** Sends a heartbeat; resolves with its answer, whatever it is. */
  #report(client: Client, revision: number): Promise<void> {
    return new Promise((resolve) => {
      client.subscribe(
        { query: HEARTBEAT, variables: { revision } },
        { next: () => undefined, error: () => resolve(), complete: () => resolve() },
      );
    });
  }
}
