/** Each test is a sentence of design.md, "Trust in what a vehicle applies". */
import { readFile, writeFile } from 'node:fs/promises';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import initSqlJs from 'sql.js';
import type { FlagDefinition, RuleDefinition } from '../../core/model.ts';
import type { FleetFlagAgentOptions } from '../assembly/agent-options.ts';
import type { FleetFlagAgent } from '../assembly/fleet-flag-agent.ts';
import { TestControlPlane } from '../testing/control-plane.ts';
import { TestVehicle } from '../testing/test-vehicle.ts';
import { eventually } from '../../core/testing/eventually.ts';
import { KILL, ON } from '../testing/rules.ts';
import { NEVER_MS, incompleteSets, syncedAgent, withoutFlag } from '../testing/synced-agent.ts';

const UNKNOWN = {
  id: 'new',
  type: 'lunar_phase',
  priority: 9,
  enabled: true,
  conditions: {},
} as unknown as RuleDefinition;
/** Timings with which no request is repeated during a test. */
const PATIENT = { backoffMs: NEVER_MS, backoffCapMs: NEVER_MS, rareBackoffMs: NEVER_MS, rareBackoffCapMs: NEVER_MS };

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

const synced = (timings: FleetFlagAgentOptions['timings'] = {}) => syncedAgent(plane, vehicle, timings);

test('an environment without flags has a proof, and a time of it', async () => {
  const agent = await vehicle.start();
  await agent.ready();
  expect(agent.status()).toMatchObject({ flags: 0, revision: 0, proof: { revision: 0, held: true }, refusals: {} });
  expect(agent.status().lastStatementAt).toBe(agent.status().proof?.issuedAt);
});

describe('a relay without keys that keeps a kill switch back', () => {
  test('is noticed: the revision is not reported, the flags age, and the first honest contact repairs it', async () => {
    let clock = Date.now();
    plane.now = () => clock;
    await plane.put('a', { rules: [ON] });
    await plane.put('b', { rules: [ON] });
    const agent = await vehicle.start({
      now: () => clock,
      random: () => 0.5,
      timings: { heartbeatMs: 20, heartbeatSpreadMs: 1 },
    });
    await eventually(() => agent.status().revision === 2, 'it holds everything');
    plane.onChange = (change) => (change.signed.key === 'a' ? [] : [change]);
    plane.onSync = withoutFlag('a');
    await plane.put('a', { rules: [ON, KILL] });
    await plane.put('b', { rules: [] });
    await eventually(() => incompleteSets(agent) > 0, 'it is noticed');
    clock += 8 * 86_400_000;
    const { length } = plane.heartbeats;
    await eventually(() => plane.heartbeats.length > length + 3, 'there were further heartbeats');
    expect(plane.heartbeats.every(({ appliedRevision = 0 }) => appliedRevision <= 2)).toBe(true);
    expect(agent.status()).toMatchObject({ revision: 2, evaluatedRevision: 2, staleFlags: 2 });
    expect(agent.booleanDetails('a', true)).toMatchObject({ value: false, reason: 'STALE' });
    plane.onSync = (answer) => answer;
    await eventually(() => agent.status().revision === 4, 'it is right again');
    expect(agent.booleanDetails('a', true)).toMatchObject({ value: false, reason: 'DISABLED' });
    expect(agent.status()).toMatchObject({ staleFlags: 0, proof: { revision: 4, held: true } });
  });

  test('is noticed by the proof that comes with a heartbeat, even where the stream is silent', async () => {
    await plane.put('a', { rules: [ON] });
    const agent = await synced({ heartbeatMs: 20 });
    plane.onChange = () => [];
    await plane.put('a', { rules: [KILL] });
    await eventually(() => !agent.booleanValue('a', true), 'the kill switch acts');
    expect(new Set(plane.syncs)).toEqual(new Set([1]));
  });
});

