import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { analyse, type Analysis, type ArmSums } from './analyse.ts';
import { gathered } from './evidence/effect-evidence.ts';
import { mapArms, mergePaired, type Arms, type PairedMoments } from './moments.ts';
import { sampleRatio } from './sample-ratio.ts';
import {
  NONE,
  NOTHING_GATHERED,
  countsOf,
  evenSplit,
  gatheredBy,
  pairedMomentsOf,
} from './testing/simulated-vehicles.ts';
import type { ComparedNumbers } from './welch/welch-comparison.ts';
import { rounds } from '../../../core/testing/rounds.ts';

/** A fixed seed, so that a failure is the same for everybody. */
const RUNS = { numRuns: rounds(100, 300) };
const plan = { confidenceLevel: 0.95, running: false };

const value = fc.double({ min: 1, max: 100, noNaN: true });
const vehicle = fc.record({ now: value, before: value });
const vehicles = fc.array(vehicle, { minLength: 2, maxLength: 12 });
const fleets = fc.record({ control: vehicles, treatment: vehicles, new: fc.array(value, { maxLength: 4 }) });
type Fleets = {
  control: { now: number; before: number }[];
  treatment: { now: number; before: number }[];
  new: number[];
};

function sumsOf({ control, treatment, new: unknown }: Fleets, unit = (now: number) => now): Arms<ArmSums> {
  const arm = (fleet: Fleets['control'], withoutHistory: PairedMoments): ArmSums => ({
    withHistory: pairedMomentsOf(
      fleet.map(({ now }) => unit(now)),
      fleet.map(({ before }) => unit(before)),
    ),
    withoutHistory,
    ...countsOf(fleet.length),
  });
  const values = unknown.map(unit);
  return { control: arm(control, NONE), treatment: arm(treatment, pairedMomentsOf(values, values)) };
}

function analysed(arms: Arms<ArmSums>): Analysis {
  return analyse({ arms, exposures: evenSplit(arms) }, NOTHING_GATHERED, plan);
}

function expectClose(actual: number | null, expected: number | null, scale = 1): void {
  if (actual === null || expected === null) expect(actual).toBe(expected);
  else expect(Math.abs(actual - expected)).toBeLessThanOrEqual(1e-7 * Math.max(Math.abs(expected), scale));
}

const comparisons = ({ cuped, ...own }: Analysis): (ComparedNumbers | null)[] => [own, cuped];

/** Leaves out fleets on the edge of a refusal, where rounding decides. */
const spread = (arms: Arms<ArmSums>) =>
  [arms.control, arms.treatment].every(({ withHistory: { m2, covariateM2 } }) => m2 > 1e-3 && covariateM2 > 1e-3);

