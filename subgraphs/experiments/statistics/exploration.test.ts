import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { rounds } from '../../../core/testing/rounds.ts';
import { placeInRange, type VehiclesAtPlace } from './evidence/places.ts';
import { NO_EVIDENCE, type EffectEvidence, type EffectPlan } from './evidence/effect-evidence.ts';
import { effectInPart, effectOverTime, type ArmOfPart, type DayOfVehicles } from './exploration.ts';
import { draws, momentsOf } from './testing/simulated-vehicles.ts';

const plan: EffectPlan = { binary: false, share: 0.5, range: { low: 0, high: 1, centres: [0.5] } };
const LEVEL = 0.95;

function armOf(values: readonly number[]): ArmOfPart {
  const places = values.map((value): VehiclesAtPlace => ({ place: placeInRange(value, plan.range), vehicles: 1 }));
  return { moments: values.length === 0 ? { count: 0, mean: 0, m2: 0 } : momentsOf(values), places };
}
const dayOf = (day: number, control: readonly number[], treatment: readonly number[]): DayOfVehicles => ({
  day,
  arms: { control: armOf(control), treatment: armOf(treatment) },
});

const values = fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { maxLength: 15 });
const fleets = fc.array(fc.tuple(values, values), { minLength: 1, maxLength: 6 });

test('a point of the effect over time knows nothing of later days, and the last one has all vehicles', () => {
  fc.assert(
    fc.property(fleets, (fleet) => {
      const days = fleet.map(([control, treatment], day) => dayOf(day, control, treatment));
      const all = [...effectOverTime(days, plan, LEVEL, 30)];
      expect(all).toHaveLength(days.length);
      for (let known = 1; known < days.length; known++)
        expect([...effectOverTime(days.slice(0, known), plan, LEVEL, 30)]).toEqual(all.slice(0, known));
      const [control, treatment] = [fleet.flatMap(([c]) => c), fleet.flatMap(([, t]) => t)];
      const whole = effectInPart({ control: armOf(control), treatment: armOf(treatment) }, plan, LEVEL);
      expect(all.at(-1)?.vehicles).toEqual(whole.vehicles);
      if (whole.difference !== null) expect(all.at(-1)?.difference).toBeCloseTo(whole.difference, 10);
    }),
    { numRuns: rounds(20, 100) },
  );
});

test('intervals only narrow from day to day', () => {
  const { uniform } = draws(3);
  const some = (shift: number) => Array.from({ length: 40 }, () => Math.min(1, uniform() * 0.6 + shift));
  const days = Array.from({ length: 8 }, (_, day) => dayOf(day, some(0), some(0.3)));
  const points = [...effectOverTime(days, plan, LEVEL, 30)];
  for (const [index, { differenceInterval }] of points.slice(1).entries()) {
    const [low, high] = points[index]?.differenceInterval ?? [-1, 1];
    expect(differenceInterval![0]).toBeGreaterThanOrEqual(low);
    expect(differenceInterval![1]).toBeLessThanOrEqual(high);
  }
  expect(points.at(-1)?.differenceInterval?.[0]).toBeGreaterThan(0);
});

test('the last point has what all looks have shown, and no earlier one has', () => {
  const days = [dayOf(0, [0.5, 0.4], [0.5, 0.6]), dayOf(1, [0.4], [0.6])];
  const seen: EffectEvidence = { ...NO_EVIDENCE, logHigher: 9, ratio: [1.1, null], difference: [0.1, 0.3] };
  const [[first, last], [alone]] = [
    [...effectOverTime(days, plan, LEVEL, 30, seen)],
    [...effectOverTime(days, plan, LEVEL, 30)],
  ];
  expect(last?.differenceInterval).toEqual([0.1, 0.3]);
  expect(first).toEqual(alone);
});

test('many days are shown by evenly spaced ones, with the last', () => {
  const points = [...effectOverTime([dayOf(0, [0.5], [0.5]), dayOf(99, [0.5], [0.5])], plan, LEVEL, 10)];
  expect(points.map(({ day }) => day)).toEqual([9, 19, 29, 39, 49, 59, 69, 79, 89, 99]);
  expect(points.map(({ vehicles }) => vehicles.control)).toEqual([...Array<number>(9).fill(1), 2]);
  expect([...effectOverTime([], plan, LEVEL, 10)]).toEqual([]);
});

test('an interval of a segment without an effect rarely leaves out 0', () => {
  const { uniform } = draws(20_261_128);
  const [SEGMENTS, VEHICLES] = [200, 200];
  let wrong = 0;
  for (let segment = 0; segment < SEGMENTS; segment++) {
    const arms: { control: number[]; treatment: number[] } = { control: [], treatment: [] };
    for (let vehicle = 0; vehicle < VEHICLES; vehicle++)
      arms[uniform() < 0.5 ? 'control' : 'treatment'].push(uniform());
    const { differenceInterval } = effectInPart(
      { control: armOf(arms.control), treatment: armOf(arms.treatment) },
      plan,
      LEVEL,
    );
    if (differenceInterval !== null && (differenceInterval[0] > 0 || differenceInterval[1] < 0)) wrong += 1;
  }
  expect(wrong / SEGMENTS).toBeLessThan(1 - LEVEL);
});