describe('what is held and what is served', () => {
  const unservable: [string, Partial<FlagDefinition>, reason?: string][] = [
    ['an unknown rule', { rules: [UNKNOWN] }],
    [
      'a rule whose conditions are not understood',
      { rules: [{ ...ON, conditions: { rollout_percentage: 100, on_the_moon: true } }] },
    ],
    ['a value outside its type', { defaultValue: 'text' }],
    ['dependencies that are not understood', { requires: [{ flag: 'b', below: 3 } as never] }],
    ['an unknown type', { type: 'colour' as never, defaultValue: 'red' }],
    ['a value contract that is not understood', { valueSchema: { pattern: 'a' } }],
    ['a default value outside its value contract', { valueSchema: { const: true } }, 'outside-contract'],
    ['a rule outside its value contract', { rules: [ON], valueSchema: { const: false } }, 'outside-contract'],
    [
      'a disabled rule outside its value contract',
      { rules: [{ ...ON, enabled: false, value: true }], valueSchema: { enum: [false] } },
      'outside-contract',
    ],
  ];

  test.each(unservable)(
    'a definition with %s counts for the set, is reported, and the content before is served, over a start too',
    async (_what, change, reason = 'not-servable') => {
      await plane.put('a', { rules: [ON] });
      const agent = await synced();
      await plane.put('a', change);
      await eventually(() => agent.status().revision === 2, 'its revision is held');
      const serves = (vehicles: FleetFlagAgent) => {
        expect(vehicles.booleanDetails('a', false)).toMatchObject({
          value: true,
          reason: 'SPLIT',
          flagMetadata: { revision: 1 },
        });
        expect(vehicles.status()).toMatchObject({
          revision: 2,
          unservedFlags: ['a'],
          proof: { revision: 2, held: true },
        });
      };
      serves(agent);
      expect(agent.status().refusals).toEqual({ [reason]: 1 });
      await agent.close();
      await plane.stop();
      const again = await vehicle.start();
      serves(again);
      expect(again.status().store.faults).toEqual([]);
    },
  );

  test('a definition that cannot be served keeps no kill switch of another flag from acting', async () => {
    await plane.put('a', { rules: [ON] });
    await plane.put('b', { rules: [ON] });
    const agent = await synced();
    await plane.inOneLook(async () => {
      await plane.put('a', { type: 'colour' as never });
      await plane.put('b', { rules: [ON, KILL] });
    });
    await eventually(() => agent.status().revision === 4, 'both are held');
    expect(agent.booleanDetails('b', true)).toMatchObject({ value: false, reason: 'DISABLED' });
    expect(agent.booleanValue('a', false)).toBe(true);
  });

  test.each<[string, Partial<FlagDefinition>]>([
    ['a kill switch beside an unknown rule', { rules: [UNKNOWN, KILL] }],
    ['a disabling beside an unknown rule', { enabled: false, rules: [UNKNOWN] }],
    ['a kill switch with a default value that cannot be read', { defaultValue: 'text', rules: [KILL] }],
    [
      'a kill switch beside a value outside the value contract',
      { rules: [{ ...ON, value: true }, KILL], valueSchema: { const: false } },
    ],
    ['a kill switch with a default value outside the value contract', { valueSchema: { const: true }, rules: [KILL] }],
    ['a disabling with a value contract that is not understood', { enabled: false, valueSchema: { pattern: 'a' } }],
    ['a disabling of an unknown type', { enabled: false, type: 'colour' as never, defaultValue: 'red' }],
  ])('%s still stops its flag, and later definitions do not start it again', async (_what, change) => {
    await plane.put('a', { rules: [ON] });
    const agent = await synced();
    await plane.put('a', change);
    await eventually(() => agent.status().revision === 2, 'it is held');
    expect(agent.booleanDetails('a', true)).toMatchObject({ value: false, reason: 'DISABLED' });
    await plane.put('a', { type: 'colour' as never, enabled: true, defaultValue: 'red', rules: [] });
    await eventually(() => agent.status().revision === 3, 'the next is held');
    expect(agent.booleanDetails('a', true)).toMatchObject({ value: false, reason: 'DISABLED' });
    await agent.close();
    const again = await vehicle.start({ url: 'ws://127.0.0.1:1/graphql' });
    expect(again.booleanDetails('a', true)).toMatchObject({ value: false, reason: 'DISABLED' });
  });

  test('without any content before, the default is served where it can be read, and nothing where it cannot', async () => {
    await plane.put('a', { rules: [ON, UNKNOWN] });
    await plane.put('b', { type: 'colour' as never, defaultValue: 'red' });
    const agent = await synced();
    expect(agent.booleanDetails('a', true)).toMatchObject({ value: false, reason: 'DEFAULT' });
    expect(agent.booleanDetails('b', true)).toMatchObject({ value: true, errorCode: 'FLAG_NOT_FOUND' });
    expect(agent.status()).toMatchObject({ revision: 2, unservedFlags: ['a', 'b'] });
    await plane.put('b', { type: 'boolean', defaultValue: true });
    await eventually(() => agent.status().revision === 3, 'it can be served');
    expect(agent.booleanValue('b', false)).toBe(true);
    await agent.close();
    const again = await vehicle.start({ url: 'ws://127.0.0.1:1/graphql' });
    expect(again.status()).toMatchObject({ flags: 2, unservedFlags: ['a'], store: { faults: [] } });
  });

  test('without any content before, no default is served that is outside its value contract', async () => {
    await plane.put('a', { rules: [ON], valueSchema: { const: false } });
    await plane.put('b', { valueSchema: { const: true } });
    await plane.put('c', { valueSchema: { const: true }, enabled: false });
    const agent = await synced();
    expect(agent.booleanDetails('a', true)).toMatchObject({ value: false, reason: 'DEFAULT' });
    for (const key of ['b', 'c'])
      expect(agent.booleanDetails(key, true)).toMatchObject({ value: true, errorCode: 'FLAG_NOT_FOUND' });
    expect(agent.status()).toMatchObject({ revision: 3, unservedFlags: ['a', 'b', 'c'] });
    expect(agent.status().refusals).toEqual({ 'outside-contract': 3 });
  });

  test('a definition of a newer form belongs to the set', async () => {
    await plane.put('a', { rules: [ON] });
    const agent = await synced();
    plane.definitionVersion = 7;
    await plane.put('a', { rules: [] });
    await eventually(() => agent.status().revision === 2, 'it is held');
    expect(agent.booleanValue('a', false)).toBe(true);
  });
});

