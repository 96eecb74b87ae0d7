import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { eventually } from '../../core/testing/eventually.ts';
import { AgentEvents } from '../assembly/agent-events.ts';
import { KnownFacts } from '../facts/known-facts.ts';
import { TestControlPlane } from '../testing/control-plane.ts';
import { stateOf, testFlag } from '../testing/held-flags.ts';
import { EU, KILL, ON } from '../testing/rules.ts';
import { TestVehicle } from '../testing/test-vehicle.ts';
import { AgeingClock } from '../trust/ageing-clock.ts';
import { FlagEvaluator } from './flag-evaluator.ts';
import { PresentFlags } from './present-flags.ts';

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

test('new facts count once they are on disk, and a change meanwhile is announced once and by the facts of before', async () => {
  const evaluator = new FlagEvaluator({}, new AgeingClock(Date.now));
  const events = new AgentEvents(() => undefined);
  let written = () => {};
  const flags = new PresentFlags({
    ...{ evaluator, events, facts: new KnownFacts({}), log: () => undefined, now: Date.now },
    saveFacts: () => new Promise<void>((resolve) => (written = resolve)),
  });
  const base = testFlag('base', { rules: [EU] });
  const eco = testFlag('eco', { requires: [{ flag: 'base' }], rules: [ON] });
  flags.replace(stateOf([base, eco, testFlag('limit')]));
  const heard: string[] = [];
  events.onChange(({ key }) => void heard.push(key));
  const learnt = flags.learn({ jws: '', facts: { model: 'Ioniq 6', swVersion: '1.0.0', region: 'EU' } });
  const next = stateOf([base, eco, testFlag('limit', { rules: [ON], revision: 2 })]);
  const limit = next.flags.get('limit')!;
  const changed = { ...limit, served: { ...limit.served!, id: 'limit 2' } };
  flags.replace({ ...next, flags: new Map([...next.flags, ['limit', changed]]) });
  expect(heard).toEqual(['limit']);
  expect(evaluator.evaluate('base')?.evaluation.value).toBe(false);
  written();
  await learnt;
  expect(heard).toEqual(['limit', 'base', 'eco']);
  expect(evaluator.evaluate('eco')?.evaluation.value).toBe(true);
});
