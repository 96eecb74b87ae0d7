/**
 * The test of a running experiment: bets against every possible effect, in both directions, each with half of α. The
 * interval is what they do not exclude, so it never contradicts the test of "no effect", which is one of them.
 *
 * Bets on a higher mean than the limit allows exclude the limit and all below it, those on a lower mean all above. The
 * limits on a ladder are tried from the far end, and what comes after the first that is not excluded is not excluded
 * either: so the excluded limits have no gaps, and where that matters, the test is only safer. Between two of the
 * ladder's limits the end of the interval is found by bisection.
 */
import type { Arms } from '../moments.ts';
import { logThreshold } from './accumulated-evidence.ts';
import type { Direction, FrozenRange, Mixture } from './bets.ts';
import { eventBets } from './event-bets.ts';
import { meanBets } from './mean-bets.ts';
import { logEvidenceAt, type VehiclesAtPlace } from './places.ts';

/** The draw of vehicles that is compared, and how their numbers are read. */
export interface EffectPlan {
  /** Whether the numbers are 0 or 1: then the bets are on the arm of each event. */
  readonly binary: boolean;
  /** The share of the vehicles that was drawn for the treatment. */
  readonly share: number;
  readonly range: FrozenRange;
}

/** The ends of the effects that are not excluded; null where nothing is excluded on that side. */
export type Ends = readonly [low: number | null, high: number | null];

/** The result of the bets at one look, or at all looks so far. */
export interface EffectEvidence {
  /** The logarithms of the evidence that the treatment's mean is higher, and that it is lower, than control's. */
  readonly logHigher: number;
  readonly logLower: number;
  /**
   * The bounds of the ratio of the treatment's mean to control's. Both null where numbers may be below 0: the sign of
   * the mean is open.
   */
  readonly ratio: Ends;
  /**
   * The bounds of the difference of the means, in the metric's unit. Both null for numbers of 0 and 1, whose bets are
   * on the ratio only.
   */
  readonly difference: Ends;
}

/** The evidence before the first vehicle. */
export const NO_EVIDENCE: EffectEvidence = {
  logHigher: 0,
  logLower: 0,
  ratio: [null, null],
  difference: [null, null],
};

type Scale = 'ratio' | 'difference';

const RATIOS = [0.01, 0.05, 0.2, 0.5, 0.7, 0.8, 0.9, 0.95, 1, 1.05, 1.1, 1.25, 1.5, 2, 4, 10, 100];
const PARTS_OF_RANGE = [0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 0.9];
/** Bisections of a step of the ladder: an end is known to a few thousandths of it. */
const BISECTIONS = 8;

const NO_EFFECT: Readonly<Record<Scale, number>> = { ratio: 1, difference: 0 };

function ladderOf(scale: Scale, { low, high }: FrozenRange): readonly number[] {
  if (scale === 'ratio') return RATIOS;
  const above = PARTS_OF_RANGE.map((part) => part * (high - low));
  return [...above.map((shift) => -shift).reverse(), 0, ...above];
}

function betsAgainst(direction: Direction, scale: Scale, limit: number, { binary, share, range }: EffectPlan): Mixture {
  if (binary) return scale === 'ratio' ? eventBets(direction, limit, share) : [];
  return scale === 'ratio' ? meanBets(direction, limit, share, range) : meanBets(direction, 1, share, range, limit);
}

/** Gives the logarithm that the evidence of one direction has to pass. */
export function logOfDirection(alpha: number): number {
  return logThreshold(alpha / 2);
}

/** The vehicles of one look, and the bets on them in one direction. */
interface OneSided {
  readonly scale: Scale;
  /** Starts at the far end, which has the most evidence against it. */
  readonly ladder: readonly number[];
  readonly logAt: (limit: number) => number;
  readonly needed: number;
}

function oneSided(
  direction: Direction,
  scale: Scale,
  places: Arms<readonly VehiclesAtPlace[]>,
  plan: EffectPlan,
  alpha: number,
): OneSided {
  const rising = ladderOf(scale, plan.range);
  return {
    scale,
    ladder: direction === 'higher' ? rising : rising.toReversed(),
    logAt: (limit) => logEvidenceAt(betsAgainst(direction, scale, limit, plan), plan.range, places),
    needed: logOfDirection(alpha),
  };
}

