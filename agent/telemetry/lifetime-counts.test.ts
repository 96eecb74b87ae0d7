import { expect, test } from '@jest/globals';
import { LifetimeCounts, readTotals, type LifetimeTotals } from './lifetime-counts.ts';

const BEFORE: LifetimeTotals = { refusals: { signature: 2 }, dropped: { evaluations: 5, measurements: 1 } };

test('what happens after a start is added to what was stored, and only the first stored counts go in', () => {
  let since: LifetimeTotals = { refusals: {}, dropped: { evaluations: 0, measurements: 0 } };
  const counts = new LifetimeCounts(() => since);
  expect(counts.totals()).toEqual(since);
  counts.restore(BEFORE);
  counts.restore(BEFORE);
  since = { refusals: { signature: 1, incomplete: 4 }, dropped: { evaluations: 10, measurements: 0 } };
  expect(counts.totals()).toEqual({
    refusals: { incomplete: 4, signature: 3 },
    dropped: { evaluations: 15, measurements: 1 },
  });
  expect(readTotals(JSON.parse(JSON.stringify(counts.totals())))).toEqual(counts.totals());
});

test.each([
  null,
  {},
  { refusals: {} },
  { refusals: { signature: -1 }, dropped: BEFORE.dropped },
  { refusals: { 'Not a reason': 1 }, dropped: BEFORE.dropped },
  { refusals: [], dropped: BEFORE.dropped },
  { refusals: {}, dropped: { evaluations: 0.5, measurements: 0 } },
  { refusals: Object.fromEntries(Array.from({ length: 101 }, (_, n) => [`r${n}`, 1])), dropped: BEFORE.dropped },
])('counts of another form are not read: %j', (value) => {
  expect(readTotals(value)).toBeNull();
});
