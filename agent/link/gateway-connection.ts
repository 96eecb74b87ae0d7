/**
 * Stays connected to the gateway: one link after the other, for ever, whatever the reason the last one ended.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { describeError, type Log } from '../log.ts';
import { timerDelay } from '../timer-delay.ts';
import type { Backoff } from './backoff.ts';
import { GatewayLink, type LinkTimings } from './gateway-link.ts';
import type { Route } from './route.ts';
import type { VehicleCredential } from './vehicle-credential.ts';

/** Close codes that say the token is not accepted (graphql-transport-ws). */
const REFUSED_CODES = new Set([4401, 4403]);

export interface GatewayConnectionOptions {
  readonly url: string;
  readonly route: Route;
  readonly timings: LinkTimings;
  readonly backoff: Backoff;
  /** A link that lasted this long, in milliseconds, was a good one: the waits start anew after it. */
  readonly stableMs: number;
  readonly log: Log;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  /** Called before each attempt, since a token may be replaced; rejects where there is none that may be used. */
  readonly credential: () => Promise<VehicleCredential>;
  /** Uses an acknowledged link until it ends. */
  readonly use: (link: GatewayLink) => Promise<void>;
}

export class GatewayConnection {
  readonly #options: GatewayConnectionOptions;
  readonly #stop = new AbortController();
  #running: Promise<void> = Promise.resolve();
  #link: GatewayLink | null = null;
  #connected = false;
  #fault: string | null = null;

  constructor(options: GatewayConnectionOptions) {
    this.#options = options;
  }

  /** Whether a link is up and acknowledged. */
  get connected(): boolean {
    return this.#connected;
  }

  /**
   * Why there is no connection, as the last attempt found; null while there is one, and before the first has failed.
   */
  get fault(): string | null {
    return this.#fault;
  }

  start(): void {
    this.#running = this.#run();
  }

  /** Ends the present link and tries no more. */
  async close(): Promise<void> {
    this.#stop.abort();
    this.#link?.close();
    await this.#running;
  }

  async #run(): Promise<void> {
    const { signal } = this.#stop;
    while (!signal.aborted) {
      const wait = await this.#attempt();
      // Unreferenced: an agent inside another program does not keep it alive.
      await pause(timerDelay(wait), undefined, { signal, ref: false }).catch(() => undefined);
    }
  }

  /** A certificate is right or wrong by the vehicle's clock, which no agent can mend. */
  #clockHint(fault: string): string {
    if (!/certificate (is not yet valid|has expired)/i.test(fault)) return '';
    return `; this vehicle's clock says ${new Date(this.#options.now()).toISOString()}. If that is wrong, flags go on by their age, and the connection comes by itself once the clock is right`;
  }

  /** One link from beginning to end. Resolves to the milliseconds to wait before the next; never rejects. */
  async #attempt(): Promise<number> {
    const { url, route, timings, backoff, log } = this.#options;
    const startedAt = performance.now();
    let acknowledged = false;
    try {
      const { token } = await this.#options.credential();
      if (this.#stop.signal.aborted) return 0;
      const link = new GatewayLink(url, token, timings, route);
      this.#link = link;
      await link.acknowledged.catch(() => undefined);
      acknowledged = this.#connected = await isUp(link);
      if (acknowledged) {
        this.#fault = null;
        log('info', `connected to ${url}`);
        await this.#options.use(link);
      }
      const { code, reason: cause } = await link.ended;
      const reason = `${cause}${this.#clockHint(cause)}`;
      this.#fault = reason || `closed with code ${code}`;
      if (!this.#stop.signal.aborted)
        log('warn', acknowledged ? 'connection lost' : 'connection failed', { code, reason });
      if (REFUSED_CODES.has(code)) return backoff.nextSlow();
    } catch (error) {
      this.#fault = `${describeError(error)}${this.#clockHint(describeError(error))}`;
      log('warn', `cannot connect: ${this.#fault}`);
    } finally {
      this.#link?.terminate('done');
      this.#link = null;
      this.#connected = false;
    }
    if (acknowledged && performance.now() - startedAt >= this.#options.stableMs) backoff.reset();
    return backoff.next();
  }
}

/** Whether an acknowledged link has not ended meanwhile. */
function isUp(link: GatewayLink): Promise<boolean> {
  return Promise.race([
    link.ended.then(() => false),
    link.acknowledged.then(
      () => true,
      () => false,
    ),
  ]);
}
