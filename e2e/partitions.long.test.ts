/** Three agents of three models as processes of their own: each has the flags of its model, through everything. */
import { isDeepStrictEqual } from 'node:util';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { Api } from './harness/api.ts';
import { Deployment } from './harness/deployment.ts';
import { MessageRelay } from './harness/message-relay.ts';
import { eventually } from './harness/process.ts';
import { VehicleProcess } from './harness/vehicle.ts';

/** The limit of an agent's process (design.md, "The agent"). */
const MEMORY_BYTES = 64 * 1024 * 1024;
const FACTS = { swVersion: '2.5.0', region: 'EU' };
const VINS = { first: 'KMHK281HGNU000001', second: 'KMHK281HGNU000002', third: 'KMHK281HGNU000003' } as const;
type Name = keyof typeof VINS;
const NAMES = ['first', 'second', 'third'] as const;
const MODELS: Record<Name, string> = { first: 'Ioniq 6', second: 'EV6', third: 'Kona' };
const KEYS = ['everywhere', 'cooling', 'charging', 'base', 'on_top'];

let deployment: Deployment;
let admin: Api;
let vehicles: Record<Name, VehicleProcess>;

const create = (key: string, input: object = {}) =>
  admin.ok('mutation ($input: CreateFlagInput!) { createFlag(input: $input) { applied } }', {
    input: {
      ...{ key, name: key, type: 'BOOLEAN', defaultValue: false, safetyLevel: 'NON_CRITICAL' },
      ...{ environment: 'PRODUCTION', enabled: true },
      ...input,
    },
  });
const setScope = (key: string, scope: readonly string[] | null) =>
  admin.ok('mutation ($key: String!, $input: UpdateFlagInput!) { updateFlag(key: $key, input: $input) { applied } }', {
    key,
    input: { scope },
  });
const turnOn = (key: string) =>
  admin.ok('mutation ($key: String!, $input: RuleInput!) { createRule(flagKey: $key, input: $input) { applied } }', {
    key,
    input: { type: 'PERCENTAGE_ROLLOUT', conditions: { rollout_percentage: 100 } },
  });
const register = (name: Name, model: string) =>
  admin.ok('mutation ($input: [RegisterVehicleInput!]!) { registerVehicles(input: $input) { vin } }', {
    input: [{ vin: VINS[name], model, ...FACTS }],
  });

beforeAll(async () => {
  deployment = await Deployment.start();
  admin = await Api.admin(deployment);
  await create('everywhere');
  const started = NAMES.map(async (name) => {
    const token = await admin.vehicle(VINS[name], { model: MODELS[name], ...FACTS });
    return [name, await VehicleProcess.start(deployment.wsUrl, token)] as const;
  });
  const found = new Map(await Promise.all(started));
  vehicles = { first: found.get('first')!, second: found.get('second')!, third: found.get('third')! };
}, 180_000);

afterAll(async () => {
  for (const name of NAMES) await vehicles?.[name].remove();
  await deployment?.remove();
}, 60_000);

async function keysOf(vehicle: VehicleProcess): Promise<string[]> {
  const found = await Promise.all(KEYS.map(async (key) => ((await vehicle.evaluate(key)).errorCode ? [] : [key])));
  return found.flat();
}

/**
 * Waits until a vehicle has exactly these flags. Its revision is not waited for: a change that does not concern its
 * partition reaches it with the next heartbeat, up to 66 s later.
 */
async function expectHeld(name: Name, partition: string, keys: readonly string[]): Promise<void> {
  const wanted = [...keys].sort((a, b) => KEYS.indexOf(a) - KEYS.indexOf(b));
  await eventually(
    async () =>
      (await vehicles[name].status()).partition === partition &&
      isDeepStrictEqual(await keysOf(vehicles[name]), wanted),
    `the ${name} vehicle has partition ${partition} with ${wanted.join(', ')}`,
  );
  const { flags, staleFlags, memoryBytes } = await vehicles[name].status();
  expect({ flags, staleFlags }).toEqual({ flags: keys.length, staleFlags: 0 });
  expect(memoryBytes).toBeLessThan(MEMORY_BYTES);
}

test('without a scope, vehicles of all models share one partition', async () => {
  for (const name of NAMES) await expectHeld(name, '*', ['everywhere']);
});

test('a scope is widened and narrowed while one vehicle is offline and one is killed', async () => {
  await create('cooling', { scope: ['EV6'] });
  await expectHeld('second', 'EV6', ['everywhere', 'cooling']);
  await expectHeld('first', '*', ['everywhere']);

  await vehicles.second.process.stop();
  await vehicles.third.process.stop('SIGKILL');
  await setScope('cooling', ['EV6', 'Kona']);
  await create('charging', { scope: ['Kona', 'Ioniq 6'] });
  await expectHeld('first', 'Ioniq 6', ['everywhere', 'charging']);
  await vehicles.second.up();
  await vehicles.third.up();
  await expectHeld('second', 'EV6', ['everywhere', 'cooling']);
  await expectHeld('third', 'Kona', ['everywhere', 'cooling', 'charging']);

  await vehicles.second.process.stop('SIGKILL');
  await vehicles.third.process.stop();
  for (const key of ['cooling', 'charging'])
    await admin.ok('mutation ($key: String!) { disableFlag(key: $key) { applied } }', { key });
  await setScope('cooling', ['Kona']);
  await setScope('charging', ['Ioniq 6']);
  await vehicles.second.up();
  await vehicles.third.up();
  await expectHeld('first', 'Ioniq 6', ['everywhere', 'charging']);
  await expectHeld('second', 'EV6', ['everywhere']);
  await expectHeld('third', 'Kona', ['everywhere', 'cooling']);
  for (const name of NAMES) expect((await vehicles[name].status()).refusals).not.toHaveProperty('incomplete');
}, 120_000);

