/** The comparison of two arms by the evidence that their experiment has gathered so far, as results show it. */
import { pValueOf } from './accumulated-evidence.ts';
import { logOfDirection, type EffectEvidence, type EffectPlan, type Ends } from './effect-evidence.ts';
import type { Arms, Missing } from '../moments.ts';
import type { Interval } from '../welch/welch.ts';

/** The evidence that a running experiment has gathered. */
export interface GatheredEvidence {
  /** The evidence of all looks together, with the latest one. */
  readonly evidence: EffectEvidence;
  /** The plan of the bets; null while the metric has no range, when nothing was bet. */
  readonly plan: EffectPlan | null;
}

/** The numbers of the sequential test. */
export interface SequentialComparison {
  readonly pValue: number | Missing;
  /** The interval of the difference, in the metric's unit. */
  readonly differenceInterval: Interval | Missing;
  /** The interval of the improvement, in percent. */
  readonly confidenceInterval: Interval | Missing;
  /** The direction that is shown; null where none is, or both are at different times. */
  readonly shown: 'higher' | 'lower' | null;
  readonly significant: boolean;
}

const percentOf = (ratio: number) => 100 * (ratio - 1);

function between([low, high]: Ends, least: number, most: number, reason: Missing): Interval | Missing {
  const ends: Interval = [low ?? least, high ?? most];
  if (!ends.every(Number.isFinite)) return reason;
  return ends[0] < ends[1] ? ends : 'contradictory';
}

/**
 * Gives the numbers of the sequential test.
 *
 * @param vehicles the number of vehicles that count in each arm
 */
export function compareSequentially(
  { evidence, plan }: GatheredEvidence,
  vehicles: Arms<number>,
  confidenceLevel: number,
): SequentialComparison {
  const { logHigher, logLower, ratio, difference } = evidence;
  const needed = logOfDirection(1 - confidenceLevel);
  const [higher, lower] = [logHigher > needed, logLower > needed];
  const significant = higher || lower;
  const none = plan === null ? 'too-early' : vehicles.control + vehicles.treatment === 0 ? 'too-few-vehicles' : null;
  if (plan === null || none !== null) {
    const reason = none ?? 'too-early';
    return { pValue: reason, differenceInterval: reason, confidenceInterval: reason, shown: null, significant };
  }
  const { low, high } = plan.range;
  const ratios = plan.binary || low >= 0 ? between(ratio, 0, Infinity, 'unbounded') : 'control-mean-near-zero';
  return {
    pValue: pValueOf(Math.max(logHigher, logLower) - Math.LN2),
    differenceInterval: plan.binary ? 'ratio-only' : between(difference, low - high, high - low, 'unbounded'),
    confidenceInterval: typeof ratios === 'string' ? ratios : [percentOf(ratios[0]), percentOf(ratios[1])],
    shown: higher === lower ? null : higher ? 'higher' : 'lower',
    significant,
  };
}
