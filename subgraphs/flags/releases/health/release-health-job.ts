/**
 * The health gate: halts releases under which too many vehicles report faults, compared with the vehicles that keep the
 * stable content, or whose guards are crossed. Every flags instance runs one; a halt is about one release, so the
 * second of two finds nothing to do. Source: releases.md, "The health gate"; docs/decisions/flags/health-gate.md.
 */
import type { Logger } from 'pino';
import { Poller } from '../../../../core/async/poller.ts';
import { unattended } from '../../../../core/last-handler/unattended.ts';
import type { JsonObject } from '../../../../core/model.ts';
import { isPastFaultLimit, type FaultFigures } from '../../../../core/releases/fault-limit.ts';
import type { PrismaClient } from '../../../../prisma/generated/client.ts';
import { TRANSACTION } from '../../changes/change.ts';
import { findFlagsById } from '../../flags/reading/flag-reads.ts';
import { releaseUnderWay, type FlagRelease } from '../flag-release.ts';
import { ReleaseGuardEnforcer } from '../release-guard-enforcer.ts';
import { faultFigures, faultyReleases, type FaultyRelease } from './release-faults.ts';
import { releaseIdentity } from '../release-stage-job.ts';
import { faultsReason } from '../release-reasons.ts';
import { haltWithin, type HaltLane } from '../release-steps.ts';

/** The milliseconds between two readings of the faults of all releases, which are one statement. */
const POLL_INTERVAL_MS = 2_000;
/** The milliseconds after which the fleet is counted again although no further vehicle is faulty. */
const RECOUNT_MS = 30_000;

/** Gives the data of a halt for the audit log. */
function recordOf({ ring, rest }: FaultFigures, release: FlagRelease): JsonObject {
  const { maximumFaultyVehicles, maximumFaultyPercent } = release;
  return { faults: { ring: { ...ring }, rest: { ...rest }, maximumFaultyVehicles, maximumFaultyPercent } };
}

/** Polls for releases under which too many vehicles report faults, or whose guards are crossed, and halts them. */
export class ReleaseHealthJob {
  readonly #poller = new Poller(() => this.#poll());
  readonly #guards: ReleaseGuardEnforcer;
  /** The releases that were counted and are within their limits: with how many faulty vehicles, and when. */
  #counted = new Map<string, { readonly faulty: number; readonly atMs: number }>();

  constructor(
    private readonly prisma: PrismaClient,
    /** The connections of kill switches: a halt waits for no other change. */
    private readonly haltLane: HaltLane,
    private readonly logger: Logger,
  ) {
    this.#guards = new ReleaseGuardEnforcer(prisma, haltLane, logger);
  }

  /** Polls at once, because faults may have come while nothing ran, and then every two seconds. */
  start(): void {
    unattended(this.#poller.start(), 'Polling for releases with faults');
  }

  /** Stops polling. Waits for a halt in progress. */
  close(): Promise<void> {
    return this.#poller.close();
  }

  /**
   * Checks every release under way, once.
   *
   * @returns the number of releases that this instance has halted
   */
  async run(): Promise<number> {
    const crossed = await this.#guards.enforce();
    const faulty = await faultyReleases(this.prisma);
    const ids = new Set(faulty.map(({ id }) => id));
    this.#counted = new Map([...this.#counted].filter(([id]) => ids.has(id)));
    let halted = crossed;
    for (const release of faulty) {
      if (this.#poller.closed) break;
      // A release that fails must not stop the others.
      const done = await this.#check(release).catch((err: unknown) => {
        this.logger.warn({ err, release: release.id }, 'Cannot check the faults under a release; trying again');
        return false;
      });
      if (done) halted += 1;
    }
    return halted;
  }

  async #poll(): Promise<number> {
    try {
      await this.run();
    } catch (error) {
      this.logger.warn(
        { err: error },
        'Cannot read the faults of vehicles or the verdicts of guards; releases are not halted until that succeeds',
      );
    }
    return POLL_INTERVAL_MS;
  }

  /** Halts a release if it is past its limits. Gives whether this instance has halted it. */
  async #check({ id, flagId, faulty }: FaultyRelease): Promise<boolean> {
    const before = this.#counted.get(id);
    const now = performance.now();
    if (before?.faulty === faulty && now - before.atMs < RECOUNT_MS) return false;
    const [flag] = await findFlagsById(this.prisma, [flagId]);
    const release = await releaseUnderWay(this.prisma, flagId);
    if (flag === undefined || release?.id !== id) return false;
    // Vehicles are counted before the flag is locked: a kill switch must not wait for that.
    const figures = await faultFigures(this.prisma, flag, release);
    if (!isPastFaultLimit(figures, release)) {
      this.#counted.set(id, { faulty, atMs: now });
      return false;
    }
    const identity = releaseIdentity();
    const { changes, prisma } = this.haltLane;
    const after = await prisma.$transaction(
      (tx) => haltWithin(tx, changes, identity, release, faultsReason(figures), recordOf(figures, release)),
      TRANSACTION,
    );
    if (after === null) return false;
    changes.announce([after.environment], true, identity.origin.requestId);
    this.logger.warn(
      { flag: after.key, ...recordOf(figures, release) },
      'A release is halted: too many vehicles report faults',
    );
    return true;
  }
}