test('a vehicle that is registered as another model gets the flags of that one, and loses those of the former', async () => {
  await register('third', 'Ioniq 6');
  await expectHeld('third', 'Ioniq 6', ['everywhere', 'charging']);
  // While it is off, too.
  await vehicles.third.process.stop('SIGKILL');
  await register('third', 'Kona');
  await vehicles.third.up();
  await expectHeld('third', 'Kona', ['everywhere', 'cooling']);
  expect((await vehicles.third.status()).refusals).not.toHaveProperty('incomplete');
}, 120_000);

test('its partition is on disk: with nobody to talk to, it starts with the flags of its model', async () => {
  await vehicles.third.process.stop('SIGKILL');
  await vehicles.third.up('ws://127.0.0.1:1/graphql');
  expect(await vehicles.third.status()).toMatchObject({ partition: 'Kona', flags: 2 });
  await vehicles.third.process.stop();
  await vehicles.third.up();
});

test('a change set that a lost connection cuts is there as a whole or not at all', async () => {
  const pair = ['left', 'right'];
  for (const key of pair) await create(key, { type: 'STRING', defaultValue: 'one', scope: ['Kona'] });
  const relay = await MessageRelay.open(deployment.wsUrl);
  const isSame = async () => {
    const { left, right } = await vehicles.third.values();
    expect(left).toBe(right);
    return left;
  };
  try {
    await vehicles.third.process.stop();
    await vehicles.third.up(relay.url);
    await eventually(async () => Object.keys(await vehicles.third.values()).includes('right'), 'it has both');
    let cuts = 0;
    for (let round = 1; cuts < 3; round++) {
      const value = `content ${round}`;
      let seen = 0;
      relay.meddle = (message) => {
        if (message.payload?.data?.flagChanges === undefined) return message;
        seen += 1;
        if (seen === 2) relay.cut();
        return seen === 1 ? message : null;
      };
      const { applyChanges } = await admin.ok<{ applyChanges: { applied: boolean } }>(
        `mutation ($changes: [ChangeInput!]!) {
          applyChanges(environment: PRODUCTION, changes: $changes) { applied }
        }`,
        { changes: pair.map((key) => ({ updateFlag: { key, input: { defaultValue: value } } })) },
      );
      expect(applyChanges.applied).toBe(true);
      // A vehicle that connects again at this moment gets both by its sync, and nothing is cut: then comes another
      // round.
      await eventually(async () => (await isSame()) === value || seen > 1, 'the connection is cut in between');
      cuts += seen > 1 ? 1 : 0;
      relay.meddle = (message) => message;
      await eventually(async () => (await isSame()) === value, `both are ${value}`);
    }
  } finally {
    await vehicles.third.process.stop();
    await relay.close();
    await vehicles.third.up();
  }
}, 120_000);

test('a changed segment changes the flags that name it, in the vehicles of their models alone', async () => {
  const save = (models: readonly string[]) =>
    admin.ok(
      `mutation ($conditions: JSON!) {
        saveSegment(key: "test_fleet", name: "Test fleet", conditions: $conditions) { applied }
      }`,
      { conditions: { models } },
    );
  const { left: before } = await vehicles.third.values();
  await save(['Niro']);
  await admin.ok(
    'mutation ($key: String!, $input: RuleInput!) { createRule(flagKey: $key, input: $input) { applied } }',
    {
      key: 'left',
      input: { type: 'VEHICLE_TARGET', conditions: { segment: 'test_fleet' }, value: 'targeted' },
    },
  );
  await vehicles.third.reaches(await admin.revision());
  expect(await vehicles.third.evaluate('left')).toMatchObject({ value: before });
  // The model by which a process of the test evaluates.
  await save(['Ioniq 6']);
  await vehicles.third.serves('left', 'targeted');
  expect((await vehicles.second.evaluate('left')).errorCode).toBe('FLAG_NOT_FOUND');
}, 120_000);

test('a killed prerequisite takes the flags along that need it in every vehicle', async () => {
  await create('base');
  await turnOn('base');
  await create('on_top', { requires: [{ flagKey: 'base' }], scope: ['EV6', 'Kona'] });
  await turnOn('on_top');
  for (const name of ['second', 'third'] as const) await vehicles[name].serves('on_top', true);
  await admin.ok('mutation { killSwitch(flagKey: "base", reason: "A fault in the field") { flag { killed } } }');
  await Promise.all(
    (['second', 'third'] as const).map((name) =>
      eventually(
        async () => (await vehicles[name].evaluate('on_top')).reason === 'PREREQUISITE_FAILED',
        `on_top has fallen back in the ${name} vehicle`,
      ),
    ),
  );
  expect(await vehicles.second.evaluate('on_top')).toMatchObject({ value: false, variant: 'control' });
}, 120_000);