describe('a kill switch', () => {
  test.each<[string, Partial<FlagDefinition>]>([
    ['is pulled', { rules: [ON, KILL] }],
    ['is a disabling', { enabled: false }],
  ])('that %s acts at once, waits for no set, and survives kill -9; the rest waits, and ages', async (_what, stop) => {
    await plane.put('a', { rules: [ON] });
    await plane.put('b', { rules: [ON] });
    const agent = await synced(PATIENT);
    plane.onSync = withoutFlag('b');
    plane.onChange = (change) => (change.signed.key === 'b' ? [] : [change]);
    await plane.put('b', { rules: [] });
    await plane.put('a', stop);
    await eventually(() => !agent.booleanValue('a', true), 'it acts');
    expect(agent.status()).toMatchObject({ revision: 2, evaluatedRevision: 2 });
    expect(agent.booleanValue('b', false)).toBe(true);
    // The file as it is now, without a clean stop.
    const copy = `${vehicle.folder}/copy.db`;
    await writeFile(copy, await readFile(vehicle.databaseFile));
    const after = await vehicle.start({ databaseFile: copy, url: 'ws://127.0.0.1:1/graphql' });
    expect(after.booleanDetails('a', true)).toMatchObject({ value: false, reason: 'DISABLED' });
    expect(after.status()).toMatchObject({ revision: 2, store: { faults: [] }, proof: { revision: 2, held: true } });
  });

  test('takes effect from an incomplete answer, too', async () => {
    for (const key of ['a', 'b']) await plane.put(key, { rules: [ON] });
    const agent = await synced({ rareBackoffMs: NEVER_MS, rareBackoffCapMs: NEVER_MS, heartbeatMs: 20 });
    plane.onChange = () => [];
    plane.onSync = withoutFlag('b');
    await plane.put('b', { rules: [] });
    await plane.put('a', { rules: [KILL] });
    await eventually(() => !agent.booleanValue('a', true), 'it acts');
    await eventually(() => incompleteSets(agent) > 0, 'what is missing is noticed');
    expect(agent.status()).toMatchObject({ revision: 2, proof: { revision: 2, held: true } });
    expect(agent.booleanValue('b', false)).toBe(true);
  });

  test('is not undone by a release that came without its set, nor by a replay of what was before, and is by the release with it', async () => {
    await plane.put('a', { rules: [ON] });
    await plane.put('b', { rules: [ON] });
    const agent = await synced({ rareBackoffMs: NEVER_MS, rareBackoffCapMs: NEVER_MS });
    const [before] = plane.published;
    plane.onSync = withoutFlag('hidden');
    plane.onChange = (change) => (change.signed.key === 'hidden' ? [] : [change]);
    await plane.put('hidden');
    await plane.put('a', { rules: [KILL] });
    await plane.put('a', { rules: [ON] });
    const proof = await plane.proof();
    plane.onChange = (change) => [{ ...change, revision: 1, previousRevision: 0, signed: before!, proof }, change];
    await plane.put('b', { rules: [KILL] });
    // Events are handled in their order, so that the earlier ones have been handled by then.
    await eventually(() => !agent.booleanValue('b', true), 'the last one acts');
    expect(agent.booleanDetails('a', true)).toMatchObject({ value: false, reason: 'DISABLED' });
    plane.onSync = (answer) => answer;
    plane.disconnect(1012);
    await eventually(() => agent.status().revision === plane.revision, 'the set is complete');
    expect(agent.booleanDetails('a', false)).toMatchObject({ value: true, reason: 'SPLIT' });
    expect(agent.booleanDetails('b', true)).toMatchObject({ value: false, reason: 'DISABLED' });
  });
});

