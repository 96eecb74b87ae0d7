import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { eventually } from '../../core/testing/eventually.ts';
import { TestControlPlane } from '../testing/control-plane.ts';
import { KILL, ON } from '../testing/rules.ts';
import { TestVehicle } from '../testing/test-vehicle.ts';

let plane: TestControlPlane;
let vehicle: TestVehicle;

beforeEach(async () => {
  plane = await TestControlPlane.start();
  vehicle = await TestVehicle.create(plane);
});

afterEach(async () => {
  await vehicle.dispose();
  await plane.stop();
});

test('programs hear of each flag that a kill takes along or frees, and of no flag that stays as it is', async () => {
  await plane.put('base', { rules: [ON] });
  await plane.put('eco', { rules: [ON], requires: [{ flag: 'base' }] });
  await plane.put('eco_plus', { rules: [ON], requires: [{ flag: 'eco' }] });
  await plane.put('calm', { rules: [ON], excludes: ['eco_plus'] });
  await plane.put('off', { rules: [], requires: [{ flag: 'base' }] });
  await plane.put('alone', { rules: [ON] });
  const agent = await vehicle.start();
  await eventually(() => agent.status().revision === 6, 'it holds everything');
  expect(['base', 'eco', 'eco_plus', 'calm', 'off'].map((key) => agent.booleanValue(key, false))).toEqual([
    ...[true, true, true, false, false],
  ]);
  const heard: string[] = [];
  agent.onChange(({ key, removed }) => void heard.push(removed ? `-${key}` : key));
  await plane.put('base', { rules: [ON, KILL] });
  await eventually(() => heard.length > 0, 'the kill switch acts');
  expect(heard.sort()).toEqual(['base', 'calm', 'eco', 'eco_plus']);
  expect(agent.booleanDetails('eco_plus', true)).toMatchObject({
    value: false,
    reason: 'PREREQUISITE_FAILED',
    flagMetadata: { failedPrerequisite: 'eco' },
  });
  expect(agent.booleanValue('calm', false)).toBe(true);
});
