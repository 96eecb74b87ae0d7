/**
 * Sample-ratio mismatch: do the arms' sizes fit the shares that were planned? When they do not, vehicles were lost on
 * the way in one arm more than in the other, and no number of the experiment can be trusted.
 *
 *   χ² = (oT − eT)²/eT + (oC − eC)²/eC,   one degree of freedom
 *
 * Source: Pearson, Philosophical Magazine 50 (1900); as a check of experiments, with its threshold: Fabijan et al.,
 * "Diagnosing Sample Ratio Mismatch in Online Controlled Experiments", KDD 2019. Where an arm is expected to have
 * fewer than five vehicles χ² is no approximation any more (Cochran, Annals of Mathematical Statistics 23, 1952); the
 * exact binomial test, with its smaller tail doubled, takes its place.
 */
import { binomialTails, normalTwoSided } from './distributions.ts';
import type { Arms } from './moments.ts';

/** The check's outcome. */
export interface SampleRatio {
  readonly pValue: number;
  readonly detected: boolean;
}

/** The p-value below which the split is a mismatch. A check that always runs must hardly ever be wrong. */
const MISMATCH_BELOW = 0.001;
const MIN_EXPECTED = 5;

function chiSquareTest(treatment: number, expected: Arms<number>): number {
  // With two arms, both distances are the same except for the sign.
  const distance = treatment - expected.treatment;
  const chiSquare = distance ** 2 / expected.treatment + distance ** 2 / expected.control;
  // With one degree of freedom, χ² is the square of a standard normal variable.
  return normalTwoSided(Math.sqrt(chiSquare));
}

function exactTest({ control, treatment }: Arms<number>, treatmentShare: number): number {
  const { upper, lower } = binomialTails(treatment, control + treatment, treatmentShare);
  return Math.min(1, 2 * Math.min(upper, lower));
}

/**
 * Checks whether chance explains the vehicles' split.
 *
 * @param vehicles the numbers in each arm, without those seen in both
 * @param treatmentShare the planned share of the treatment, 0 to 1. A vehicle in an arm for which none was planned is a
 * mismatch
 */
export function sampleRatio(vehicles: Arms<number>, treatmentShare: number): SampleRatio {
  const total = vehicles.control + vehicles.treatment;
  const expected = { control: total * (1 - treatmentShare), treatment: total * treatmentShare };
  const enough = Math.min(expected.control, expected.treatment) >= MIN_EXPECTED;
  const pValue = enough ? chiSquareTest(vehicles.treatment, expected) : exactTest(vehicles, treatmentShare);
  return { pValue, detected: pValue < MISMATCH_BELOW };
}
