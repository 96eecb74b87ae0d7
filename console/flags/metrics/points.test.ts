import { expect, test } from '@jest/globals';
import { PERIODS, linesByVariant, spanOf, type Point } from './points.ts';

const HOUR = 3_600_000;
const START = Date.parse('2027-01-04T00:00:00Z');
const point = (hours: number, variant: string, over: Partial<Point> = {}): Point => ({
  at: new Date(START + hours * HOUR).toISOString(),
  variant,
  count: 1,
  sum: 10,
  mean: 10,
  vehicles: 1,
  ...over,
});

test('a period ends with the present interval, and has fewer than the 1,000 intervals that the API gives', () => {
  const now = START + 10.5 * HOUR;
  expect(spanOf('day', now)).toEqual({
    from: '2027-01-03T11:00:00.000Z',
    to: '2027-01-04T11:00:00.000Z',
    interval: 'HOUR',
  });
  expect(spanOf('month', now)).toEqual({
    from: '2026-12-06T00:00:00.000Z',
    to: '2027-01-05T00:00:00.000Z',
    interval: 'DAY',
  });
  // Within an interval the period stays the same, so that a page does not request another chart every time.
  expect(spanOf('week', now)).toEqual(spanOf('week', now + HOUR / 4));
  for (const period of PERIODS) {
    const { from, to, interval } = spanOf(period, now);
    expect((Date.parse(to) - Date.parse(from)) / (interval === 'HOUR' ? HOUR : 24 * HOUR)).toBeLessThanOrEqual(168);
  }
});

test('each variant is a line, that of the most measurements first, with gaps where nothing was measured', () => {
  const { times, lines } = linesByVariant(
    [point(0, 'control', { sum: 3 }), point(0, 'treatment'), point(3, 'treatment', { sum: 7, count: 4 })],
    'day',
    ({ sum }) => sum,
  );
  expect(times).toEqual([0, 1, 2, 3].map((hours) => START + hours * HOUR));
  expect(lines).toEqual([
    { name: 'treatment', values: [10, null, null, 7] },
    { name: 'control', values: [3, null, null, null] },
  ]);
  expect(linesByVariant([], 'day', ({ sum }) => sum)).toEqual({ times: [], lines: [] });
});
