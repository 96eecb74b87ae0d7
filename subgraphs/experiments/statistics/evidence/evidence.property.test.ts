import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { rounds } from '../../../../core/testing/rounds.ts';
import { logThreshold, logWeighted, pValueOf, shareMoved } from './accumulated-evidence.ts';
import { logEvidence, logFactor, logMeanExp, logSums, type Bet } from './bets.ts';
import { boundBets } from './bound-bets.ts';
import { eventBets } from './event-bets.ts';
import { meanBets } from './mean-bets.ts';
import { logSplitEvidence } from './split-evidence.ts';

const RUNS = { numRuns: rounds(200, 2_000) };
const direction = fc.constantFrom('higher' as const, 'lower' as const);
const share = fc.double({ min: 0.001, max: 0.999, noNaN: true });
const limit = fc.double({ min: 0.05, max: 5, noNaN: true });
const range = fc
  .record({
    low: fc.double({ min: -100, max: 100, noNaN: true }),
    width: fc.double({ min: 0.01, max: 1_000, noNaN: true }),
    at: fc.double({ min: 0, max: 1, noNaN: true }),
  })
  .map(({ low, width, at }) => ({ low, high: low + width, centres: [low + at * width] }));

const factor = (line: Bet['control'], y: number) => 1 + line.offset + line.slope * y;

describe('a bet', () => {
  it('on events gains nothing on average where the ratio of the rates is at its limit', () => {
    fc.assert(
      fc.property(direction, limit, share, (which, s, pi) => {
        const theta = (pi * s) / (pi * s + 1 - pi);
        for (const { control, treatment } of eventBets(which, s, pi)) {
          expect(theta * factor(treatment, 1) + (1 - theta) * factor(control, 1)).toBeCloseTo(1, 10);
          expect(Math.min(factor(treatment, 1), factor(control, 1))).toBeGreaterThan(0);
          expect([factor(treatment, 0), factor(control, 0)]).toEqual([1, 1]);
          // Within the limit it loses, and beyond it gains.
          expect(Math.sign(treatment.slope)).toBe(which === 'higher' ? 1 : -1);
        }
      }),
      RUNS,
    );
  });

  it('on means gains nothing on average where the ratio of the means is at its limit, and loses all on no number', () => {
    fc.assert(
      fc.property(direction, limit, share, range, fc.double({ min: 0, max: 1, noNaN: true }), (which, s, pi, r, at) => {
        const mean = r.low + at * (r.high - r.low);
        fc.pre(s * mean >= r.low && s * mean <= r.high);
        for (const { control, treatment } of meanBets(which, s, pi, r)) {
          const gain = pi * factor(treatment, s * mean) + (1 - pi) * factor(control, mean);
          expect(Math.abs(gain - 1)).toBeLessThan(1e-9);
          for (const y of [r.low, r.high, ...r.centres])
            expect(Math.min(factor(control, y), factor(treatment, y))).toBeGreaterThan(0.05);
        }
      }),
      RUNS,
    );
  });

  it('against a bound gains nothing at the bound, whatever control measures', () => {
    fc.assert(
      fc.property(direction, range, fc.double({ noNaN: true, min: -1e6, max: 1e6 }), (which, r, any) => {
        for (const { control, treatment } of boundBets(which, r.centres[0]!, which === 'higher' ? r.low : r.high)) {
          expect(logFactor(treatment, r.centres[0]!)).toBeCloseTo(0, 6);
          expect(logFactor(control, any)).toBe(0);
          expect(factor(treatment, which === 'higher' ? r.low : r.high)).toBeGreaterThan(0);
        }
      }),
      RUNS,
    );
  });
});

