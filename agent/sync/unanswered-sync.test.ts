/** The law that a kill switch waits for nothing but its own signature, also while a sync is not answered. */
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

test('a kill switch is active at once although the answer to a sync is not there', async () => {
  await plane.put('eco', { rules: [ON] });
  const agent = await vehicle.start({ timings: { requestMs: 30_000 } });
  await eventually(() => agent.status().revision === 1, 'it is synced');
  let answer: () => void = () => undefined;
  const answered = new Promise<void>((resolve) => (answer = resolve));
  let asked = 0;
  plane.onSync = async (content) => {
    asked += 1;
    await answered;
    return content;
  };
  plane.disconnect(1012);
  await eventually(() => asked > 0, 'it asks for changes over the next connection');
  await plane.put('eco', { rules: [KILL, ON] });
  try {
    await eventually(() => !agent.booleanValue('eco', false), 'the kill switch is active', 5_000);
    expect(agent.status().revision).toBe(1);
  } finally {
    answer();
  }
  await eventually(() => agent.status().revision === 2, 'its set is complete');
});
