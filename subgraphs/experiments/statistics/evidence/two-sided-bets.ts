/** Bets against the ratio of two means being exactly a given one: half of them that it is more, half that it is less. */
import type { FrozenRange, Mixture } from './bets.ts';
import { eventBets } from './event-bets.ts';
import { meanBets } from './mean-bets.ts';

/**
 * Gives the bets against the treatment's mean being `ratio` times control's.
 *
 * @param binary whether the numbers are 0 or 1
 * @param share the share of the vehicles that was drawn for the treatment
 */
export function twoSidedBets(binary: boolean, share: number, ratio: number, range: FrozenRange): Mixture {
  return (['higher', 'lower'] as const).flatMap((direction) =>
    binary ? eventBets(direction, ratio, share) : meanBets(direction, ratio, share, range),
  );
}
