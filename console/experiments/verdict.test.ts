import { describe, expect, test } from '@jest/globals';
import { en } from '../words/en.ts';
import { formatsOf } from '../words/formats.ts';
import { intervalText, pText, verdictSentences, type ShownResults } from './verdict.ts';

const english = { words: en, formats: formatsOf('en-GB', 'UTC') };

const results = (over: Partial<ShownResults> = {}): ShownResults => ({
  variants: [],
  difference: 2,
  differenceInterval: [1, 3],
  pValue: 0.01,
  improvementPercent: 4.2,
  confidenceInterval: [1.1, 7.3],
  significant: true,
  decidedBy: 'SEQUENTIAL',
  detectablePercent: 3,
  sampleRatioMismatch: { detected: false, pValue: 0.4 },
  vehiclesInBothArms: 0,
  missing: [],
  secondaryMetrics: [],
  guardrails: [],
  disturbances: [],
  forcedReason: null,
  countedUntil: null,
  computedAt: '2027-01-04T09:00:00Z',
  ...over,
});

describe('the verdict in words', () => {
  const SEQUENTIAL = 'The sequential test decides: it holds however often you look.';

  test('names the effect with its interval, and whether it is better where that is declared', () => {
    expect(verdictSentences(results(), 'LOWER', false, english)).toEqual([
      'With the feature the metric is higher by 4.2% (+1.1% to +7.3%).',
      'That is worse, as the metric is declared.',
      SEQUENTIAL,
    ]);
    const lower = results({ improvementPercent: -4.2, confidenceInterval: [-7.3, -1.1] });
    expect(verdictSentences(lower, 'LOWER', false, english).slice(0, 2)).toEqual([
      'With the feature the metric is lower by 4.2% (-7.3% to -1.1%).',
      'That is better, as the metric is declared.',
    ]);
    expect(verdictSentences(results(), null, false, english)).toHaveLength(2);
  });

  test('without a difference says how large one would have to be', () => {
    expect(verdictSentences(results({ significant: false }), null, false, english)).toEqual([
      'No difference is shown yet.',
      'With the vehicles that count now, an effect of 3% or more is seen in about 80% of cases.',
      SEQUENTIAL,
    ]);
    expect(
      verdictSentences(results({ significant: false, detectablePercent: null }), null, true, english)[1],
    ).toContain('Too few vehicles');
  });

  test('of arms that do not fit the rollout is that no number can be trusted, whatever they say', () => {
    const mismatch = results({ sampleRatioMismatch: { detected: true, pValue: 0.0001 } });
    expect(verdictSentences(mismatch, 'HIGHER', false, english)).toEqual([en.experiments.verdicts.mismatch]);
  });

  test('names the test that was forced, with its reason', () => {
    const forced = results({ decidedBy: 'FIXED_HORIZON', forcedReason: 'The trade fair' });
    expect(verdictSentences(forced, null, true, english).slice(-2)).toEqual([
      'The test for the planned end decides.',
      'It was made to decide before the end: “The trade fair”.',
    ]);
    expect(verdictSentences(results({ improvementPercent: null }), null, true, english)[0]).toContain('no percentage');
  });
});

test('a p-value is not written out to its last zero', () => {
  expect([0.04321, 0.00002, 0, null].map((value) => pText(value, english))).toEqual([
    '0.04321',
    '< 0.0001',
    '< 0.0001',
    '–',
  ]);
});

test('an interval without an end is none', () => {
  expect(intervalText([-1, 2.5], english)).toBe('-1% to +2.5%');
  expect(intervalText(null, english)).toBe('–');
});
