/** Segments through the gateway: what one subgraph decides and another counts. */
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { eventually } from '../core/testing/eventually.ts';
import { EveryCaller } from './testing/every-caller.ts';

const VINS = ['KMHK281HGNU100001', 'KMHK281HGNU100002', 'KMHK281HGNU100003'];
const counts = { matched: 1, total: expect.any(Number) };

let every: EveryCaller;

beforeAll(async () => {
  every = await EveryCaller.start();
});
afterAll(() => every?.close());

async function ok<Data>(query: string, variables: object = {}): Promise<Data> {
  const { headers } = await every.as('ADMIN');
  const response = await fetch(every.url, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify({ query, variables }),
  });
  const { data, errors } = (await response.json()) as { data: Data; errors?: unknown };
  expect(errors).toBeUndefined();
  return data;
}

test('a segment is saved, counted, previewed with its flags, and follows the tags of vehicles', async () => {
  await ok('mutation ($input: [RegisterVehicleInput!]!) { registerVehicles(input: $input) { vin } }', {
    input: VINS.map((vin, n) => ({ vin, model: 'EV9', swVersion: '2.5.0', region: n === 0 ? 'ZZ' : 'ZY' })),
  });
  await ok('mutation { saveSegment(key: "zz_fleet", name: "ZZ", conditions: { regions: ["ZZ"] }) { applied } }');
  await ok(
    'mutation { createFlag(input: { key: "segmented", name: "S", type: BOOLEAN, defaultValue: false, safetyLevel: NON_CRITICAL, environment: PRODUCTION, enabled: true }) { applied } }',
  );
  await ok(
    'mutation { createRule(flagKey: "segmented", input: { type: VEHICLE_TARGET, conditions: { segment: "zz_fleet" } }) { applied } }',
  );
  expect(
    await ok(
      '{ segment(key: "zz_fleet") { key name conditions flags { key } audience { matched total sample { vin } } } }',
    ),
  ).toEqual({
    segment: {
      ...{ key: 'zz_fleet', name: 'ZZ', conditions: { regions: ['ZZ'] }, flags: [{ key: 'segmented' }] },
      audience: { ...counts, sample: [{ vin: VINS[0] }] },
    },
  });
  expect(
    await ok(
      '{ previewSegment(key: "zz_fleet", conditions: { regions: ["ZY"] }) { before { matched total } after { matched } changes { flag { key } preview { audience { changedVehicles } } } } }',
    ),
  ).toEqual({
    previewSegment: {
      ...{ before: counts, after: { matched: 2 } },
      changes: [{ flag: { key: 'segmented' }, preview: { audience: { changedVehicles: 3 } } }],
    },
  });
  await ok('mutation { saveSegment(key: "zz_fleet", name: "ZZ", conditions: { tags: ["press"] }) { applied } }');
  const value = async (vin = '') =>
    (
      await ok<{ evaluateFlag: { value: boolean } }>(
        'query ($vin: String!) { evaluateFlag(key: "segmented", context: { vin: $vin }) { value } }',
        { vin },
      )
    ).evaluateFlag.value;
  expect(await value(VINS[2])).toBe(false);
  await ok('mutation ($input: [VehicleTagsInput!]!) { setVehicleTags(input: $input) { tags } }', {
    input: [{ vin: VINS[2], add: ['press'] }],
  });
  await eventually(() => value(VINS[2]), 'the tagged vehicle gets the flag');
  expect(await value(VINS[1])).toBe(false);
});
