import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { Api } from './harness/api.ts';
import { Deployment } from './harness/deployment.ts';

let deployment: Deployment;
let admin: Api;

const CREATE_FLAG = 'mutation ($input: CreateFlagInput!) { createFlag(input: $input) { flag { key revision } } }';
const CREATE_RULE =
  'mutation ($key: String!, $input: RuleInput!) { createRule(flagKey: $key, input: $input) { flag { revision } } }';
const REGISTER = 'mutation ($input: [RegisterVehicleInput!]!) { registerVehicles(input: $input) { vin } }';

const flag = (over: Record<string, unknown> = {}) => ({
  input: {
    key: 'eco_mode',
    name: 'Eco mode',
    type: 'STRING',
    defaultValue: 'off',
    safetyLevel: 'NON_CRITICAL',
    environment: 'DEVELOPMENT',
    ...over,
  },
});
const rule = (input: Record<string, unknown>) => ({ key: 'eco_mode', input });

beforeAll(async () => {
  deployment = await Deployment.start();
  admin = await Api.admin(deployment);
  await admin.ok(CREATE_FLAG, flag());
  await admin.ok(CREATE_RULE, rule({ type: 'PERCENTAGE_ROLLOUT', conditions: { rollout_percentage: 10 } }));
}, 120_000);

afterAll(async () => {
  await deployment?.remove();
}, 60_000);

const cases: [string, string, Record<string, unknown>, Record<string, unknown>][] = [
  [
    'an unknown field of an input',
    CREATE_FLAG,
    flag({ colour: 'red' }),
    { code: 'BAD_USER_INPUT', field: 'input.colour' },
  ],
  ['a wrong type', CREATE_FLAG, flag({ name: 5 }), { code: 'BAD_USER_INPUT', field: 'input.name' }],
  [
    'an unknown environment',
    CREATE_FLAG,
    flag({ environment: 'MARS' }),
    { code: 'BAD_USER_INPUT', field: 'input.environment' },
  ],
  ['a missing field', CREATE_FLAG, { input: { key: 'x' } }, { code: 'BAD_USER_INPUT' }],
  ['a malformed key', CREATE_FLAG, flag({ key: 'no spaces' }), { code: 'BAD_USER_INPUT', field: 'input.key' }],
  [
    'a default value of another type',
    CREATE_FLAG,
    flag({ key: 'other', defaultValue: 7 }),
    { code: 'BAD_USER_INPUT', field: 'input.defaultValue' },
  ],
  ['a duplicate key', CREATE_FLAG, flag(), { code: 'CONFLICT', field: 'input.key' }],
  [
    'an unknown field of a selection',
    '{ flags { nodes { colour } } }',
    {},
    { code: 'BAD_USER_INPUT', field: 'flags.nodes.colour' },
  ],
  ['a syntax error', '{ flags { nodes {', {}, { code: 'BAD_USER_INPUT' }],
  [
    'a second rule with the same type and priority',
    CREATE_RULE,
    rule({ type: 'PERCENTAGE_ROLLOUT', conditions: { rollout_percentage: 20 } }),
    { code: 'CONFLICT', field: 'input.priority', currentRevision: 2 },
  ],
  [
    'a percentage over 100',
    CREATE_RULE,
    rule({ type: 'PERCENTAGE_ROLLOUT', priority: 2, conditions: { rollout_percentage: 101 } }),
    { code: 'BAD_USER_INPUT', field: 'input.conditions.rollout_percentage' },
  ],
  [
    'an impossible range',
    CREATE_RULE,
    rule({ type: 'VEHICLE_TARGET', conditions: { sw_version: '>=3.0.0 <2.0.0' } }),
    { code: 'BAD_USER_INPUT', field: 'input.conditions.sw_version' },
  ],
  [
    'conditions of another rule type',
    CREATE_RULE,
    rule({ type: 'VEHICLE_WHITELIST', conditions: { rollout_percentage: 5 } }),
    { code: 'BAD_USER_INPUT' },
  ],
  [
    'an invalid VIN in a whitelist',
    CREATE_RULE,
    rule({ type: 'VEHICLE_WHITELIST', conditions: { vins: ['KMHK281HGNU000001', 'OOPS'] } }),
    { code: 'BAD_USER_INPUT', field: 'input.conditions.vins.1' },
  ],
  [
    "a value that does not fit the flag's type",
    CREATE_RULE,
    rule({ type: 'VEHICLE_TARGET', conditions: { regions: ['EU'] }, value: 5 }),
    { code: 'BAD_USER_INPUT', field: 'input.value' },
  ],
  [
    'a flag that does not exist',
    'mutation { enableFlag(key: "nothing") { applied } }',
    {},
    { code: 'NOT_FOUND', field: 'key' },
  ],
  [
    'a rule that does not exist',
    'mutation { deleteRule(id: "nothing") { applied } }',
    {},
    { code: 'NOT_FOUND', field: 'id' },
  ],
  [
    'an edit of a revision that has passed',
    'mutation { enableFlag(key: "eco_mode", expectedRevision: 1) { applied } }',
    {},
    { code: 'CONFLICT', currentRevision: 2 },
  ],
  [
    'a kill switch with no reason',
    'mutation { killSwitch(flagKey: "eco_mode", reason: " ") { applied } }',
    {},
    { code: 'BAD_USER_INPUT', field: 'reason' },
  ],
  [
    'an invalid VIN at registration',
    REGISTER,
    {
      input: [
        { vin: 'KMHK281HGNU000001', model: 'A', swVersion: '1.0.0', region: 'EU' },
        { vin: 'IOQ', model: 'A', swVersion: '1.0.0', region: 'EU' },
      ],
    },
    { code: 'BAD_USER_INPUT', field: 'input.1.vin' },
  ],
  [
    'a token for an unknown vehicle',
    'mutation { issueVehicleToken(vin: "KMHK281HGNU999999") { token } }',
    {},
    { code: 'NOT_FOUND', field: 'vin' },
  ],
  ['a page too large', '{ flags(first: 1000) { totalCount } }', {}, { code: 'BAD_USER_INPUT', field: 'first' }],
];

