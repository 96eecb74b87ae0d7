/**
 * Bets on one mean against a bound m: Π (1 + λ(y − m)) against "at most m", Π (1 − λ(y − m)) against "at least m".
 *
 * The first needs a number that y cannot be below, the second one that it cannot be above: otherwise one vehicle could
 * outweigh all others, and no test could be right. A cap would not do, because it lowers the mean. Each vehicle may
 * take part once, and control does not take part at all.
 */
import { mixtureOf, type Bet, type Direction, type Mixture } from './bets.ts';

/** The least distance of the bound from the end of the range, relative to the bound: at the end every bet is safe. */
const LEAST_DISTANCE = 1e-9;

/**
 * Gives the bets against the null hypothesis that the treatment's mean is at most (`higher`) or at least (`lower`) the
 * bound.
 *
 * @param end for `higher` the declared minimum, for `lower` the declared maximum; null where there is none: then
 * nothing can be shown, and there are no bets
 */
export function boundBets(direction: Direction, bound: number, end: number | null): Mixture {
  if (end === null) return [];
  const sign = direction === 'higher' ? 1 : -1;
  const worst = Math.max(sign * (bound - end), LEAST_DISTANCE * Math.max(1, Math.abs(bound)));
  const still = { offset: 0, slope: 0 };
  return mixtureOf(worst, (stake): Bet => ({
    control: still,
    treatment: { offset: -sign * stake * bound, slope: sign * stake },
  }));
}
