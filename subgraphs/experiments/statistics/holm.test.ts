import { readFileSync } from 'node:fs';
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { rounds } from '../../../core/testing/rounds.ts';
import { pValueOf } from './evidence/accumulated-evidence.ts';
import { eventBets } from './evidence/event-bets.ts';
import { logMeanExp, type Direction } from './evidence/bets.ts';
import { holm } from './holm.ts';
import type { Arms } from './moments.ts';
import { draws } from './testing/simulated-vehicles.ts';

const { cases } = JSON.parse(readFileSync(new URL('golden/holm.json', import.meta.url), 'utf8')) as {
  cases: { name: string; pValues: number[]; expected: number[] }[];
};

test.each(cases)("Holm's correction agrees with the closed test: $name", ({ pValues, expected }) => {
  const adjusted = holm(pValues);
  expect(adjusted).toHaveLength(expected.length);
  adjusted.forEach((pValue, index) => expect(pValue! / expected[index]!).toBeCloseTo(1, 12));
});

test('a metric without a p-value counts as a hypothesis and is not rejected', () => {
  expect(holm([0.01, null])).toEqual([0.02, null]);
  expect(holm([null, null])).toEqual([null, null]);
});

describe('laws', () => {
  const pValues = fc.array(fc.double({ min: 1e-300, max: 1, noNaN: true }), { minLength: 1, maxLength: 10 });
  const runs = { numRuns: rounds(200, 2_000) };

  test('adjusted p-values are between those given and those of Bonferroni, in the same order', () => {
    fc.assert(
      fc.property(pValues, (given) => {
        const adjusted = holm(given);
        adjusted.forEach((pValue, i) => {
          expect(pValue).toBeGreaterThanOrEqual(given[i]!);
          expect(pValue).toBeLessThanOrEqual(Math.min(1, given.length * given[i]!));
          adjusted.forEach((other, j) => given[i]! <= given[j]! && expect(pValue!).toBeLessThanOrEqual(other!));
        });
      }),
      runs,
    );
  });

  test('what was rejected stays so when p-values fall, as 1 / max E does from look to look', () => {
    fc.assert(
      fc.property(
        pValues,
        fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { minLength: 10, maxLength: 10 }),
        (given, parts) => {
          const later = holm(given.map((pValue, index) => pValue * parts[index]!));
          holm(given).forEach((pValue, index) => expect(later[index]).toBeLessThanOrEqual(pValue!));
        },
      ),
      runs,
    );
  });
});

describe('with 20 looks of each of 400 experiments', () => {
  const [LOOKS, VEHICLES, RUNS, RATE, LEVEL] = [20, 1_500, 400, 0.1, 0.05];
  const mixtures = (['higher', 'lower'] satisfies Direction[]).map((direction) => eventBets(direction, 1, 0.5));

  const logOf = (events: Arms<number>) =>
    logMeanExp(
      mixtures.flatMap((mixture) =>
        mixture.map(
          ({ control, treatment }) =>
            events.control * Math.log1p(control.slope) + events.treatment * Math.log1p(treatment.slope),
        ),
      ),
    );

  /**
   * Gives in what share of the experiments a metric of `looked` is ever rejected. Metrics of a vehicle depend on each
   * other.
   */
  function shareRejected(ratios: readonly number[], looked: readonly number[], adjust: typeof holm): number {
    const { uniform: random } = draws(20_261_128);
    let rejected = 0;
    for (let run = 0; run < RUNS; run++) {
      const events = ratios.map(() => ({ control: 0, treatment: 0 }));
      const most = ratios.map(() => 0);
      let found = false;
      for (let vehicle = 1; vehicle <= VEHICLES; vehicle++) {
        const arm = random() < 0.5 ? 'treatment' : 'control';
        const shared = random();
        ratios.forEach((ratio, metric) => {
          const draw = random() < 0.5 ? shared : random();
          if (draw < RATE * (arm === 'treatment' ? ratio : 1)) events[metric]![arm] += 1;
        });
        if (vehicle % (VEHICLES / LOOKS) !== 0) continue;
        ratios.forEach((_, metric) => (most[metric] = Math.max(most[metric]!, logOf(events[metric]!))));
        const adjusted = adjust(most.map(pValueOf));
        found ||= looked.some((metric) => adjusted[metric]! < LEVEL);
      }
      if (found) rejected += 1;
    }
    return rejected / RUNS;
  }

  test('a false discovery among secondary metrics stays below 5 %, whether none or some have an effect', () => {
    const uncorrected = (pValues: readonly (number | null)[]) => [...pValues];
    const ten = Array<number>(10).fill(1);
    const all = ten.map((_, metric) => metric);
    expect(shareRejected(ten, all, holm)).toBeLessThan(LEVEL);
    expect(shareRejected(ten, all, uncorrected)).toBeGreaterThan(LEVEL);
    expect(shareRejected([2, 2, 1, 1], [2, 3], holm)).toBeLessThan(LEVEL);
  });

  test('a doubled rate is still found beside nine metrics without an effect', () => {
    expect(shareRejected([2, ...Array<number>(9).fill(1)], [0], holm)).toBeGreaterThan(0.8);
  });
});