describe('events that a server reads in one look', () => {
  test('are applied together when their set is complete, without a request', async () => {
    for (const key of ['a', 'b', 'c']) await plane.put(key, { rules: [ON] });
    const agent = await synced({ aheadMs: NEVER_MS });
    const seen: number[] = [];
    agent.onChange(() => seen.push(agent.status().evaluatedRevision));
    await plane.inOneLook(async () => {
      await plane.put('a', { rules: [] });
      await plane.put('b', { rules: [] });
      await plane.put('a', { rules: [ON], defaultValue: true });
      await plane.remove('c');
    });
    await eventually(() => agent.status().revision === 7, 'all are applied');
    expect(seen).toEqual([7, 7, 7]);
    expect(plane.syncs).toEqual([]);
    expect(agent.status().refusals).toEqual({});
  });

  test('of which the last is late are not applied before it', async () => {
    await plane.put('a', { rules: [ON] });
    await plane.put('b', { rules: [ON] });
    const agent = await synced({ aheadMs: NEVER_MS, heartbeatMs: 5 });
    let release: () => void = () => undefined;
    const late = new Promise<void>((resolve) => (release = resolve));
    plane.onChange = async (change) => {
      if (change.signed.key === 'b') await late;
      return [change];
    };
    // A heartbeat between the two would prove the first alone, which may be applied then.
    const former = await plane.proof();
    plane.onProof = () => former;
    const both = plane.inOneLook(async () => {
      await plane.put('a', { rules: [] });
      await plane.put('b', { rules: [] });
      plane.onProof = (proof) => proof;
    });
    plane.onSync = () => new Promise<never>(() => undefined);
    // Their answers come behind the first change, over the same socket.
    const { length } = plane.heartbeats;
    await eventually(() => plane.heartbeats.length > length + 3, 'it has had the first');
    expect(agent.status()).toMatchObject({ revision: 2 });
    expect(agent.booleanValue('a', false)).toBe(true);
    release();
    await both;
    await eventually(() => agent.status().revision === 4, 'both are applied');
    expect(plane.syncs).toEqual([]);
  });
});

describe('the stored proof is compared again at the start', () => {
  test('so that a row that was taken out of the file is noticed, and the revision not reported', async () => {
    for (const key of ['a', 'b']) await plane.put(key, { rules: [ON] });
    await (await synced()).close();
    const sql = await initSqlJs();
    const database = new sql.Database(await readFile(vehicle.databaseFile));
    database.run("DELETE FROM flags_cache WHERE key = 'a'");
    await writeFile(vehicle.databaseFile, database.export());
    database.close();
    await plane.stop();
    plane.heartbeats.length = 0;
    const agent = await vehicle.start({ timings: { heartbeatSpreadMs: 1 } });
    expect(agent.status()).toMatchObject({
      revision: 0,
      evaluatedRevision: 0,
      flags: 1,
      refusals: { 'stored-flag': 1 },
      proof: { held: false },
    });
    await plane.listen();
    await eventually(() => agent.status().revision === 2, 'it is whole again');
    expect(plane.syncs.at(-1)).toBe(0);
    await eventually(
      () => plane.heartbeats.some(({ appliedRevision }) => appliedRevision === 2),
      'the heartbeat has arrived',
    );
    expect(
      plane.heartbeats.every(({ appliedRevision }) => appliedRevision === undefined || appliedRevision === 2),
    ).toBe(true);
  });

  test('so that an older row in the place of the newer is noticed', async () => {
    await plane.put('a', { rules: [ON] });
    const first = await synced();
    await first.close();
    const sql = await initSqlJs();
    const [older] = new sql.Database(await readFile(vehicle.databaseFile)).exec('SELECT metadata FROM flags_cache')[0]!
      .values[0]!;
    const again = await vehicle.start();
    await eventually(() => again.inTouch, 'it is connected');
    await plane.put('a', { rules: [] });
    await eventually(() => again.status().revision === 2, 'it has the newer');
    await again.close();
    await plane.stop();
    const database = new sql.Database(await readFile(vehicle.databaseFile));
    database.run('UPDATE flags_cache SET metadata = ?', [older!]);
    await writeFile(vehicle.databaseFile, database.export());
    database.close();
    const agent = await vehicle.start();
    expect(agent.status()).toMatchObject({ revision: 0, refusals: { 'stored-flag': 1 }, proof: { held: false } });
  });
});
