import { expect, test } from '@jest/globals';
import { EvaluationCounts } from './evaluation-counts.ts';
import type { EvaluationTotals } from '../metrics/metric-store.ts';

const NOW = Date.parse('2026-11-25T12:00:00Z');
const seconds = (text: string) => Date.parse(text) / 1_000;

/** Tables that contain these evaluations, one for each vehicle, and record the queries. */
function tablesOf(rows: readonly { key: string; vin: string; at: string; count: number }[]) {
  const asked: { keys: readonly string[]; from: number; to: number }[] = [];
  return {
    asked,
    async evaluations(
      keys: readonly string[],
      { from, to }: { from: number; to: number },
      activeSince: Date,
    ): Promise<EvaluationTotals[]> {
      asked.push({ keys, from, to });
      return keys.flatMap((flagKey) => {
        const found = rows.filter(({ key, at }) => key === flagKey && seconds(at) >= from && seconds(at) < to);
        if (found.length === 0) return [];
        const active = new Set(found.flatMap(({ vin, at }) => (new Date(at) >= activeSince ? [vin] : [])));
        return [
          {
            flagKey,
            evaluations: found.reduce((sum, { count }) => sum + count, 0),
            activeVehicles: active.size,
            lastAt: new Date(Math.max(...found.map(({ at }) => Date.parse(at)))),
          },
        ];
      });
    },
  };
}

const TABLES = [
  { key: 'old', vin: 'A', at: '2025-03-01T00:00:00Z', count: 7 },
  { key: 'both', vin: 'A', at: '2026-09-30T23:00:00Z', count: 100 },
  { key: 'both', vin: 'A', at: '2026-10-01T00:00:00Z', count: 20 },
  { key: 'both', vin: 'B', at: '2026-11-25T11:00:00Z', count: 3 },
  { key: 'new', vin: 'B', at: '2026-11-24T11:00:00Z', count: 1 },
];

test('a flag has the evaluations of all its months, and the vehicles and the time of the latest ones', async () => {
  expect(await new EvaluationCounts(tablesOf(TABLES)).of(['new', 'both', 'old', 'never'], NOW)).toEqual([
    { flagKey: 'new', evaluations: 1, activeVehicles: 1, lastAt: new Date('2026-11-24T11:00:00Z') },
    { flagKey: 'both', evaluations: 123, activeVehicles: 1, lastAt: new Date('2026-11-25T11:00:00Z') },
    { flagKey: 'old', evaluations: 7, activeVehicles: 0, lastAt: new Date('2025-03-01T00:00:00Z') },
  ]);
});

test('months that can receive no more measurements are read once for each flag, until another month is over', async () => {
  const tables = tablesOf(TABLES);
  const counts = new EvaluationCounts(tables);
  const [first] = [await counts.of(['both'], NOW)];
  expect(await counts.of(['both'], NOW)).toEqual(first);
  await counts.of(['both', 'new'], NOW);
  const october = seconds('2026-10-01T00:00:00Z');
  expect(tables.asked.filter(({ from }) => from === 0)).toEqual([
    { keys: ['both'], from: 0, to: october },
    { keys: ['new'], from: 0, to: october },
  ]);
  expect(tables.asked.filter(({ from }) => from > 0).map(({ from }) => from)).toEqual([october, october, october]);
  // Thirty days and the margin before the third of December are the first of November.
  const [both] = await counts.of(['both'], Date.parse('2026-12-03T12:00:00Z'));
  expect(tables.asked.slice(-2).map(({ from, to }) => [from, to])).toEqual([
    [0, seconds('2026-11-01T00:00:00Z')],
    [seconds('2026-11-01T00:00:00Z'), expect.any(Number)],
  ]);
  expect(both).toMatchObject({ evaluations: 123 });
});
