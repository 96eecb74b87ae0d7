/**
 * Moves releases to their next stage when they are due. Every flags instance runs one. The flag's lock lets only one of
 * them make a step, and the stage is written in the same transaction, so each is made exactly once, whichever process
 * is killed. An instance leaves stages from before its start to the others for a minute, and also after an outage of
 * the database or a jump of its clock, so that time that nobody has watched is no soak. Source:
 * docs/decisions/flags/staged-releases.md.
 */
import { randomUUID } from 'node:crypto';
import type { Logger } from 'pino';
import { unattended } from '../../../core/last-handler/unattended.ts';
import { Poller } from '../../../core/async/poller.ts';
import type { CallerIdentity } from '../../../core/access/caller.ts';
import { isKilled } from '../../../core/evaluation/rules/kill-switch.ts';
import type { PrismaClient } from '../../../prisma/generated/client.ts';
import { rowCount } from '../../shared/postgres/rows.ts';
import { TRANSACTION, type FlagChanges } from '../changes/change.ts';
import type { Flag } from '../flags/flag.ts';
import { lockFlag } from '../flags/flag-store.ts';
import { findFlagsById } from '../flags/reading/flag-reads.ts';
import type { Clock } from '../rollouts/database-clock.ts';
import {
  dueReleases,
  holdRelease,
  nextReleaseDueAfter,
  holdUnchecked,
  correctReleaseTimes,
  releaseUnderWay,
  type FlagRelease,
} from './flag-release.ts';
import { isTooFaulty } from './health/release-faults.ts';
import { guardsObstacle } from './release-guards.ts';
import { HOLD_REASONS } from './release-reasons.ts';
import { ringReports } from './release-reports.ts';
import { completeRelease, moveRelease, releasedFlag, stageAfter } from './release-steps.ts';

/** The longest delay, in milliseconds, until this instance sees a release that another one has started. */
const POLL_INTERVAL_MS = 1_000;
/** The milliseconds after which a release that holds is checked again. */
const HOLD_MS = 5_000;

/**
 * The milliseconds for which an instance has to have watched before it moves on a stage that began earlier. What
 * vehicles saw while nothing ran has to arrive first: an agent connects again within 30 seconds, sends its faults
 * within 5 and a heartbeat within 60.
 */
const CATCH_UP_MS = 60_000;

/** Gives the identity of the control plane itself. The audit log has the person whose change it is. */
export const releaseIdentity = (): CallerIdentity => ({
  caller: { kind: 'gateway' },
  origin: { ipAddress: null, userAgent: 'FleetFlag releases', requestId: randomUUID() },
});

/** Gives the reason why a release cannot go on; null where it can. */
async function obstacle(prisma: PrismaClient, flag: Flag, release: FlagRelease): Promise<string | null> {
  if (isKilled(flag.rules)) return HOLD_REASONS.killed;
  if (!flag.enabled) return HOLD_REASONS.disabled;
  const { needed, reported, evaluated } = await ringReports(prisma, flag, release);
  if (reported < needed) return HOLD_REASONS.silent(reported, needed);
  if (evaluated < needed) return HOLD_REASONS.unevaluated(evaluated, needed);
  // The health gate reads faults every few seconds, and would be too late for a stage that is due now.
  return (await isTooFaulty(prisma, flag, release)) ? HOLD_REASONS.faulty : null;
}

/** Polls for releases that are due, and moves them on. */
export class ReleaseStageJob {
  readonly #poller = new Poller(() => this.#poll());
  /**
   * The times, by the database's clock, since which this instance has watched without a gap, and until when; null
   * before the first poll.
   */
  #watched: { readonly since: number; readonly until: number } | null = null;

  constructor(
    private readonly prisma: PrismaClient,
    private readonly changes: FlagChanges,
    private readonly clock: Clock,
    private readonly logger: Logger,
  ) {}

