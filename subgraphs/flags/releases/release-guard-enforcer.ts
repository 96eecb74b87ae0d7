/**
 * Halts releases with a guard whose limit is crossed, where the guard says so. Every flags instance does it; a halt is
 * about one release, under the flag's lock, so the second of two finds nothing to do. Source: releases.md, "The health
 * gate"; docs/decisions/flags/release-guards.md.
 */
import type { Logger } from 'pino';
import type { JsonObject } from '../../../core/model.ts';
import type { PrismaClient } from '../../../prisma/generated/client.ts';
import { TRANSACTION } from '../changes/change.ts';
import type { Flag } from '../flags/flag.ts';
import { figuresContent } from '../rollouts/rollout-guard.ts';
import { releaseUnderWay } from './flag-release.ts';
import { crossedReleases, guardsOfReleases, recordedGuard, type WatchedGuardOfRelease } from './release-guards.ts';
import { guardReason } from './release-reasons.ts';
import { releaseIdentity } from './release-stage-job.ts';
import { haltWithin, type HaltLane } from './release-steps.ts';

/** A guard of a release that has found its limit crossed. */
interface CrossedGuard {
  readonly release: { readonly id: string; readonly flagId: string };
  readonly guard: WatchedGuardOfRelease['guard'];
  readonly status: NonNullable<WatchedGuardOfRelease['status']>;
}

/** Gives the data of a halt for the audit log. */
const recordOf = ({ guard, status: { figures, computedAt } }: CrossedGuard): JsonObject => ({
  guard: recordedGuard(guard),
  figures: figuresContent(figures),
  computedAt: computedAt.toISOString(),
});

/** Acts on the verdicts of guards that halt. */
export class ReleaseGuardEnforcer {
  constructor(
    private readonly prisma: PrismaClient,
    /** The connections of kill switches: a halt waits for no other change. */
    private readonly haltLane: HaltLane,
    private readonly logger: Logger,
  ) {}

  /** Halts each release that needs it. Gives the number of releases that this instance has halted. */
  async enforce(): Promise<number> {
    let halted = 0;
    for (const release of await crossedReleases(this.prisma, { action: 'halt' })) {
      // A release that fails must not stop the others.
      const done = await this.#halt(release).catch((err: unknown) => {
        this.logger.error({ err, release: release.id }, 'Cannot halt a release whose guard is crossed; trying again');
        return false;
      });
      if (done) halted += 1;
    }
    return halted;
  }

  async #crossed({ id, flagId }: CrossedGuard['release']): Promise<CrossedGuard | null> {
    const release = await releaseUnderWay(this.prisma, flagId);
    if (release?.id !== id) return null;
    const guards = (await guardsOfReleases(this.prisma, [release])).get(id) ?? [];
    for (const { guard, status } of guards)
      if (status?.verdict === 'crossed' && guard.action === 'halt') return { release: { id, flagId }, guard, status };
    return null;
  }

  async #halt(release: CrossedGuard['release']): Promise<boolean> {
    const crossed = await this.#crossed(release);
    if (crossed === null) return false;
    const identity = releaseIdentity();
    const { changes, prisma } = this.haltLane;
    const reason = guardReason(crossed.guard, crossed.status.figures);
    const after = await prisma.$transaction(
      (tx): Promise<Flag | null> => haltWithin(tx, changes, identity, release, reason, recordOf(crossed)),
      TRANSACTION,
    );
    if (after === null) return false;
    changes.announce([after.environment], true, identity.origin.requestId);
    this.logger.warn({ flag: after.key, ...recordOf(crossed) }, 'A release is halted: a guard is crossed');
    return true;
  }
}
