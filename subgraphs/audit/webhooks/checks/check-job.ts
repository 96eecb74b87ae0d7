/**
 * Runs the checks at their intervals. Every audit instance runs the job, and the time of the next run in the database
 * lets only one of them run a check.
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

/** The seconds after which a check that failed is run again, where its interval is longer. */
const RETRY_SECONDS = 60;

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
   * Stops checking. Waits for checks in progress; a check that is stopped is due again after a minute, in any instance.
   */
  async close(): Promise<void> {
    await Promise.all(this.#turns.map((poller) => poller.close()));
  }

  /** Runs the checks that are due, all at once. */
  async runDue(): Promise<void> {
    await Promise.all(this.checks.map((check) => this.#runIfDue(check)));
  }

  /** Runs a check if it is due. One that fails is due again after a minute at the latest. Does not reject. */
  async #runIfDue({ name, intervalSeconds, run }: Check): Promise<void> {
    try {
      if (!(await this.#acquire(name, intervalSeconds))) return;
      try {
        await run();
      } catch (error) {
        const seconds = Math.min(RETRY_SECONDS, intervalSeconds);
        this.logger.warn(
          { err: error, check: name },
          `A check for webhooks failed; running it again in about ${seconds} s`,
        );
        await this.prisma.$executeRaw`
          UPDATE webhook_checks SET due_at = now() + make_interval(secs => ${seconds}) WHERE name = ${name}`;
      }
    } catch (error) {
      this.logger.warn(
        { err: error, check: name },
        'Cannot store when a check for webhooks is due; trying again with the next poll',
      );
    }
  }

  /** Moves the time of the next run forward; gives whether this instance was the one to do so. */
  async #acquire(name: string, seconds: number): Promise<boolean> {
    const acquired = await rowsOf(this.prisma, { name: is.string })`
      INSERT INTO webhook_checks (name, due_at) VALUES (${name}, now() + make_interval(secs => ${seconds}))
      ON CONFLICT (name) DO UPDATE SET due_at = excluded.due_at WHERE webhook_checks.due_at <= now() RETURNING name`;
    return acquired.length > 0;
  }
}