  /** Polls at once, and then whenever a stage is due. */
  start(): void {
    unattended(this.#poller.start(), 'Polling for releases that are due');
  }

  /** Stops polling. Waits for a step in progress. */
  close(): Promise<void> {
    return this.#poller.close();
  }

  /**
   * Checks every release that is due, once. Flags that another transaction is changing are left to the next poll.
   *
   * @param at the time for which releases are due; by default the present one
   * @param begunFrom leaves out stages that began before; null for none
   * @returns the number of stages and ends that this instance has made
   */
  async runDue(at?: Date, begunFrom: Date | null = null): Promise<number> {
    let made = 0;
    const now = at ?? (await this.clock(this.prisma));
    await correctReleaseTimes(this.prisma, now, CATCH_UP_MS);
    for (const due of await dueReleases(this.prisma, now, begunFrom)) {
      if (this.#poller.closed) break;
      // A release that fails must not stop the others.
      const done = await this.#moveOn(due.flagId).catch((err: unknown) => {
        this.logger.warn({ err, release: due.id }, 'Cannot move a release on; trying again');
        return false;
      });
      if (done) made += 1;
    }
    return made;
  }

  /**
   * Checks what this instance has watched for long enough at a time. What it has not is left to instances that have;
   * where there is none, it holds, and says why.
   *
   * @param now the time by the database's clock
   * @returns the number of stages and ends that this instance has made
   */
  async runWatched(now: Date): Promise<number> {
    const since = this.#watchedSince(now.getTime());
    if (now.getTime() - since.getTime() >= CATCH_UP_MS) return this.runDue(now);
    await holdUnchecked(this.prisma, new Date(now.getTime() - HOLD_MS), since, HOLD_REASONS.unseen);
    return this.runDue(now, since);
  }

  /**
   * Gives the time since which this instance has watched. It begins again where the database could not be read for
   * long, or its clock was set forward.
   */
  #watchedSince(now: number): Date {
    const hasGap = this.#watched === null || now - this.#watched.until > CATCH_UP_MS;
    const since = this.#watched === null || hasGap ? now : Math.min(this.#watched.since, now);
    this.#watched = { since, until: now };
    return new Date(since);
  }

  async #poll(): Promise<number> {
    let waitMs = POLL_INTERVAL_MS;
    try {
      // One reading decides for both: a clock that is set forward between two would count as a soak.
      const polled = await this.clock(this.prisma);
      await this.runWatched(polled);
      const now = await this.clock(this.prisma);
      const next = await nextReleaseDueAfter(this.prisma, now);
      if (next !== null) waitMs = Math.min(waitMs, next.getTime() - now.getTime() + 1);
    } catch (error) {
      this.logger.warn({ err: error }, 'Cannot read releases; stages that are due wait for the next attempt');
    }
    return waitMs;
  }

  /** Makes a flag's next step if that is due. Gives false where it holds, or the flag's lock was taken. */
  async #moveOn(flagId: string): Promise<boolean> {
    const [flag] = await findFlagsById(this.prisma, [flagId]);
    const seen = await releaseUnderWay(this.prisma, flagId);
    if (flag === undefined || seen === null) return false;
    // Vehicles are counted before the flag is locked: a kill switch must not wait for that.
    const why = await obstacle(this.prisma, flag, seen);
    const after = await this.prisma.$transaction(async (tx): Promise<Flag | null> => {
      const free = await rowCount(tx)`SELECT id FROM flags WHERE id = ${flagId}::uuid FOR UPDATE SKIP LOCKED`;
      const of = free === 0 ? null : await releasedFlag(tx, await lockFlag(tx, { id: flagId }));
      const now = await this.clock(tx);
      // The counts are about this state of the flag only.
      if (of === null || of.flag.revision !== flag.revision || of.release.id !== seen.id) return null;
      if (of.release.dueAt === null || of.release.dueAt > now) return null;
      const hold = why ?? (await guardsObstacle(tx, of.release, now));
      if (hold !== null) {
        await holdRelease(tx, seen.id, hold, new Date(now.getTime() + HOLD_MS));
        return null;
      }
      const next = stageAfter(of.release, of.flag.release.percentage);
      return next === undefined
        ? completeRelease(tx, this.changes, releaseIdentity(), of)
        : moveRelease(tx, this.changes, releaseIdentity(), of, next.percentage, 'ADVANCE_RELEASE');
    }, TRANSACTION);
    if (after === null) return false;
    this.changes.announce([after.environment]);
    return true;
  }
}
