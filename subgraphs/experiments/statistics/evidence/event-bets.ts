/**
 * Bets on the arm of each event, for numbers that are 0 or 1.
 *
 * Of the vehicles that take part, a share π was drawn for the treatment. If their rate of events is `limit` times that
 * of the others, an event belongs to the treatment with probability θ = π·limit/(π·limit + 1 − π). A bet on the rate
 * ratio ρ multiplies its capital by θ₁/θ for an event of the treatment and by (1 − θ₁)/(1 − θ) for one of control,
 * where θ₁ is the same with ρ. Vehicles without an event change nothing, so the e-value needs only the events of each
 * arm, and it is exact at any count.
 *
 * Source: conditioning on the total of two Poisson counts goes back to Przyborowski, Wilenski, Biometrika 31 (1940); as
 * an e-value that may be read at any time: Turner, Ly, Grünwald, "Generic E-variables for exact sequential k-sample
 * tests", J. Stat. Planning and Inference 230 (2024).
 */
import type { Bet, Direction, Mixture } from './bets.ts';

/** The rate ratios of the bets, relative to the limit. */
const RATIOS: readonly number[] = Array.from({ length: 12 }, (_, index) => 1.15 * (8 / 1.15) ** (index / 11));

/** Gives the probability that an event is one of the treatment's, at a ratio of the rates. */
const ofTreatment = (share: number, ratio: number) => (share * ratio) / (share * ratio + 1 - share);

/**
 * Gives the bets against the null hypothesis that the treatment's rate of events is at most (`higher`) or at least
 * (`lower`) `limit` times control's.
 *
 * @param share π: the share of the compared vehicles that was drawn for the treatment. At 0 and 1 nothing is compared
 * @param limit a ratio above 0. At 0 or less there are no bets, because no rate is below such a limit
 */
export function eventBets(direction: Direction, limit: number, share: number): Mixture {
  if (!(limit > 0 && share > 0 && share < 1)) return [];
  const theta = ofTreatment(share, limit);
  return RATIOS.map((ratio): Bet => {
    const alternative = ofTreatment(share, direction === 'higher' ? limit * ratio : limit / ratio);
    return {
      control: { offset: 0, slope: (1 - alternative) / (1 - theta) - 1 },
      treatment: { offset: 0, slope: alternative / theta - 1 },
    };
  });
}
