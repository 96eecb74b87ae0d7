import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { Api } from './harness/api.ts';
import { Deployment } from './harness/deployment.ts';
import { eventually } from './harness/process.ts';
import { VehicleProcess } from './harness/vehicle.ts';

const VIN = 'KMHK281HGNU000001';
const KEY = 'adas_lane_keep_v2';

let deployment: Deployment;
let admin: Api;
let vehicle: VehicleProcess;

beforeAll(async () => {
  deployment = await Deployment.start();
  admin = await Api.admin(deployment);
  vehicle = await VehicleProcess.start(deployment.wsUrl, await admin.vehicle(VIN));
}, 120_000);

afterAll(async () => {
  await vehicle?.remove();
  await deployment?.remove();
}, 60_000);

const inSync = async () => vehicle.reaches(await admin.revision());
const valueIs = (value: unknown) => vehicle.serves(KEY, value);

test('a flag that is created and enabled, a rule, a kill switch and its release each reach the vehicle', async () => {
  await admin.createFlag({ key: KEY, type: 'BOOLEAN', defaultValue: false, safetyLevel: 'ASIL_B' });
  await inSync();
  expect(await vehicle.evaluate(KEY)).toMatchObject({ value: false, reason: 'DEFAULT' });

  await admin.ok(
    'mutation ($key: String!, $input: RuleInput!) { createRule(flagKey: $key, input: $input) { flag { revision } } }',
    {
      key: KEY,
      input: { type: 'VEHICLE_WHITELIST', conditions: { vins: [VIN] } },
    },
  );
  await valueIs(true);
  expect(await vehicle.evaluate(KEY)).toMatchObject({ reason: 'TARGETING_MATCH', variant: 'enabled' });

  await admin.ok(
    'mutation { killSwitch(flagKey: "adas_lane_keep_v2", reason: "Steering fault in the field") { flag { killed } } }',
  );
  await valueIs(false);
  expect(await vehicle.evaluate(KEY)).toMatchObject({ reason: 'DISABLED' });

  await admin.ok(
    'mutation { releaseKillSwitch(flagKey: "adas_lane_keep_v2", reason: "Fixed in 2.5.1") { flag { killed } } }',
  );
  await valueIs(true);
});

test('an archived flag and one moved to another environment leave the vehicle', async () => {
  await admin.createFlag({ key: 'seat_heating', type: 'STRING', defaultValue: 'off', safetyLevel: 'NON_CRITICAL' });
  await inSync();
  await admin.ok('mutation { archiveFlag(key: "seat_heating") { applied } }');
  await admin.ok('mutation { updateFlag(key: "adas_lane_keep_v2", input: { environment: STAGING }) { applied } }');
  await eventually(async () => (await vehicle.status()).flags === 0, 'the vehicle has no flags');
  expect(await vehicle.evaluate(KEY)).toMatchObject({ errorCode: 'FLAG_NOT_FOUND' });
});
