/**
 * Stays connected to the gateway. When a link ends, for whatever reason, it opens the next.
 */
import { describeError, type Log } from '../log.ts';
import { Poller } from '../../core/async/poller.ts';
import { unattended } from '../../core/last-handler/unattended.ts';
import type { Backoff } from '../../core/async/backoff.ts';
import { GatewayLink, type LinkTimings } from './gateway-link.ts';
import type { Route } from './route.ts';
import type { VehicleCredential } from './vehicle-credential.ts';

/** The close codes that mean that the token is not accepted (graphql-transport-ws). */
const REFUSED_CODES = new Set([4401, 4403]);

/** The options of a connection. */
export interface GatewayConnectionOptions {
  readonly url: string;
  readonly route: Route;
  readonly timings: LinkTimings;
  readonly backoff: Backoff;
  /** A source of random numbers, uniform in [0, 1). */
  readonly random: () => number;
  /** The milliseconds that a link must last for the backoff to be reset. */
  readonly stableMs: number;
  readonly log: Log;
  /** The vehicle's clock, in milliseconds since 1970. */
  readonly now: () => number;
  /** Reads the credential before each attempt, because it may be replaced. Rejects where there is no usable one. */
  readonly credential: () => Promise<VehicleCredential>;
  /** Uses an acknowledged link. Resolves when the link has ended. */
  readonly use: (link: GatewayLink) => Promise<void>;
}

/** Keeps a vehicle connected until it is closed. */
export class GatewayConnection {
  readonly #options: GatewayConnectionOptions;
  readonly #poller = new Poller(() => this.#attempt());
  #link: GatewayLink | null = null;
  #connected = false;
  #fault: string | null = null;

  constructor(options: GatewayConnectionOptions) {
    this.#options = options;
  }

  /** Whether there is an acknowledged link. */
  get connected(): boolean {
    return this.#connected;
  }

  /** The reason why the last attempt failed; null while there is a connection, and before the first failure. */
  get fault(): string | null {
    return this.#fault;
  }

  start(): void {
    unattended(this.#poller.start(), 'Connecting to the gateway');
  }

  /** Ends the present link and opens no more. */
  async close(): Promise<void> {
    const ended = this.#poller.close();
    this.#link?.close();
    await ended;
  }

  /** Gives a hint for faults of certificates that a wrong clock of the vehicle may cause; empty for other faults. */
  #clockHint(fault: string): string {
    if (!/certificate (is not yet valid|has expired)/i.test(fault)) return '';
    return `; this vehicle's clock says ${new Date(this.#options.now()).toISOString()}. If that is wrong, set the clock: the agent then connects by itself, and evaluates stored flags until then`;
  }

  /** Opens a link and uses it until it ends. Resolves to the milliseconds to wait before the next; never rejects. */
  async #attempt(): Promise<number> {
    const { url, route, timings, backoff, log } = this.#options;
    const startedAt = performance.now();
    let acknowledged = false;
    try {
      const { token } = await this.#options.credential();
      if (this.#poller.closed) return 0;
      const link = new GatewayLink(url, token, timings, route);
      this.#link = link;
      await link.acknowledged.catch(() => undefined);
      acknowledged = this.#connected = await isUp(link);
      if (acknowledged) {
        this.#fault = null;
        log('info', `connected to ${url}`);
        await this.#options.use(link);
      }
      const { code, reason: cause, retryAfter } = await link.ended;
      const reason = `${cause}${this.#clockHint(cause)}`;
      this.#fault = reason || `closed with code ${code}`;
      if (!this.#poller.closed) log('warn', acknowledged ? 'connection lost' : 'connection failed', { code, reason });
      if (REFUSED_CODES.has(code)) return backoff.nextSlow();
      // A gateway without room gives each vehicle a time of its own. The vehicle comes back within a second after it.
      if (retryAfter !== undefined) return (retryAfter + this.#options.random()) * 1_000;
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

/** Resolves to whether a link is acknowledged and has not ended meanwhile. */
function isUp(link: GatewayLink): Promise<boolean> {
  return Promise.race([
    link.ended.then(() => false),
    link.acknowledged.then(
      () => true,
      () => false,
    ),
  ]);
}
