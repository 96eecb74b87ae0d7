import { describe, expect, test } from '@jest/globals';
import { readPointsQuery, type MetricInterval } from './metric-points.ts';

const query = (from: string, to: string, interval: MetricInterval = 'hour', metric = 'range_km') =>
  readPointsQuery({ metric, from: new Date(from), to: new Date(to), interval });

describe('a query for points', () => {
  test('is of whole intervals around the times', () => {
    expect(query('2026-01-01T00:30:00Z', '2026-01-01T01:00:01Z')).toEqual({
      metric: 'range_km',
      from: Date.UTC(2026, 0, 1) / 1_000,
      to: Date.UTC(2026, 0, 1, 2) / 1_000,
      interval: 'hour',
    });
    expect(query('2026-01-01T00:00:00Z', '2026-01-02T00:00:00Z', 'day', '$evaluations').metric).toBe('$evaluations');
  });

  test.each<[string, string, MetricInterval, string, string]>([
    ['1969-12-31T00:00:00Z', '2026-01-01T00:00:00Z', 'day', 'm', 'from'],
    ['2026-01-01T00:00:00Z', '2100-01-02T00:00:00Z', 'day', 'm', 'to'],
    ['2026-01-01T00:00:00Z', '2026-01-01T00:00:00Z', 'day', 'm', 'to'],
    ['2026-01-01T00:00:00Z', '2026-01-02T00:00:00Z', 'minute', 'm', 'interval'],
    ['2026-01-01T00:00:00Z', '2026-01-02T00:00:00Z', 'hour', '$other', 'metric'],
  ])('from %s to %s by %s of %s is refused at %5$s', (from, to, interval, metric, field) => {
    expect(() => query(from, to, interval, metric)).toThrow(
      expect.objectContaining({ details: expect.objectContaining({ field }) }),
    );
  });
});
