/**
 * Bets on the difference of two means of numbers that lie in a range, by the randomisation alone.
 *
 * With A = 1 for the treatment and 0 for control, drawn with probability π, with the limit s and a centre c that is
 * fixed beforehand (the nearer it is to the mean, the less φ varies),
 *
 *   φ = A (y − s c)/π − s (1 − A)(y − c)/(1 − π)
 *
 * has the mean mT − s mC. While that is at most 0, the capital Π (1 + λφ) does not grow on average, whatever the
 * distribution of y is: skew does not matter. λ is such that no vehicle loses all. With a shift d, s c becomes s c + d,
 * and the mean mT − s mC − d.
 */
import { mixtureOf, type Bet, type Direction, type FrozenRange, type Line, type Mixture } from './bets.ts';

/**
 * Gives the bets against the null hypothesis that the treatment's mean is at most (`higher`) or at least (`lower`)
 * `limit` times control's, plus the shift. Numbers outside the range must not be bet on.
 *
 * @param share π: the share of the compared vehicles that was drawn for the treatment. At 0 and 1 nothing is compared
 * @param shift in the metric's unit
 */
export function meanBets(direction: Direction, limit: number, share: number, range: FrozenRange, shift = 0): Mixture {
  const { low, high, centres } = range;
  if (!(share > 0 && share < 1 && high > low)) return [];
  return centres.flatMap((centre) => betsAround(centre, direction, { limit, shift }, share, range));
}

function betsAround(
  centre: number,
  direction: Direction,
  { limit, shift }: { readonly limit: number; readonly shift: number },
  share: number,
  { low, high }: FrozenRange,
): Mixture {
  const sign = direction === 'higher' ? 1 : -1;
  const treatment = { offset: (-sign * (limit * centre + shift)) / share, slope: sign / share };
  const control = { offset: (sign * limit * centre) / (1 - share), slope: (-sign * limit) / (1 - share) };
  const ends = [treatment, control].flatMap(({ offset, slope }) => [offset + slope * low, offset + slope * high]);
  const staked = ({ offset, slope }: Line, stake: number): Line => ({ offset: stake * offset, slope: stake * slope });
  return mixtureOf(-Math.min(...ends), (stake): Bet => ({
    treatment: staked(treatment, stake),
    control: staked(control, stake),
  }));
}
