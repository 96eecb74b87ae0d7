/**
 * Runs the periodic checks of `checks.ts` at their intervals. Every audit instance runs the job, and the time of the
 * next run in the database lets only one of them run a check. While a check runs, that time is a lease, which the
 * instance renews: where the check fails, or its instance or the database ends, it is due again when the lease is over.
 */
import type { Logger } from 'pino';
import { Poller } from '../../../../core/async/poller.ts';
import { unattended } from '../../../../core/last-handler/unattended.ts';
import { is } from '../../../../core/json/shape.ts';
import type { PrismaClient } from '../../../../prisma/generated/client.ts';
import { rowsOf } from '../../../shared/postgres/rows.ts';

/** One check. */
export interface Check {
  readonly name: string;
  /** Seconds from the start of one run to the next, over all instances. */
  readonly intervalSeconds: number;
  readonly run: () => Promise<void>;
}

/** The polling interval in milliseconds. */
const POLL_INTERVAL_MS = 10_000;

/** The seconds of a lease: within them a check that failed is run again. A shorter interval counts instead. */
const LEASE_SECONDS = 60;

/** Runs checks until it is closed. Each has its own turn: reading the whole audit log may take minutes. */
export class CheckJob {
  readonly #turns: readonly Poller[];

  constructor(
    private readonly prisma: PrismaClient,
    private readonly checks: readonly Check[],
    private readonly logger: Logger,
  ) {
    this.#turns = checks.map(
      (check) =>
        new Poller(async () => {
          await this.#runIfDue(check);
          return POLL_INTERVAL_MS;
        }),
    );
  }

  /** Starts checking, after vehicles have had time to connect again to a control plane that was restarted. */
  start(): void {
    for (const poller of this.#turns) unattended(poller.start(POLL_INTERVAL_MS), 'Checking for webhooks');
  }

  /**
   * Stops checking. Waits for checks in progress; one that fails because the subgraph is closing is due again within a
   * minute, in any instance.
   */
  async close(): Promise<void> {
    await Promise.all(this.#turns.map((poller) => poller.close()));
  }

  /** Runs the checks that are due, all at once. */
  async runDue(): Promise<void> {
    await Promise.all(this.checks.map((check) => this.#runIfDue(check)));
  }

  /** Runs a check if it is due. One that fails is due again within a minute. Does not reject. */
  async #runIfDue({ name, intervalSeconds, run }: Check): Promise<void> {
    const leaseSeconds = Math.min(LEASE_SECONDS, intervalSeconds);
    try {
      const startedAt = await this.#acquire(name, leaseSeconds);
      if (startedAt === null) return;
      const renewMs = (leaseSeconds * 1_000) / 3;
      const renewal = Poller.every(renewMs, () => this.#renew(name, leaseSeconds));
      try {
        unattended(renewal.start(renewMs), 'Renewing the lease of a check for webhooks');
        await run();
      } catch (error) {
        this.logger.warn(
          { err: error, check: name },
          `A check for webhooks failed; running it again within ${leaseSeconds} s`,
        );
        return;
      } finally {
        await renewal.close();
      }
      await this.prisma.$executeRaw`
        UPDATE webhook_checks SET due_at = ${startedAt}::timestamptz + make_interval(secs => ${intervalSeconds})
        WHERE name = ${name}`;
    } catch (error) {
      this.logger.warn(
        { err: error, check: name },
        'Cannot read or store when a check for webhooks is due; trying again with the next polls',
      );
    }
  }

  /** Takes the lease of a check that is due. Gives the present time of the database; null where it is not due. */
  async #acquire(name: string, leaseSeconds: number): Promise<Date | null> {
    const [acquired] = await rowsOf(this.prisma, { at: is.date })`
      INSERT INTO webhook_checks (name, due_at) VALUES (${name}, now() + make_interval(secs => ${leaseSeconds}))
      ON CONFLICT (name) DO UPDATE SET due_at = excluded.due_at WHERE webhook_checks.due_at <= now()
      RETURNING now() AS at`;
    return acquired?.at ?? null;
  }

  /** Extends the lease of a check that is running. A failure may pass before the lease is over. */
  async #renew(name: string, leaseSeconds: number): Promise<void> {
    try {
      await this.prisma.$executeRaw`
        UPDATE webhook_checks SET due_at = now() + make_interval(secs => ${leaseSeconds}) WHERE name = ${name}`;
    } catch (error) {
      this.logger.warn({ err: error, check: name }, 'Cannot renew the lease of a check for webhooks; trying again');
    }
  }
}
