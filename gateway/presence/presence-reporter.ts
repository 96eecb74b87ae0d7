/**
 * Reports to the vehicles subgraph which vehicles are connected here: changes about every second, and otherwise at
 * least that this gateway lives. Reports build on each other. Where one may be lost, the next contains its changes;
 * where the subgraph does not know this gateway, the next contains all vehicles. Source: docs/decisions/presence.md.
 */
import { randomUUID } from 'node:crypto';
import { backoffMs } from '../../core/async/backoff.ts';
import { Poller } from '../../core/async/poller.ts';
import { withTimeout } from '../../core/async/timeout.ts';
import { unattended } from '../../core/async/unattended.ts';
import type { SubgraphConnection } from '../../core/wire/subgraph.ts';
import type { GatewayLogger } from '../context.ts';
import { ConnectedVehicles } from './connected-vehicles.ts';

/** A report of a gateway to the vehicles subgraph. */
export interface PresenceReport {
  /** The id of the gateway, a UUID. */
  readonly gateway: string;
  readonly sequence: number;
  /** The sequence number of the last report that is known to be stored; 0 for none. */
  readonly since: number;
  readonly opened: readonly string[];
  readonly closed: readonly string[];
  readonly leaving: boolean;
}

/**
 * Sends a report. Resolves to false where this gateway has to report all vehicles again. Rejects where the report may
 * or may not have been stored.
 */
export type SendReport = (report: PresenceReport) => Promise<boolean>;

/** The timings of a reporter, and the size of its reports. */
export interface ReporterTimes {
  /** The milliseconds between two reports while there are changes. */
  readonly interval: number;
  /** The milliseconds between two reports while there are no changes; a third of the lease. */
  readonly renewal: number;
  /** The milliseconds until a failed report is tried again; doubled each time, up to `renewal` / 2. */
  readonly retry: number;
  /** The milliseconds for which a stopping gateway waits for its last report. */
  readonly parting: number;
  /** The most vehicles of a report: few enough for a busy database to write them within all timeouts. */
  readonly batch: number;
}

export const REPORTER_TIMES: ReporterTimes = {
  interval: 1_000,
  renewal: 10_000,
  retry: 1_000,
  parting: 2_000,
  batch: 5_000,
};

const MUTATION =
  'mutation ReportPresence($gateway: ID!, $sequence: Int!, $since: Int!, $opened: [String!]!, $closed: [String!]!, $leaving: Boolean!) { reportPresence(gateway: $gateway, sequence: $sequence, since: $since, opened: $opened, closed: $closed, leaving: $leaving) }';

/** Makes the function that sends reports to the vehicles subgraph, with the gateway's own identity. */
export function reportsTo(vehicles: SubgraphConnection): SendReport {
  return async (report) => {
    const { data, errors } = await vehicles.execute({
      query: MUTATION,
      variables: { ...report },
      identity: { caller: { kind: 'gateway' }, origin: { ipAddress: null, userAgent: null, requestId: randomUUID() } },
    });
    const stored = data?.['reportPresence'];
    if (typeof stored !== 'boolean')
      throw new Error(errors?.[0]?.message ?? 'The vehicles subgraph did not confirm that it has stored the report.');
    return stored;
  };
}

/** Reports the connected vehicles until it is closed. */
export class PresenceReporter {
  readonly vehicles = new ConnectedVehicles();
  #gateway = randomUUID();
  #sequence = 0;
  #stored = 0;
  readonly #poller = new Poller(() => this.#poll());
  #sentAt = -Infinity;
  #failures = 0;

  constructor(
    private readonly send: SendReport,
    private readonly logger: GatewayLogger,
    private readonly times: ReporterTimes = REPORTER_TIMES,
  ) {}

  /** Starts to report. */
  start(): void {
    unattended(this.#poller.start(this.times.interval), 'Reporting the connected vehicles');
  }

  /**
   * Reports that no vehicle is connected here any more. Resolves when the report is stored or has failed, or after
   * `parting` milliseconds; never rejects.
   */
  async close(): Promise<void> {
    const reported = this.#poller.close();
    const leave = async () => {
      await reported;
      await this.#leave();
    };
    // Late is no failure: the lease runs out, and it comes to the same a little later.
    await withTimeout(this.times.parting, 'The last report was not stored in time.', leave).catch(() => undefined);
  }

  /** Reports where there is something to say. Resolves to the milliseconds until the next poll; never rejects. */
  async #poll(): Promise<number> {
    const due = this.#sequence > 0 && performance.now() - this.#sentAt >= this.times.renewal;
    return this.vehicles.hasNews || due ? this.#report() : this.times.interval;
  }

  /** Sends one report. Resolves to the milliseconds until the next poll; never rejects. */
  async #report(): Promise<number> {
    const { interval, renewal, retry, batch } = this.times;
    const news = this.vehicles.takeNews(batch);
    const sequence = ++this.#sequence;
    this.#sentAt = performance.now();
    try {
      if (await this.send({ gateway: this.#gateway, sequence, since: this.#stored, ...news, leaving: false }))
        this.#stored = sequence;
      else this.#beginAnew();
      if (this.#failures > 0) this.logger.info({}, 'Can report connected vehicles again');
      this.#failures = 0;
      return news.opened.length + news.closed.length === batch ? 0 : interval;
    } catch (error) {
      this.vehicles.giveBack(news);
      this.#failures += 1;
      if (this.#failures === 1)
        this.logger.warn(
          { err: error, gateway: this.#gateway },
          'Cannot report connected vehicles to the vehicles subgraph; trying again until it answers',
        );
      return backoffMs(this.#failures, { baseMs: retry, capMs: renewal / 2 });
    }
  }

  /** Begins anew with another id, so that an earlier report that is still on its way does not count. */
  #beginAnew(): void {
    this.#gateway = randomUUID();
    this.#sequence = this.#stored = 0;
    this.vehicles.reportAnew();
  }

  async #leave(): Promise<void> {
    if (this.#sequence === 0) return;
    const report = {
      gateway: this.#gateway,
      sequence: this.#sequence + 1,
      since: this.#stored,
      opened: [],
      closed: [],
      leaving: true,
    };
    // If the report is not stored, the lease expires a little later, with the same result.
    await this.send(report).catch(() => false);
  }
}
