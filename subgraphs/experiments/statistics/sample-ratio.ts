/**
 * Sample-ratio mismatch: do the arms' sizes fit the shares that were planned? The test is sequential
 * (evidence/split-evidence.ts), so it may be read at any time, and its epochs multiply.
 */
import { pValueOf } from './evidence/accumulated-evidence.ts';
import { logSplitEvidence, type Split } from './evidence/split-evidence.ts';

/** The check's outcome. */
export interface SampleRatio {
  /** 1 / max E: at all looks together below 0.001 with at most that probability. */
  readonly pValue: number;
  readonly detected: boolean;
}

/** The e-value from which the split is a mismatch. A check that always runs must hardly ever be wrong. */
const MISMATCH_FROM = 1_000;

/**
 * Gives the logarithm of the evidence that chance does not explain the vehicles' split, over all looks: a finite
 * number.
 *
 * @param epochs the vehicles of each time in which the planned shares stayed the same. A vehicle in an arm for which
 * none was planned is a mismatch
 * @param earlier the greatest of the looks before; 0 without any
 */
export function logOfSplits(epochs: readonly Split[], earlier = 0): number {
  const log = epochs.reduce((sum, epoch) => sum + logSplitEvidence(epoch), 0);
  return Math.min(Number.MAX_VALUE, Math.max(earlier, log));
}

/**
 * Checks whether chance explains the vehicles' split, at this look and at those before: what has been detected stays
 * so.
 */
export function sampleRatio(epochs: readonly Split[], earlier = 0): SampleRatio {
  const log = logOfSplits(epochs, earlier);
  return { pValue: pValueOf(log), detected: log >= Math.log(MISMATCH_FROM) };
}