/**
 * Gives the evidence against "no effect": where it would decide, no more than against any limit that is further off.
 */
function logAgainstNoEffect({ scale, ladder, logAt, needed }: OneSided): number {
  const log = logAt(NO_EFFECT[scale]);
  if (!(log > needed)) return log;
  return Math.min(log, ...ladder.slice(0, ladder.indexOf(NO_EFFECT[scale])).map(logAt));
}

/** Gives the end of what the evidence excludes without a gap; null where it excludes nothing. */
function endOf({ ladder, logAt, needed }: OneSided): number | null {
  const index = ladder.findIndex((limit) => !(logAt(limit) > needed));
  const [excluded, open] = [ladder.at(index - 1), ladder[index]];
  if (index === 0 || excluded === undefined) return null;
  return open === undefined ? excluded : between(excluded, open, (limit) => logAt(limit) > needed);
}

/** Gives the end of what is excluded, between a limit that is and one that is not. */
function between(excluded: number, open: number, isExcluded: (limit: number) => boolean): number {
  let [near, far] = [excluded, open];
  for (let bisection = 0; bisection < BISECTIONS; bisection++) {
    const middle = (near + far) / 2;
    if (isExcluded(middle)) near = middle;
    else far = middle;
  }
  return (near + far) / 2;
}

const scalesOf = ({ binary, range }: EffectPlan): Scale[] => [
  ...(binary || range.low >= 0 ? (['ratio'] as const) : []),
  ...(binary ? [] : (['difference'] as const)),
];

/**
 * Gives the evidence against "no effect" of vehicles at one look, which is all that decides.
 *
 * @param alpha 1 minus the confidence level
 */
export function evidenceOfEffect(
  places: Arms<readonly VehiclesAtPlace[]>,
  plan: EffectPlan,
  alpha: number,
): Pick<EffectEvidence, 'logHigher' | 'logLower'> {
  // On both scales the bets are the same where there is no effect; what is further off may differ.
  const least = (direction: Direction) =>
    Math.min(...scalesOf(plan).map((scale) => logAgainstNoEffect(oneSided(direction, scale, places, plan, alpha))));
  return { logHigher: least('higher'), logLower: least('lower') };
}

/** Gives the evidence of vehicles at one look, with the effects that it excludes. */
export function effectEvidence(
  places: Arms<readonly VehiclesAtPlace[]>,
  plan: EffectPlan,
  alpha: number,
): EffectEvidence {
  const logs = evidenceOfEffect(places, plan, alpha);
  const needed = logOfDirection(alpha);
  const end = (direction: Direction, scale: Scale) => {
    const found = endOf(oneSided(direction, scale, places, plan, alpha));
    const decided = (direction === 'higher' ? logs.logHigher : logs.logLower) > needed;
    if (found === null || decided) return found;
    // "No effect" is excluded on both scales or on neither.
    return direction === 'higher' ? Math.min(found, NO_EFFECT[scale]) : Math.max(found, NO_EFFECT[scale]);
  };
  const ends = (scale: Scale): Ends =>
    scalesOf(plan).includes(scale) ? [end('higher', scale), end('lower', scale)] : [null, null];
  return { ...logs, ratio: ends('ratio'), difference: ends('difference') };
}

const narrowest = (one: number | null, other: number | null, of: (...ends: number[]) => number) =>
  one === null || other === null ? (one ?? other) : of(one, other);

const intersection = ([low, high]: Ends, [otherLow, otherHigh]: Ends): Ends => [
  narrowest(low, otherLow, Math.max),
  narrowest(high, otherHigh, Math.min),
];

/** Gives the evidence of two looks together: what one of them has excluded stays excluded. */
export function gathered(one: EffectEvidence, other: EffectEvidence): EffectEvidence {
  return {
    logHigher: Math.max(one.logHigher, other.logHigher),
    logLower: Math.max(one.logLower, other.logLower),
    ratio: intersection(one.ratio, other.ratio),
    difference: intersection(one.difference, other.difference),
  };
}