describe('the evidence', () => {
  it('of means does not depend on the unit', () => {
    const vehicles = fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { maxLength: 8 });
    fc.assert(
      fc.property(direction, share, vehicles, vehicles, fc.constantFrom(1e-6, 60, 1e9), (which, pi, c, t, unit) => {
        const of = (scale: number) => {
          const bets = meanBets(which, 1.1, pi, { low: 0, high: scale, centres: [0.4 * scale, 0.6 * scale] });
          const scaled = { control: c.map((y) => y * scale), treatment: t.map((y) => y * scale) };
          return logEvidence(logSums(bets, scaled));
        };
        expect(of(unit)).toBeCloseTo(of(1), 8);
      }),
      RUNS,
    );
  });

  it('is 1 where nothing can be compared', () => {
    expect(eventBets('lower', 0, 0.5)).toEqual([]);
    expect(eventBets('higher', 1, 0)).toEqual([]);
    expect(meanBets('higher', 1, 1, { low: 0, high: 1, centres: [0] })).toEqual([]);
    expect(meanBets('higher', 1, 0.5, { low: 3, high: 3, centres: [3] })).toEqual([]);
    expect(boundBets('lower', 3, null)).toEqual([]);
    expect(logEvidence(logSums([], { control: [1], treatment: [2] }))).toBe(0);
  });

  it('against a bound that is the end of the range is that of a single vehicle beyond it', () => {
    const [evidence, none] = [[1], [0]].map((treatment) =>
      logEvidence(logSums(boundBets('higher', 0, 0), { control: [], treatment })),
    );
    expect([evidence! > logThreshold(1e-6), none]).toEqual([true, 0]);
  });

  it('of parts is their weighted mean, without loss at any size', () => {
    expect(
      logWeighted([
        { weight: 0.8, log: 0 },
        { weight: 0.2, log: 0 },
      ]),
    ).toBeCloseTo(0, 12);
    expect(
      logWeighted([
        { weight: 0.8, log: 5_000 },
        { weight: 0.2, log: -5_000 },
      ]),
    ).toBeCloseTo(5_000 + Math.log(0.8), 9);
    expect(
      logWeighted([
        { weight: 0.5, log: -Infinity },
        { weight: 0.5, log: -Infinity },
      ]),
    ).toBe(-Infinity);
    expect(logMeanExp([1_000, 1_000 + Math.log(3)])).toBeCloseTo(1_000 + Math.log(2), 9);
    expect(logMeanExp([-Infinity, -Infinity])).toBe(-Infinity);
  });

  it('gives a p-value from 1 down to the least positive number', () => {
    expect([pValueOf(-3), pValueOf(0), pValueOf(Math.log(20)), pValueOf(1e6)]).toEqual([
      1,
      1,
      expect.closeTo(0.05, 12),
      Number.MIN_VALUE,
    ]);
  });
});

describe('the share that a step moves', () => {
  it('leaves, over all steps, the vehicles that the last percentage leaves', () => {
    const steps = fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { minLength: 1, maxLength: 6 });
    fc.assert(
      fc.property(steps, (percentages) => {
        const rising = [...percentages].sort((a, b) => a - b);
        const left = rising.reduce((rest, to, index) => rest * (1 - shareMoved(rising[index - 1] ?? 0, to)), 1);
        expect(left).toBeCloseTo(1 - rising.at(-1)!, 10);
      }),
      RUNS,
    );
    expect(shareMoved(1, 1)).toBe(0);
  });
});

describe('the evidence of a split', () => {
  it('is the same for either arm, and averages 1 where the split is as planned', () => {
    fc.assert(
      fc.property(fc.nat(40), fc.integer({ min: 1, max: 63 }), (vehicles, parts) => {
        const pi = parts / 64;
        let [mean, chance] = [0, (1 - pi) ** vehicles];
        for (let treatment = 0; treatment <= vehicles; treatment++) {
          const log = logSplitEvidence({ treatmentShare: pi, vehicles: { control: vehicles - treatment, treatment } });
          const other = { control: treatment, treatment: vehicles - treatment };
          expect(logSplitEvidence({ treatmentShare: 1 - pi, vehicles: other })).toBeCloseTo(log, 8);
          mean += chance * Math.exp(log);
          chance *= ((vehicles - treatment) / (treatment + 1)) * (pi / (1 - pi));
        }
        expect(mean).toBeCloseTo(1, 8);
      }),
      { ...RUNS, numRuns: rounds(50, 300) },
    );
  });
});
