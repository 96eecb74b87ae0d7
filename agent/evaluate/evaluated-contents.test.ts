import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { eventually } from '../../core/testing/eventually.ts';
import type { FlagDefinition, Release } from '../../core/model.ts';
import { TestControlPlane } from '../testing/control-plane.ts';
import { KILL } from '../testing/rules.ts';
import { TestVehicle } from '../testing/test-vehicle.ts';
import type { FleetFlagAgent } from '../assembly/fleet-flag-agent.ts';
import { EvaluatedContents } from './evaluated-contents.ts';

const NEVER_MS = 600_000;
const SOON = { heartbeatMs: NEVER_MS, heartbeatSpreadMs: 5 };

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

/** Gives a release that has reached this vehicle. */
const releasing = (next: Partial<Release['next']>, percentage = 100): Pick<FlagDefinition, 'release'> => ({
  release: { id: 'ring', percentage, next: { defaultValue: false, rules: [], ...next } },
});

/**
 * Changes a flag, and waits until a heartbeat has reported the revision. Gives the contents that it names as evaluated.
 */
async function reportedAfter(key: string, change: Partial<FlagDefinition>) {
  const { revision } = await plane.put(key, change);
  await eventually(() => plane.heartbeats.at(-1)?.appliedRevision === revision, `revision ${revision} is reported`);
  return plane.heartbeats.at(-1)?.evaluated;
}

/** Waits until a heartbeat names exactly these contents. */
const reports = (...evaluated: object[]) =>
  eventually(
    () => JSON.stringify(plane.heartbeats.at(-1)?.evaluated) === JSON.stringify(evaluated),
    `a heartbeat reports ${JSON.stringify(evaluated)}`,
  );

async function started(): Promise<FleetFlagAgent> {
  const agent = await vehicle.start({ timings: SOON });
  await agent.ready();
  return agent;
}

test('a program that evaluates the new content of a release is reported soon, and for each stage from then on', async () => {
  await plane.put('eco');
  const agent = await started();
  expect(agent.booleanValue('eco', true)).toBe(false);
  // The programs have evaluated other content before.
  expect(await reportedAfter('eco', releasing({ defaultValue: true }, 99))).toEqual([]);
  expect(agent.booleanValue('eco', false)).toBe(true);
  await reports({ key: 'eco', revision: 2 });
  expect(await reportedAfter('eco', releasing({ defaultValue: true }, 100))).toEqual([{ key: 'eco', revision: 3 }]);
});

test('other content has to be evaluated again, and what is in no release is not reported', async () => {
  await plane.put('eco', releasing({ defaultValue: true }));
  await plane.put('other', { defaultValue: true });
  const agent = await started();
  agent.booleanValue('eco', false);
  agent.booleanValue('other', false);
  await reports({ key: 'eco', revision: 1 });
  const rules = [{ ...KILL, id: 'cold', conditions: { force_disabled: false } }];
  expect(await reportedAfter('eco', releasing({ defaultValue: true, rules }))).toEqual([]);
  agent.booleanValue('eco', false);
  await reports({ key: 'eco', revision: 3 });
  expect(await reportedAfter('eco', { defaultValue: true, rules, release: null })).toEqual([]);
});

test('no vehicle outside the ring, and none with the flag killed or disabled, reports an evaluation', async () => {
  await plane.put('eco', releasing({ defaultValue: true }, 0));
  const agent = await started();
  agent.booleanValue('eco', false);
  expect(await reportedAfter('eco', { ...releasing({ defaultValue: true }), enabled: false })).toEqual([]);
  agent.booleanValue('eco', false);
  expect(await reportedAfter('eco', { enabled: true, rules: [KILL] })).toEqual([]);
  agent.booleanValue('eco', false);
  // An evaluation of a killed flag does not evaluate its content.
  expect(await reportedAfter('eco', { rules: [] })).toEqual([]);
  agent.booleanValue('eco', false);
  await reports({ key: 'eco', revision: 4 });
});

test('a flag counts as evaluated where a program evaluates another that depends on it', async () => {
  await plane.put('heating', releasing({ defaultValue: true }));
  await plane.put('eco', { requires: [{ flag: 'heating', variants: ['control'] }] });
  const agent = await started();
  agent.booleanValue('eco', false);
  await reports({ key: 'heating', revision: 1 });
});

test('after a restart a content counts once it has been evaluated again', async () => {
  await plane.put('eco', releasing({ defaultValue: true }));
  const before = await started();
  before.booleanValue('eco', false);
  await reports({ key: 'eco', revision: 1 });
  await before.close();
  const from = plane.heartbeats.length;
  const agent = await started();
  await eventually(() => plane.heartbeats.length > from, 'the second start reports');
  expect(plane.heartbeats[from]?.evaluated).toEqual([]);
  agent.booleanValue('eco', false);
  await reports({ key: 'eco', revision: 1 });
});

test('an older control plane, which knows no evaluated contents, gets the rest of the heartbeat', async () => {
  const older = await TestControlPlane.silent();
  older.sdl = older.sdl.replace(' evaluated: [EvaluatedFlagInput!]', '');
  await older.listen();
  const other = await TestVehicle.create(older);
  try {
    await older.put('eco', releasing({ defaultValue: true }));
    const agent = await other.start({ timings: SOON });
    await eventually(() => older.heartbeats.at(-1)?.appliedRevision === 1, 'the revision is reported');
    agent.booleanValue('eco', false);
    await older.put('eco', releasing({ defaultValue: true }, 99));
    await eventually(() => older.heartbeats.at(-1)?.appliedRevision === 2, 'the next revision is reported');
    for (const heartbeat of older.heartbeats) expect(heartbeat).not.toHaveProperty('evaluated');
  } finally {
    await other.dispose();
    await older.stop();
  }
});

test('an evaluation of a stale definition does not count, and listeners hear of the first one that does', () => {
  const contents = new EvaluatedContents();
  let notified = 0;
  contents.onFirstEvaluation(() => (notified += 1));
  contents.follow([{ key: 'eco', revision: 3, digest: 'd', readers: ['eco'] }]);
  const definition = { key: 'eco' } as FlagDefinition;
  const evaluation = { value: true, variant: 'control', ruleId: null, revision: 3 };
  contents.note({ definition, evaluation: { ...evaluation, reason: 'STALE' } });
  expect([contents.list(), notified]).toEqual([[], 0]);
  for (const _ of [1, 2]) contents.note({ definition, evaluation: { ...evaluation, reason: 'DEFAULT' } });
  expect([contents.list(), notified]).toEqual([[{ key: 'eco', revision: 3 }], 1]);
});
