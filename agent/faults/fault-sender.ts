/**
 * Sends faults over one link, within seconds. The control plane keeps one row for each fault, so that a fault may be
 * sent again after a lost answer.
 */
import type { Backoff } from '../../core/async/backoff.ts';
import { membersOf } from '../../core/json/json-value.ts';
import { MAX_REPORTED_FAULTS } from '../../core/wire/vehicle/fault.ts';
import { describeError, type Log } from '../log.ts';
import { RequestRefused, retryAfterMs, type GatewayLink } from '../link/gateway-link.ts';
import { LinkWait } from '../link/link-wait.ts';
import type { KeptFault } from './fault-log.ts';
import type { VehicleFaults } from './vehicle-faults.ts';

/** The operation that reports faults. */
export const REPORT_FAULTS_MUTATION = 'mutation Faults($input: FaultReportInput!) { reportFaults(input: $input) }';

/** The path by which a refusal names a fault in the report. */
const FAULT_FIELD = /^input\.faults\.(\d+)(\.|$)/;

/** The pause, in milliseconds, while no fault waits. A new fault ends it. */
const IDLE_MS = 3_600_000;

/** The options of a sender. */
export interface FaultSenderOptions {
  readonly link: Pick<GatewayLink, 'request' | 'ended'>;
  readonly faults: Pick<VehicleFaults, 'waiting' | 'sent' | 'discard' | 'onNewFault'>;
  /** The longest random wait, in milliseconds, between a fault and its report. It spreads the reports of a fleet. */
  readonly spreadMs: number;
  /** The waits after a request that may soon succeed. */
  readonly backoff: Backoff;
  /** The waits after a refusal that would meet every report, such as that of a vehicle that is not registered. */
  readonly rare: Backoff;
  /** A source of random numbers, uniform in [0, 1). */
  readonly random: () => number;
  readonly log: Log;
}

/** Sends the faults of a vehicle while a link lasts. */
export class FaultSender {
  readonly #options: FaultSenderOptions;
  readonly #wait: LinkWait;
  #fault: string | null = null;
  /** Whether the present pause is that without a fault to send. */
  #isIdle = false;

  constructor(options: FaultSenderOptions) {
    this.#options = options;
    this.#wait = new LinkWait(options.link.ended);
  }

  /** Runs until the link ends; never rejects. */
  async run(): Promise<void> {
    const { faults } = this.#options;
    // After a failed report, a new fault waits for the next attempt, unless no attempt is due because nothing waited.
    faults.onNewFault(() => {
      if (this.#isIdle || this.#fault === null) this.#wait.shorten(this.#spread());
    });
    let wait = this.#spread();
    while (!this.#wait.ended) {
      this.#isIdle = faults.waiting.length === 0;
      await this.#wait.pause(this.#isIdle ? IDLE_MS : wait);
      this.#isIdle = false;
      if (this.#wait.ended) return;
      const report = faults.waiting.slice(0, MAX_REPORTED_FAULTS);
      wait = report.length > 0 ? await this.#send(report) : this.#spread();
    }
  }

  #spread(): number {
    return this.#options.spreadMs * this.#options.random();
  }

  /** Sends a report. Resolves to the milliseconds until the next report. */
  async #send(report: readonly KeptFault[]): Promise<number> {
    const { link, faults, backoff, rare } = this.#options;
    const input = {
      faults: report.map(({ flagKey, revision, kind, message, at }) => ({
        flagKey,
        revision,
        kind: kind.toUpperCase(),
        message,
        occurredAt: new Date(at * 1_000).toISOString(),
      })),
    };
    try {
      const { reportFaults } = membersOf(await link.request(REPORT_FAULTS_MUTATION, { input }));
      if (reportFaults !== true) {
        this.#failed('this vehicle is not registered');
        return rare.nextWhole();
      }
      faults.sent(report);
      backoff.reset();
      rare.reset();
      this.#fault = null;
      return this.#spread();
    } catch (error) {
      if (this.#wait.ended) return 0;
      this.#failed(describeError(error));
      return this.#afterRefusal(error, report);
    }
  }

  /** Logs why a report was not accepted. The same reason is logged once. */
  #failed(reason: string): void {
    if (reason !== this.#fault) this.#options.log('warn', `cannot report faults; trying again later: ${reason}`);
    this.#fault = reason;
  }

  /** Drops the faults that would be refused at every attempt. Gives the milliseconds until the next attempt. */
  #afterRefusal(error: unknown, report: readonly KeptFault[]): number {
    const { faults, backoff, rare, random } = this.#options;
    if (error instanceof RequestRefused && error.isAboutInput) {
      const position = FAULT_FIELD.exec(error.field ?? '')?.[1];
      for (const fault of position === undefined ? report : report.slice(Number(position), Number(position) + 1))
        faults.discard(fault);
      return backoff.next();
    }
    // An older control plane does not know this operation, and may be updated later; the faults stay until then.
    if (error instanceof RequestRefused && !error.mayPassSoon) return rare.nextWhole();
    return Math.max(retryAfterMs(error, random) ?? 0, backoff.next());
  }
}
