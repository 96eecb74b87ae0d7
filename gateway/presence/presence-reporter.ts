/**
 * Reports to the vehicles subgraph which vehicles are connected to this gateway. Changes are reported about every
 * second; without changes, a report renews the gateway's lease. Reports build on each other. Where one may be lost, the
 * next contains its changes; where the subgraph does not know this gateway, the next contains all vehicles. Source:
 * docs/decisions/streams/presence.md.
 */
import { randomUUID } from 'node:crypto';
import { backoffMs } from '../../core/async/backoff.ts';
import { Poller } from '../../core/async/poller.ts';
import { withTimeout } from '../../core/async/timeout.ts';
import { unattended } from '../../core/last-handler/unattended.ts';
import type { PresenceReport } from '../../core/wire/subgraph/presence-report.ts';
import type { SubgraphConnection } from '../../core/wire/subgraph/subgraph.ts';
import type { GatewayLogger } from '../context.ts';
import { gatewayIdentity } from '../credentials/gateway-identity.ts';
import { ConnectedVehicles } from './connected-vehicles.ts';

/**
 * Sends a report. Resolves to false where this gateway has to report all vehicles again. Rejects where the report may
 * or may not have been stored.
 */
export type SendReport = (report: PresenceReport) => Promise<boolean>;

/** The timings of a reporter, and the size of its reports. */
export interface ReporterTimes {
  /** The time between two reports while there are changes. */
  readonly intervalMs: number;
  /** The time between two reports while there are no changes; a third of the lease. */
  readonly renewalMs: number;
  /** The time until a failed report is sent again; doubled each time, up to `renewalMs` / 2. */
  readonly retryMs: number;
  /** The time for which a stopping gateway waits for its last report. */
  readonly lastReportMs: number;
  /** The most vehicles of a report: few enough for a busy database to write them within all timeouts. */
  readonly batch: number;
}

/** The times of a real gateway. */
export const REPORTER_TIMES: ReporterTimes = {
  intervalMs: 1_000,
  renewalMs: 10_000,
  retryMs: 1_000,
  lastReportMs: 2_000,
  batch: 5_000,
};

const MUTATION =
  'mutation ReportPresence($gateway: ID!, $sequence: Int!, $since: Int!, $opened: [String!]!, $closed: [String!]!, $leaving: Boolean!) { reportPresence(gateway: $gateway, sequence: $sequence, since: $since, opened: $opened, closed: $closed, leaving: $leaving) }';

/** Makes the function that sends reports to the vehicles subgraph, with the gateway's own identity. */
export function createSendReport(vehicles: SubgraphConnection): SendReport {
  return async (report) => {
    const { data, errors } = await vehicles.execute({
      query: MUTATION,
      variables: { ...report },
      identity: gatewayIdentity(),
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

  /** Starts reporting. */
  start(): void {
    unattended(this.#poller.start(this.times.intervalMs), 'Reporting the connected vehicles');
  }

  /**
   * Reports that no vehicle is connected here now. Resolves when the report is stored or has failed, or after
   * `lastReportMs`; never rejects.
   */
  async close(): Promise<void> {
    const reported = this.#poller.close();
    const leave = async () => {
      await reported;
      await this.#leave();
    };
    // A late report is no failure: the lease expires a little later, with the same result.
    await withTimeout(this.times.lastReportMs, 'The last report was not stored in time.', leave).catch(() => undefined);
  }

  /**
   * Sends a report if vehicles have come or gone, or the lease is due for renewal. Resolves to the milliseconds until
   * the next poll; never rejects.
   */
  async #poll(): Promise<number> {
    const due = this.#sequence > 0 && performance.now() - this.#sentAt >= this.times.renewalMs;
    return this.vehicles.hasNews || due ? this.#report() : this.times.intervalMs;
  }

  /** Sends one report. Resolves to the milliseconds until the next poll; never rejects. */
  async #report(): Promise<number> {
    const { intervalMs, renewalMs, retryMs, batch } = this.times;
    const news = this.vehicles.takeNews(batch);
    const sequence = ++this.#sequence;
    this.#sentAt = performance.now();
    try {
      if (await this.send({ gateway: this.#gateway, sequence, since: this.#stored, ...news, leaving: false }))
        this.#stored = sequence;
      else this.#startOver();
      if (this.#failures > 0) this.logger.info({}, 'Can report connected vehicles again');
      this.#failures = 0;
      return news.opened.length + news.closed.length === batch ? 0 : intervalMs;
    } catch (error) {
      this.vehicles.giveBack(news);
      this.#failures += 1;
      if (this.#failures === 1)
        this.logger.warn(
          { err: error, gateway: this.#gateway },
          'Cannot report connected vehicles to the vehicles subgraph; trying again until it answers',
        );
      return backoffMs(this.#failures, { baseMs: retryMs, capMs: renewalMs / 2 });
    }
  }

  /** Starts over with another id, so that an earlier report that is still on its way does not count. */
  #startOver(): void {
    this.#gateway = randomUUID();
    this.#sequence = this.#stored = 0;
    this.vehicles.reportAll();
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
