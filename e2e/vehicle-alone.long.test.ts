/** A vehicle that cannot reach its control plane, and one whose messages are withheld. */
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { Api } from './harness/api.ts';
import { ControlPlaneWithVehicle } from './harness/control-plane-with-vehicle.ts';
import { MessageRelay } from './harness/message-relay.ts';
import { eventually } from './harness/process.ts';

const VIN = 'KMHK281HGNU000001';
const KEY = 'adas_lane_keep_v2';

let plane: ControlPlaneWithVehicle;
/** The administrator, who signs in again after each stop of the control plane. */
let admin: Api;

beforeAll(async () => {
  plane = await ControlPlaneWithVehicle.start(VIN);
  admin = plane.admin;
  await admin.createFlag({ key: KEY, type: 'BOOLEAN', defaultValue: false, safetyLevel: 'ASIL_B' });
  await admin.ok(
    'mutation ($key: String!, $input: RuleInput!) { createRule(flagKey: $key, input: $input) { applied } }',
    {
      key: KEY,
      input: { type: 'VEHICLE_WHITELIST', conditions: { vins: [VIN] } },
    },
  );
}, 120_000);

afterAll(() => plane?.remove(), 60_000);

const inSync = async () => plane.vehicle.reaches(await admin.revision());

test('the vehicle evaluates with the control plane stopped, from its file with no network, and catches up on exactly what it missed', async () => {
  const { deployment, vehicle } = plane;
  await inSync();
  const before = (await vehicle.status()).revision;
  await deployment.down();
  await eventually(async () => !(await vehicle.status()).connected, 'the vehicle has noticed that it is alone');
  expect(await vehicle.evaluate(KEY)).toMatchObject({ value: true, reason: 'TARGETING_MATCH' });

  // kill -9, and a new process that finds nobody to talk to.
  await vehicle.process.stop('SIGKILL');
  await vehicle.up();
  expect(await vehicle.evaluate(KEY)).toMatchObject({ value: true, reason: 'TARGETING_MATCH' });
  expect(await vehicle.status()).toMatchObject({ revision: before, connected: false });
  await vehicle.process.stop();

  // Changes while the vehicle is off.
  await deployment.up();
  admin = await Api.admin(deployment);
  await admin.ok('mutation { disableFlag(key: "adas_lane_keep_v2") { applied } }');
  await admin.createFlag({ key: 'seat_heating', type: 'STRING', defaultValue: 'off', safetyLevel: 'NON_CRITICAL' });
  await vehicle.up();
  const [, since, missed] = await vehicle.process.printed(/synced to revision \d+ since=(\d+) changed=(\d+)/, 'stderr');
  await vehicle.serves(KEY, false);
  expect(await vehicle.evaluate(KEY)).toMatchObject({ reason: 'DISABLED' });
  expect(await vehicle.evaluate('seat_heating')).toMatchObject({ value: 'off' });
  expect((await vehicle.status()).revision).toBe(before + 2);
  expect([Number(since), Number(missed)]).toEqual([before, 2]);
}, 120_000);

test('a relay without keys that takes a kill switch out of what passes is noticed, proves no flag fresh, and ends with the first honest contact', async () => {
  const { deployment, vehicle } = plane;
  await vehicle.process.stop();
  const relay = await MessageRelay.open(deployment.wsUrl);
  try {
    await vehicle.up(relay.url);
    await admin.ok('mutation { enableFlag(key: "adas_lane_keep_v2") { applied } }');
    await vehicle.serves(KEY, true);
    await inSync();
    const before = await vehicle.status();
    relay.meddle = (message) => {
      const { flagChanges, flagSync } = message.payload?.data ?? {};
      if (flagChanges?.signed.key === KEY) return null;
      if (flagSync === undefined) return message;
      return {
        ...message,
        payload: { data: { flagSync: { ...flagSync, flags: flagSync.flags.filter(({ key }) => key !== KEY) } } },
      };
    };
    await admin.ok(
      'mutation { killSwitch(flagKey: "adas_lane_keep_v2", reason: "Steering fault in the field") { flag { killed } } }',
    );
    await admin.ok('mutation { updateFlag(key: "seat_heating", input: { defaultValue: "low" }) { applied } }');
    await eventually(async () => ((await vehicle.status()).refusals['incomplete'] ?? 0) > 0, 'the vehicle has noticed');
    const meanwhile = await vehicle.status();
    expect(meanwhile).toMatchObject({ revision: before.revision, lastStatementAt: before.lastStatementAt });
    expect(await vehicle.evaluate('seat_heating')).toMatchObject({ value: 'off' });
    expect(meanwhile.proof).toMatchObject({ revision: before.revision, held: true });

    relay.meddle = (message) => message;
    relay.cut();
    await vehicle.serves(KEY, false);
    expect(await vehicle.evaluate(KEY)).toMatchObject({ reason: 'DISABLED' });
    await inSync();
  } finally {
    await relay.close();
    await vehicle.process.stop();
    await vehicle.up();
  }
}, 120_000);