describe('laws of the analysis', () => {
  it('keeps p and reverses the difference when the arms are swapped', () => {
    fc.assert(
      fc.property(fleets, (fleets) => {
        const arms = sumsOf(fleets);
        fc.pre(spread(arms));
        const [there, back] = [
          comparisons(analysed(arms)),
          comparisons(analysed({ control: arms.treatment, treatment: arms.control })),
        ];
        there.forEach((one, index) => {
          const other = back[index];
          if (!one || !other) return expect(one ?? null).toBe(other ?? null);
          expectClose(other.pValue, one.pValue, 1e-9);
          expectClose(other.difference, one.difference && -one.difference);
          expectClose(other.differenceInterval?.[0] ?? null, one.differenceInterval && -one.differenceInterval[1]);
        });
      }),
      RUNS,
    );
  });

  it('does not depend on the unit: scaling the metric changes only what is in its unit', () => {
    fc.assert(
      fc.property(fleets, fc.constantFrom(1e-3, 0.25, 60, 3600, -1), (fleets, factor) => {
        const arms = sumsOf(fleets);
        fc.pre(spread(arms));
        const [plain, scaled] = [
          comparisons(analysed(arms)),
          comparisons(analysed(sumsOf(fleets, (now) => factor * now))),
        ];
        plain.forEach((one, index) => {
          const other = scaled[index];
          if (!one || !other) return expect(one ?? null).toBe(other ?? null);
          const [low, high] = factor < 0 ? [1, 0] : [0, 1];
          const sign = Math.sign(factor);
          expectClose(other.pValue, one.pValue, 1e-9);
          expectClose(other.difference, one.difference && factor * one.difference, Math.abs(factor));
          expectClose(other.improvementPercent, one.improvementPercent && sign * one.improvementPercent);
          expectClose(
            other.confidenceInterval?.[low] ?? null,
            one.confidenceInterval && sign * one.confidenceInterval[0],
          );
          expectClose(
            other.confidenceInterval?.[high] ?? null,
            one.confidenceInterval && sign * one.confidenceInterval[1],
          );
        });
      }),
      RUNS,
    );
  });

  it('does not depend on the metric’s zero, except for percentages', () => {
    fc.assert(
      fc.property(fleets, fc.double({ min: -1000, max: 1000, noNaN: true }), (fleets, shift) => {
        const arms = sumsOf(fleets);
        fc.pre(spread(arms));
        const [plain, shifted] = [
          comparisons(analysed(arms)),
          comparisons(analysed(sumsOf(fleets, (now) => now + shift))),
        ];
        plain.forEach((one, index) => {
          expectClose(shifted[index]?.pValue ?? null, one?.pValue ?? null, 1e-5);
          expectClose(shifted[index]?.difference ?? null, one?.difference ?? null);
        });
      }),
      RUNS,
    );
  });

  it('has intervals that leave out 0 exactly when the test that decides rejects, at every look', () => {
    const leavesOut0 = (interval: readonly [number, number] | null) =>
      interval === null ? null : interval[0] > 0 || interval[1] < 0;
    const range = { low: 1, high: 100, centres: [50] };
    const shares = fc.double({ min: 0.05, max: 0.95, noNaN: true });
    // Effects from none to some that a few dozen vehicles show.
    const arm = fc.tuple(fc.array(fc.integer({ min: 1, max: 60 }), { minLength: 2, maxLength: 40 }), fc.nat(40));
    fc.assert(
      fc.property(arm, arm, shares, fc.boolean(), ([c, more], [t, less], share, binary) => {
        const numbers = (values: number[], shift: number) =>
          values.map((y) => (binary ? Number(y > 30 + shift / 2) : y + shift));
        const [control, treatment] = [numbers(c, more), numbers(t, less)];
        const bets = binary ? { binary, share, range: { low: 0, high: 1, centres: [] } } : { binary, share, range };
        // A second look, at more of the same, can only add to what the first has excluded.
        const twice = { control: [...control, ...control], treatment: [...treatment, ...treatment] };
        const looks = [gatheredBy({ control, treatment }, bets), gatheredBy(twice, bets)];
        const both = { plan: bets, evidence: gathered(looks[0]!.evidence, looks[1]!.evidence) };
        const moments = (values: number[]) => ({ ...NONE, ...pairedMomentsOf(values, values) });
        const arms = mapArms(twice, (values) => ({
          withHistory: NONE,
          withoutHistory: moments(values),
          ...countsOf(values.length),
        }));
        for (const evidence of [...looks, both]) {
          for (const running of [true, false]) {
            const { significant, pValue, winner, confidenceInterval, differenceInterval } = analyse(
              { arms, exposures: [] },
              evidence,
              { ...plan, running },
            );
            if (pValue === null) continue;
            expect(significant).toBe(pValue < 1 - plan.confidenceLevel);
            for (const interval of [confidenceInterval, differenceInterval])
              expect([significant, null]).toContain(leavesOut0(interval));
            if (winner !== null && confidenceInterval !== null)
              expect(winner).toBe(confidenceInterval[0] > 0 ? 'treatment' : 'control');
          }
        }
      }),
      RUNS,
    );
  });

  it('never gives NaN or Infinity and never throws, whatever the sums are', () => {
    const any = fc.oneof(fc.double(), fc.constantFrom(0, 1, -1, 1e-320, 1e308, Infinity, Number.NaN));
    const moments = fc.record({
      count: fc.oneof(fc.nat(5), fc.nat()),
      mean: any,
      m2: any,
      covariateMean: any,
      covariateM2: any,
      comoment: any,
    });
    const arm = fc
      .record({ withHistory: moments, withoutHistory: moments })
      .map((sums) => ({ ...sums, ...countsOf(sums.withoutHistory.count) }));
    const numbersIn = (found: unknown): number[] =>
      typeof found === 'number'
        ? [found]
        : typeof found === 'object' && found !== null
          ? Object.values(found).flatMap(numbersIn)
          : [];
    fc.assert(
      fc.property(
        arm,
        arm,
        fc.boolean(),
        fc.double({ min: 0, max: 1, noNaN: true }),
        (control, treatment, running, treatmentShare) => {
          const exposures = [{ treatmentShare, vehicles: { control: control.exposed, treatment: treatment.exposed } }];
          const analysis = analyse({ arms: { control, treatment }, exposures }, NOTHING_GATHERED, { ...plan, running });
          expect(numbersIn(analysis).filter((number) => !Number.isFinite(number))).toEqual([]);
          for (const p of [analysis.fixedHorizonPValue, analysis.deltaPValue, analysis.sampleRatioMismatch.pValue]) {
            if (p !== null) expect(p >= 0 && p <= 1).toBe(true);
          }
        },
      ),
      { ...RUNS, numRuns: rounds(500, 2_000) },
    );
  });
});

describe('laws of the sums', () => {
  it('merges two groups into the sums of all vehicles', () => {
    const group = fc.array(vehicle, { maxLength: 12 });
    const sums = (fleet: { now: number; before: number }[]) =>
      pairedMomentsOf(
        fleet.map(({ now }) => now),
        fleet.map(({ before }) => before),
      );
    fc.assert(
      fc.property(group, group, (one, other) => {
        const together = sums([...one, ...other]);
        const merged = mergePaired(sums(one), sums(other));
        for (const key of Object.keys(together) as (keyof PairedMoments)[]) expectClose(merged[key], together[key]);
      }),
      RUNS,
    );
  });
});

describe('laws of the sample-ratio check', () => {
  it('multiplies the evidence of its epochs', () => {
    const epochs = [0.1, 0.5].map((treatmentShare) => ({ treatmentShare, vehicles: { control: 90, treatment: 20 } }));
    const each = epochs.map((epoch) => sampleRatio([epoch]).pValue);
    expect(each.every((p) => p < 1)).toBe(true);
    expectClose(
      sampleRatio(epochs).pValue,
      each.reduce((product, p) => product * p, 1),
      1e-9,
    );
    expect(sampleRatio([])).toEqual({ pValue: 1, detected: false });
  });

  it('detects vehicles where none was planned, and nothing where all are as planned', () => {
    const one = (control: number, treatment: number, treatmentShare: number) =>
      sampleRatio([{ treatmentShare, vehicles: { control, treatment } }]);
    expect(one(100, 1, 0)).toEqual({ pValue: Number.MIN_VALUE, detected: true });
    expect(one(1, 100, 1)).toEqual({ pValue: Number.MIN_VALUE, detected: true });
    expect(one(100, 0, 0)).toEqual({ pValue: 1, detected: false });
    expect(one(0, 100, 1)).toEqual({ pValue: 1, detected: false });
  });
});
