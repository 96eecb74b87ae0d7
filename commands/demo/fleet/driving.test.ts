import { expect, test } from '@jest/globals';
import { demoAnalysis } from '../../../tests/testing/demo-analysis.ts';
import { KNOWN_EFFECT, armOf, energyOf } from './driving.ts';
import { FLEET } from './fleet.ts';

test('trips are the same in every run, and without the feature the arms do not differ', () => {
  for (const vehicle of FLEET.slice(0, 5)) expect(energyOf(vehicle, 'during')).toEqual(energyOf(vehicle, 'during'));
  expect(new Set(FLEET.map(armOf))).toEqual(new Set(['control', 'treatment']));
});

test('the analysis finds the simulated effect, and more precisely with history', () => {
  const { confidenceInterval, cuped, significant, sampleRatioMismatch } = demoAnalysis();
  const within = ([low, high]: readonly [number, number]) => low < KNOWN_EFFECT && KNOWN_EFFECT < high;
  expect(within(confidenceInterval!)).toBe(true);
  expect(within(cuped!.confidenceInterval!)).toBe(true);
  expect(cuped!.varianceReduction).toBeGreaterThan(0.3);
  expect(significant).toBe(true);
  expect(sampleRatioMismatch.detected).toBe(false);
});
