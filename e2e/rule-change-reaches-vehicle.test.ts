import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { ControlPlaneWithVehicle } from './harness/control-plane-with-vehicle.ts';
import { eventually } from './harness/process.ts';

const VIN = 'KMHK281HGNU000001';
const KEY = 'adas_lane_keep_v2';

let plane: ControlPlaneWithVehicle;

beforeAll(async () => {
  plane = await ControlPlaneWithVehicle.start(VIN);
}, 120_000);

afterAll(() => plane?.remove(), 60_000);

test('a flag that is created and enabled, a rule, a kill switch and its release each reach the vehicle', async () => {
  const { admin, vehicle } = plane;
  await admin.createFlag({ key: KEY, type: 'BOOLEAN', defaultValue: false, safetyLevel: 'ASIL_B' });
  await vehicle.reaches(await admin.revision());
  expect(await vehicle.evaluate(KEY)).toMatchObject({ value: false, reason: 'DEFAULT' });

  await admin.ok(
    'mutation ($key: String!, $input: RuleInput!) { createRule(flagKey: $key, input: $input) { flag { revision } } }',
    {
      key: KEY,
      input: { type: 'VEHICLE_WHITELIST', conditions: { vins: [VIN] } },
    },
  );
  await vehicle.serves(KEY, true);
  expect(await vehicle.evaluate(KEY)).toMatchObject({ reason: 'TARGETING_MATCH', variant: 'enabled' });

  await admin.ok(
    'mutation { killSwitch(flagKey: "adas_lane_keep_v2", reason: "Steering fault in the field") { flag { killed } } }',
  );
  await vehicle.serves(KEY, false);
  expect(await vehicle.evaluate(KEY)).toMatchObject({ reason: 'DISABLED' });

  await admin.ok(
    'mutation { releaseKillSwitch(flagKey: "adas_lane_keep_v2", reason: "Fixed in 2.5.1") { flag { killed } } }',
  );
  await vehicle.serves(KEY, true);
});

test('an archived flag and one moved to another environment leave the vehicle', async () => {
  const { admin, vehicle } = plane;
  await admin.createFlag({ key: 'seat_heating', type: 'STRING', defaultValue: 'off', safetyLevel: 'NON_CRITICAL' });
  await vehicle.reaches(await admin.revision());
  await admin.ok('mutation { archiveFlag(key: "seat_heating") { applied } }');
  await admin.ok('mutation { updateFlag(key: "adas_lane_keep_v2", input: { environment: STAGING }) { applied } }');
  await eventually(async () => (await vehicle.status()).flags === 0, 'the vehicle has no flags');
  expect(await vehicle.evaluate(KEY)).toMatchObject({ errorCode: 'FLAG_NOT_FOUND' });
});
