/** Releases on a test database: a clock that tests set, a job that tests run, and policies. */
import { SAFETY_LEVELS, type Environment } from '../../../core/model.ts';
import type { CanaryGroup, ReleaseStage } from '../../../core/releases/release-policy.ts';
import type { CallerIdentity } from '../../../core/access/caller.ts';
import { silent } from '../../shared/testing/asking.ts';
import { createFlagChanges } from '../changes/change.ts';
import { findFlagsByKey } from '../flags/reading/flag-reads.ts';
import type { Flag } from '../flags/flag.ts';
import { Prisma } from '../../../prisma/generated/client.ts';
import { RolloutStepJob } from '../rollouts/rollout-step-job.ts';
import { RolloutTransitions } from '../rollouts/rollout-transitions.ts';
import { releasesUnderWay, type FlagRelease } from '../releases/flag-release.ts';
import { ReleaseService } from '../releases/release-service.ts';
import { ReleaseHealthJob } from '../releases/health/release-health-job.ts';
import { ReleaseStageJob } from '../releases/release-stage-job.ts';
import { FlagsUnderTest } from './flags-under-test.ts';

/** Stages of 1, 10 and 100 %, each soaked for a minute. */
export const THREE_STAGES: readonly ReleaseStage[] = [1, 10, 100].map((percentage) => ({
  ...{ percentage, soakMs: 60_000, minimumVehicles: 0 },
}));

/** A running flags subgraph with a job of releases that tests run. */
export class ReleasesUnderTest {
  readonly service: ReleaseService;
  readonly job: ReleaseStageJob;

  private constructor(
    readonly flags: FlagsUnderTest,
    /** Unix milliseconds. */
    readonly clock: { now: number },
  ) {
    this.service = new ReleaseService(flags.prisma, flags.prisma, this.#changes(), {
      changes: this.#changes(),
      prisma: flags.prisma,
    });
    this.job = this.newJob();
  }

  /** Starts the subgraph without its own job. */
  static async start(): Promise<ReleasesUnderTest> {
    const clock = { now: Date.UTC(2027, 0, 4, 9) };
    const flags = await FlagsUnderTest.start({ clock: async () => new Date(clock.now), appliesRollouts: false });
    return new ReleasesUnderTest(flags, clock);
  }

  #changes() {
    const { prisma, signer, bus } = this.flags;
    return createFlagChanges(prisma, signer, bus, silent, new RolloutTransitions(async () => new Date(this.clock.now)));
  }

  /** Ends the releases that other tests have left under way. */
  async endAll(): Promise<void> {
    await this.flags.prisma.release.updateMany({
      where: { endedAt: null },
      data: { status: 'halted', endedAt: new Date() },
    });
  }

  /** Gives the job of another instance. */
  newJob(): ReleaseStageJob {
    return new ReleaseStageJob(this.flags.prisma, this.#changes(), async () => new Date(this.clock.now), silent);
  }

  /** Gives the job of an instance that applies the steps of rollouts. */
  newScheduler(): RolloutStepJob {
    const transitions = new RolloutTransitions(async () => new Date(this.clock.now));
    return new RolloutStepJob(this.flags.prisma, this.#changes(), transitions, silent);
  }

  /** Gives the health gate of an instance. */
  newHealthJob(): ReleaseHealthJob {
    const { prisma } = this.flags;
    return new ReleaseHealthJob(prisma, { changes: this.#changes(), prisma }, silent);
  }

  /** Gives an environment a policy, past the API. */
  async setPolicy(
    environment: Environment,
    stages: readonly ReleaseStage[],
    canary: CanaryGroup | null = null,
  ): Promise<void> {
    const content = {
      safetyLevels: [...SAFETY_LEVELS],
      stages: stages.map((stage) => ({ ...stage })),
      canary:
        canary === null
          ? Prisma.DbNull
          : { vins: [...canary.vins], models: [...canary.models], regions: [...canary.regions] },
    };
    await this.flags.prisma.releasePolicy.upsert({
      where: { environment },
      create: { environment, ...content },
      update: content,
    });
  }

  /** Gives a flag as it is stored. */
  async stored(key: string): Promise<Flag> {
    const [flag] = await findFlagsByKey(this.flags.prisma, [key]);
    if (flag === undefined) throw new Error(`There is no flag ${key}`);
    return flag;
  }

  /** Gives the release of a flag that is under way, or null. */
  async release(key: string): Promise<FlagRelease | null> {
    const { id } = await this.stored(key);
    return (await releasesUnderWay(this.flags.prisma, [id])).get(id) ?? null;
  }

  /** The identity of the person who writes. */
  get writer(): CallerIdentity {
    return {
      caller: this.flags.writer,
      origin: { ipAddress: null, userAgent: null, requestId: '00000000-0000-4000-8000-000000000000' },
    };
  }
}
