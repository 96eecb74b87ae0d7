/**
 * The figures of the health gate for people. A count reads the whole fleet, so one runs at a time, and all who ask at
 * the same time or soon after it share it.
 */
import { FleetFlagError } from '../../../../core/errors.ts';
import type { FaultFigures } from '../../../../core/releases/fault-limit.ts';
import type { Reader } from '../../../shared/postgres/transaction.ts';
import { findFlagsById } from '../../flags/reading/flag-reads.ts';
import { releaseUnderWay, type FlagRelease } from '../flag-release.ts';
import { wholeFaultFigures } from './release-faults.ts';

/** The most releases under way whose figures one operation may ask for. */
export const MAX_COUNTED_RELEASES = 10;
/** The least milliseconds for which a count is given again. */
const REUSE_MS = 5_000;
/** A count is given again for this many times as long as it took, so that counting takes a small part of the time. */
const REUSE_FACTOR = 10;

type Release = Pick<FlagRelease, 'id' | 'flagId' | 'revision' | 'endedAt'>;

/** Counts the vehicles of releases under way, and the faulty ones among them, on behalf of all who ask. */
export class ReleaseFigures {
  readonly #counts = new Map<string, Promise<FaultFigures | null>>();
  /** The readings of the clock until which counts are given again. A count that runs has none. */
  readonly #untilMs = new Map<string, number>();
  /** Settles when no count runs. */
  #idle: Promise<unknown> = Promise.resolve();

  constructor(
    private readonly prisma: Reader,
    private readonly nowMs: () => number = () => performance.now(),
  ) {}

  /**
   * Gives the figures of each release; null for one that is no longer under way.
   *
   * @throws LIMIT_EXCEEDED for more than ten releases under way
   */
  async of(releases: readonly Release[]): Promise<(FaultFigures | null)[]> {
    const underWay = new Set(releases.filter(({ endedAt }) => endedAt === null).map(({ id }) => id));
    if (underWay.size > MAX_COUNTED_RELEASES)
      throw new FleetFlagError(
        'LIMIT_EXCEEDED',
        `One operation may ask for the fault figures of at most ${MAX_COUNTED_RELEASES} releases under way.`,
        { limit: MAX_COUNTED_RELEASES },
      );
    const now = this.nowMs();
    for (const [key, untilMs] of this.#untilMs) if (untilMs <= now) this.#forget(key);
    return Promise.all(releases.map(async (release) => (release.endedAt === null ? this.#shared(release) : null)));
  }

  #shared(release: Release): Promise<FaultFigures | null> {
    // At another stage the ring is another one.
    const key = `${release.id} ${release.revision}`;
    const known = this.#counts.get(key);
    if (known !== undefined) return known;
    const figures = this.#idle.then(async () => {
      const beganMs = this.nowMs();
      const counted = await this.#count(release);
      const endedMs = this.nowMs();
      this.#untilMs.set(key, endedMs + Math.max(REUSE_MS, REUSE_FACTOR * (endedMs - beganMs)));
      return counted;
    });
    this.#counts.set(key, figures);
    this.#idle = figures.catch(() => this.#forget(key));
    return figures;
  }

  #forget(key: string): void {
    this.#counts.delete(key);
    this.#untilMs.delete(key);
  }

  async #count({ id, flagId }: Release): Promise<FaultFigures | null> {
    const [flag] = await findFlagsById(this.prisma, [flagId]);
    const release = await releaseUnderWay(this.prisma, flagId);
    return flag === undefined || release?.id !== id ? null : wholeFaultFigures(this.prisma, flag, release);
  }
}