test.each(cases)('%s is refused with its code and the path of the fault', async (_what, query, variables, expected) => {
  expect(await admin.refused(query, variables)).toMatchObject(expected);
});

test('after all of that nothing has changed', async () => {
  const data = await admin.ok(
    '{ flags { totalCount } flag(key: "eco_mode") { revision rules { priority } history { totalCount } } vehicle(vin: "KMHK281HGNU000001") { vin } }',
  );
  expect(data).toEqual({
    flags: { totalCount: 1 },
    flag: { revision: 2, rules: [{ priority: 100 }], history: { totalCount: 2 } },
    vehicle: null,
  });
});

test('without credentials, with wrong ones and as a vehicle only what is meant for them is answered', async () => {
  const nobody = new Api(deployment);
  expect(await nobody.refused('{ flags { totalCount } }')).toMatchObject({ code: 'UNAUTHENTICATED' });
  expect(
    await nobody.refused('mutation { login(email: "admin@fleetflag.local", password: "wrong") { token } }'),
  ).toMatchObject({ code: 'UNAUTHENTICATED' });
  for (const token of ['ffs_forged', 'eyJhbGciOiJub25lIn0.e30.', 'x']) {
    const answer = await new Api(deployment, token).ask('{ flags { totalCount } }');
    expect(answer).toMatchObject({ status: 401, errors: [{ extensions: { code: 'UNAUTHENTICATED' } }] });
  }
  const vehicle = new Api(deployment, await admin.vehicle('KMHK281HGNU000002'));
  expect(await vehicle.refused('{ flags { totalCount } }')).toMatchObject({ code: 'FORBIDDEN' });
  expect(await vehicle.refused('{ flagSync(environment: STAGING) { revision } }')).toMatchObject({ code: 'FORBIDDEN' });
  expect(
    await vehicle.refused('mutation { killSwitch(flagKey: "eco_mode", reason: "mine") { applied } }'),
  ).toMatchObject({ code: 'FORBIDDEN' });
  expect(await vehicle.refused('{ vehicle(vin: "KMHK281HGNU000001") { vin } }')).toMatchObject({ code: 'FORBIDDEN' });
  expect(
    await vehicle.ok('{ flagSync(environment: PRODUCTION) { full } vehicle(vin: "KMHK281HGNU000002") { model } }'),
  ).toEqual({ flagSync: { full: true }, vehicle: { model: 'Ioniq 6' } });
});
