import { expect, test } from '@jest/globals';
import { meanBets } from '../statistics/evidence/mean-bets.ts';
import { calibrate, type Sample } from './calibration.ts';

const sampleOf = (low: number, high: number, mean: number): Sample => ({
  ...{ source: 'history', vehicles: 200, binary: false, vins: [] },
  ...{ low, high, mean, most: high },
});

test.each([
  ['numbers of both signs', -1e308, 1e308, NaN],
  ['one number', 1e308, 1e308, Infinity],
  ['negative ones', -Number.MAX_VALUE, -1e308, -Infinity],
  ['one large number', 1e17, 1e17, 1e17],
  ['usual ones', 10, 40, 22],
])('a range of %s, however large they are, leaves bets that are finite', (_, low, high, mean) => {
  const { range } = calibrate(null, sampleOf(low, high, mean));
  expect(range.high).toBeGreaterThan(range.low);
  expect([range.high - range.low, ...range.centres].every(Number.isFinite)).toBe(true);
  // The least share and the greatest limit that guards have.
  for (const [limit, share] of [
    [1, 0.5],
    [101, 0.00001],
  ] as const) {
    const bets = meanBets('higher', limit, share, range);
    expect(bets.length).toBeGreaterThan(0);
    const factors = bets.flatMap(({ control, treatment }) =>
      [control, treatment].flatMap(({ offset, slope }) => [range.low, range.high].map((y) => 1 + offset + slope * y)),
    );
    expect(factors.every((factor) => Number.isFinite(factor) && factor > 0)).toBe(true);
  }
});
