/**
 * Sample-ratio mismatch: do the arms' sizes fit the shares that were planned? The test is sequential
 * (evidence/split-evidence.ts), so it may be read at any time, and the e-values of its epochs multiply.
 */
import { logThreshold, pValueOf } from './evidence/accumulated-evidence.ts';
import { logSplitEvidence, type Split } from './evidence/split-evidence.ts';

/** The check's outcome. */
export interface SampleRatio {
  /** 1 / max E. Where the split is by chance, the probability that any look gives 0.001 or less is at most 0.001. */
  readonly pValue: number;
  readonly detected: boolean;
}

/** The log evidence from which the split is a mismatch. A check that always runs must hardly ever be wrong. */
const MISMATCH_FROM = logThreshold(1 / 1_000);

/**
 * Gives the logarithm of the evidence that chance does not explain the vehicles' split, over all looks: a finite
 * number.
 *
 * @param epochs the vehicles of each epoch, in which the planned shares stay the same. A vehicle in an arm with no
 * planned share is a mismatch
 * @param earlier the greatest logarithm of the earlier looks; 0 where there were none
 */
export function logOfSplits(epochs: readonly Split[], earlier = 0): number {
  const log = epochs.reduce((sum, epoch) => sum + logSplitEvidence(epoch), 0);
  return Math.min(Number.MAX_VALUE, Math.max(earlier, log));
}

/**
 * Checks whether chance explains the vehicles' split, at this look and at those before: a detected mismatch stays
 * detected.
 */
export function sampleRatio(epochs: readonly Split[], earlier = 0): SampleRatio {
  const log = logOfSplits(epochs, earlier);
  return { pValue: pValueOf(log), detected: log >= MISMATCH_FROM };
}
