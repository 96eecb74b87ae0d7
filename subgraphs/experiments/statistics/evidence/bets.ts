/**
 * Bets against a null hypothesis. A bet multiplies its capital by a factor for each vehicle; where the null hypothesis
 * is true, no factor is above 1 on average. The capital of many bets together, 1 at the start, is an e-value: at no
 * time, however often it is read, does it reach 1/α with more than probability α (Ville's inequality).
 *
 * Each factor is linear in the vehicle's number, `1 + offset + slope · y`, so a database or a simulation that has the
 * numbers can add up its logarithms without knowing what is tested.
 *
 * Source: Waudby-Smith, Ramdas, "Estimating means of bounded random variables by betting", J. R. Stat. Soc. B 86
 * (2024), arXiv 2010.09686; Ramdas, Grünwald, Vovk, Shafer, "Game-theoretic statistics and safe anytime-valid
 * inference", Statistical Science 38 (2023).
 */
import type { Arms } from '../moments.ts';

/** The factor of one vehicle, minus 1, as a line over the vehicle's number. */
export interface Line {
  readonly offset: number;
  readonly slope: number;
}

/** One bet: the factors of the vehicles of each arm. */
export type Bet = Arms<Line>;

/** Several bets that start with equal parts of the capital. No bets at all keep it: their e-value is 1. */
export type Mixture = readonly Bet[];

/** The direction of the alternative: the treatment's mean is higher or lower than the null hypothesis allows. */
export type Direction = 'higher' | 'lower';

/** The range of the vehicles' numbers that was fixed before they were seen. */
export interface FrozenRange {
  readonly low: number;
  readonly high: number;
  /** Guesses of the mean within the range: they decide the power, never the validity. */
  readonly centres: readonly number[];
}

/**
 * The parts of the greatest safe bet that the bets of a mixture take. Few vehicles with a great effect ask for the
 * first, many with a small one for the last.
 */
const STAKES: readonly number[] = Array.from({ length: 10 }, (_, index) => 0.9 / 2 ** index);

/** Gives the logarithm of the factor of a vehicle whose number is `y`. */
export function logFactor({ offset, slope }: Line, y: number): number {
  return Math.log1p(offset + slope * y);
}

/** Gives the logarithm of the mean of numbers that are given by their logarithms; 0 of none. */
export function logMeanExp(logs: readonly number[]): number {
  if (logs.length === 0) return 0;
  const most = Math.max(...logs);
  if (!Number.isFinite(most)) return most;
  return most + Math.log(logs.reduce((sum, log) => sum + Math.exp(log - most), 0) / logs.length);
}

/**
 * Gives the logarithm of a mixture's e-value.
 *
 * @param logs for each bet of the mixture, in its order, the sum of its vehicles' `logFactor`
 */
export function logEvidence(logs: Arms<readonly number[]>): number {
  return logMeanExp(logs.control.map((log, bet) => log + (logs.treatment[bet] ?? 0)));
}

/** Gives the vehicles' sums for a mixture. For simulations and tests: elsewhere the metrics store adds up. */
export function logSums(mixture: Mixture, { control, treatment }: Arms<readonly number[]>): Arms<number[]> {
  const sum = (line: Line, values: readonly number[]) => values.reduce((all, y) => all + logFactor(line, y), 0);
  return {
    control: mixture.map((bet) => sum(bet.control, control)),
    treatment: mixture.map((bet) => sum(bet.treatment, treatment)),
  };
}

/**
 * Makes a mixture of one kind of bet.
 *
 * @param worst the greatest loss of a vehicle when the stake is 1; the stakes are such that no vehicle loses all
 * @param bet gives the bet with a stake
 */
export function mixtureOf(worst: number, bet: (stake: number) => Bet): Mixture {
  return worst > 0 && Number.isFinite(worst) ? STAKES.map((part) => bet(part / worst)) : [];
}
