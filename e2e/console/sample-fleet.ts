/**
 * A fleet with flags of every kind, people of every role and a pending change request: the content of the console's
 * tests.
 */
import type { Api } from '../harness/api.ts';

export const SAMPLE_PEOPLE = {
  editor: { email: 'jiwoo.kim@example.com', name: '김지우', role: 'WRITE', password: 'an editor of the test fleet' },
  safety: {
    email: 'mina.park@example.com',
    name: 'Mina Park',
    role: 'SAFETY',
    password: 'a reviewer of the test fleet',
  },
  reader: { email: 'tom.reader@example.com', name: 'Tom Reader', role: 'READ', password: 'a reader of the test fleet' },
} as const;

const MODELS = ['Ioniq 5', 'Ioniq 6', 'EV9', 'GV60'];
const REGIONS = ['KR', 'EU', 'NA'];

export const sampleVin = (index: number) => `KMH${String(index).padStart(14, '0')}`;

interface SampleFlag {
  readonly key: string;
  readonly name: string;
  readonly description: string;
  readonly type?: string;
  readonly defaultValue?: unknown;
  readonly safetyLevel: string;
  readonly environment?: string;
  readonly enabled?: boolean;
  readonly rules?: readonly Readonly<Record<string, unknown>>[];
}

const FLAGS: readonly SampleFlag[] = [
  {
    key: 'adas.lane_keep_v2',
    name: 'Lane keeping, second generation',
    description: 'Steers back into the lane on marked roads.',
    safetyLevel: 'ASIL_B',
    enabled: true,
    rules: [
      { type: 'VEHICLE_WHITELIST', priority: 300, conditions: { vins: [1, 2, 3, 4, 5, 6, 7].map(sampleVin) } },
      {
        type: 'PERCENTAGE_ROLLOUT',
        priority: 100,
        conditions: {
          rollout_percentage: 12.5,
          models: ['Ioniq 6', 'EV9'],
          sw_version: '>=2.5.0',
          regions: ['EU', 'KR'],
        },
      },
    ],
  },
  {
    key: 'steering_assist',
    name: '조향 보조',
    description: '고속도로에서 조향을 보조합니다.',
    safetyLevel: 'SAFETY_RELEVANT',
    enabled: true,
    rules: [{ type: 'VEHICLE_TARGET', conditions: { models: ['GV60', 'EV9'], regions: ['KR'] } }],
  },
  {
    key: 'drive_mode',
    name: 'Drive mode at the start',
    description: 'The mode after switching on.',
    type: 'STRING',
    defaultValue: 'eco',
    safetyLevel: 'NON_CRITICAL',
    enabled: true,
    rules: [
      {
        type: 'USER_ATTRIBUTE',
        conditions: { attribute: 'subscription', operator: 'in', values: ['premium', 'trial'] },
        value: 'sport',
        variant: 'sporty',
      },
    ],
  },
  {
    key: 'v2l_export_limit_w',
    name: 'Power for devices outside',
    description: 'Vehicle-to-load, in watts.',
    type: 'NUMBER',
    defaultValue: 1800,
    safetyLevel: 'SAFETY_RELEVANT',
    enabled: false,
  },
  {
    key: 'seat_heating_rear',
    name: 'Rear seat heating',
    description: 'Part of the comfort subscriptions.',
    safetyLevel: 'NON_CRITICAL',
    environment: 'STAGING',
    enabled: true,
  },
];

/** The ASIL-D flag; it is approved, switched off, and has no rules. */
export const ASIL_D_FLAG = {
  key: 'emergency_brake_assist',
  name: 'Emergency brake assist',
  description: 'Brakes before a collision.',
  safetyLevel: 'ASIL_D',
} as const;

const CREATE = 'mutation ($input: CreateFlagInput!) { createFlag(input: $input) { changeRequest { id } } }';
const CREATE_RULE =
  'mutation ($key: String!, $input: RuleInput!) { createRule(flagKey: $key, input: $input) { applied } }';

/** Registers vehicles and people, and makes the flags. */
export async function makeSampleFleet(admin: Api, safety: () => Promise<Api>, vehicles = 240): Promise<void> {
  await admin.ok('mutation ($input: [RegisterVehicleInput!]!) { registerVehicles(input: $input) { vin } }', {
    input: Array.from({ length: vehicles }, (_, index) => ({
      vin: sampleVin(index + 1),
      model: MODELS[index % MODELS.length],
      swVersion: index % 5 === 0 ? '2.4.1' : '2.5.0',
      region: REGIONS[index % REGIONS.length],
    })),
  });
  for (const { email, name, role, password } of Object.values(SAMPLE_PEOPLE))
    await admin.ok('mutation ($input: CreateUserInput!) { createUser(input: $input) { id } }', {
      input: { email, name, role, password, department: 'Vehicle software' },
    });
  for (const { rules = [], ...flag } of FLAGS) {
    await admin.ok(CREATE, { input: { type: 'BOOLEAN', defaultValue: false, environment: 'PRODUCTION', ...flag } });
    for (const input of rules) await admin.ok(CREATE_RULE, { key: flag.key, input });
  }
  await admin.ok(
    'mutation { saveSegment(key: "eu_fleet", name: "EU, on the road", conditions: { regions: ["EU"] }) { applied } }',
  );
  const { createFlag } = await admin.ok<{ createFlag: { changeRequest: { id: string } } }>(CREATE, {
    input: { type: 'BOOLEAN', defaultValue: false, environment: 'PRODUCTION', enabled: false, ...ASIL_D_FLAG },
  });
  await (
    await safety()
  ).ok('mutation ($id: ID!) { approveChangeRequest(id: $id, comment: "Hazard analysis 7, section 3") { id } }', {
    id: createFlag.changeRequest.id,
  });
}
