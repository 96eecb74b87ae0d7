/** The bets by which a guard's limit is tested, and how their sums become evidence. Pure. */
import type { MetricGuard } from '../../../core/rollouts/rollout-guard.ts';
import type { Calibration } from '../settled/calibration.ts';
import { logEvidence, type FrozenRange, type Mixture } from '../statistics/evidence/bets.ts';
import { boundBets } from '../statistics/evidence/bound-bets.ts';
import { eventBets } from '../statistics/evidence/event-bets.ts';
import { meanBets } from '../statistics/evidence/mean-bets.ts';
import type { Arms } from '../statistics/moments.ts';

/** A limit that is tested. Where the sign of the control's mean is open, each sign has its own bets. */
export interface LimitTest {
  /** The percentage by which the treatment may be worse; null for a bound. */
  readonly worsePercent: number | null;
  readonly mixtures: readonly Mixture[];
}

/** The limits that are tested beside the guard's own, to show by how much the treatment is worse at least. */
const SHOWN_LIMITS: readonly number[] = [0, 10, 50, 100, 300];
/** The most by which numbers may lie beyond a bound, in distances of the bound from the end of the range. */
const BOUND_REACH = 10;

/**
 * The range that a guard's metric is cut to, where its limit is a bound. Cutting towards the bound makes it only safer,
 * so only one end has to be known: null where it is not.
 */
export function rangeOfBound(
  { worse, bound }: MetricGuard,
  minimum: number | null,
  maximum: number | null,
): FrozenRange | null {
  const limit = bound ?? 0;
  const end = worse === 'higher' ? minimum : maximum;
  if (end === null) return null;
  const reach = BOUND_REACH * Math.max(Math.abs(limit - end), 1);
  // A number that is not finite could not be stored.
  return worse === 'higher'
    ? { low: end, high: maximum ?? Math.min(limit + reach, Number.MAX_VALUE), centres: [] }
    : { low: minimum ?? Math.max(limit - reach, -Number.MAX_VALUE), high: end, centres: [] };
}

function mixturesOf(guard: MetricGuard, worsePercent: number, share: number, { kind, range }: Calibration): Mixture[] {
  const part = worsePercent / 100;
  const limit = guard.worse === 'higher' ? 1 + part : 1 - part;
  if (kind === 'proportion') return [eventBets(guard.worse, limit, share)];
  // Nothing above 0 is below a share of nothing.
  if (range.low >= 0) return [limit > 0 ? meanBets(guard.worse, limit, share, range) : []];
  // "Worse than control by x %" is of the size of the control's mean, whose sign is open: both readings must fail.
  return [1 + part, 1 - part].map((either) => meanBets(guard.worse, either, share, range));
}

/**
 * Gives the tests of a guard, its own limit first.
 *
 * @param share the share of the compared vehicles that the step moved
 */
export function testsOf(guard: MetricGuard, calibration: Calibration, share: number): LimitTest[] {
  const { bound, maxWorsePercent, worse } = guard;
  if (bound !== null) {
    const end = worse === 'higher' ? calibration.range.low : calibration.maximum;
    return [{ worsePercent: null, mixtures: [boundBets(worse, bound, end)] }];
  }
  const own = maxWorsePercent ?? 0;
  return [own, ...SHOWN_LIMITS.filter((percent) => percent !== own)].map((worsePercent) => ({
    worsePercent,
    mixtures: mixturesOf(guard, worsePercent, share, calibration),
  }));
}

/** Gives all bets of some tests, in order. */
export function betsOf(tests: readonly LimitTest[]): Mixture {
  return tests.flatMap(({ mixtures }) => mixtures.flat());
}

/**
 * Gives the logarithm of the evidence against each limit.
 *
 * @param logs the vehicles' sums for `betsOf(tests)`
 */
export function evidenceOf(tests: readonly LimitTest[], logs: Arms<readonly number[]>): number[] {
  let at = 0;
  return tests.map(({ mixtures }) =>
    Math.min(
      ...mixtures.map((mixture) => {
        const [from, to] = [at, (at += mixture.length)];
        return logEvidence({ control: logs.control.slice(from, to), treatment: logs.treatment.slice(from, to) });
      }),
    ),
  );
}
