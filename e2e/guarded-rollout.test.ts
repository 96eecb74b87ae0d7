import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { BUCKETS, bucketOf } from '../core/evaluation/bucket.ts';
import { Api } from './harness/api.ts';
import { Deployment } from './harness/deployment.ts';
import { Fleet } from './harness/fleet.ts';
import { eventually } from './harness/process.ts';

const KEY = 'regenerative_braking_v2';
const METRIC = 'braking_distance_m';
const IN_EACH_ARM = 6;

let deployment: Deployment;
let fleet: Fleet | undefined;

beforeAll(async () => {
  deployment = await Deployment.start();
}, 120_000);

afterAll(async () => {
  await fleet?.remove();
  await deployment?.remove();
}, 60_000);

/** Vehicles that a rollout at 50 % gives the feature to, and others, as many of each. */
function vehicles(): { treatment: string[]; control: string[] } {
  const [treatment, control]: [string[], string[]] = [[], []];
  for (let number = 1; treatment.length < IN_EACH_ARM || control.length < IN_EACH_ARM; number++) {
    const vin = `KMHL14JA5PA${String(number).padStart(6, '0')}`;
    const arm = bucketOf(KEY, vin) < BUCKETS / 2 ? treatment : control;
    if (arm.length < IN_EACH_ARM) arm.push(vin);
  }
  return { treatment, control };
}

const SCHEDULE = `mutation ($key: String!, $rule: ID!, $steps: [RolloutStepInput!]!, $guard: RolloutGuardInput!) {
  scheduleRollout(flagKey: $key, ruleId: $rule, steps: $steps, guard: $guard) { rollout { status guard { metric worse maxWorsePercent initialPercentage } } }
}`;
const SHOWN = `{ flag(key: "${KEY}") { killed revision rules { type conditions rollout { status currentPercentage guardStatus {
  verdict controlVehicles treatmentVehicles controlMean treatmentMean worsePercent worsePercentInterval pValue significance } } }
  history { nodes { action user { email } userAgent beforeValue afterValue } } } }`;

interface Shown {
  readonly flag: {
    readonly killed: boolean;
    readonly revision: number;
    readonly rules: readonly { readonly type: string; readonly conditions: unknown; readonly rollout: { readonly status: string; readonly guardStatus: Record<string, unknown> | null } | null }[];
    readonly history: { readonly nodes: readonly { readonly action: string }[] };
  };
}

test('a feature that makes vehicles brake later is pulled back by its guard, and every vehicle is at the default again', async () => {
  const api = await Api.admin(deployment);
  await api.ok('mutation ($input: CreateFlagInput!) { createFlag(input: $input) { applied } }', {
    input: { key: KEY, name: 'Regenerative braking', type: 'BOOLEAN', defaultValue: false, safetyLevel: 'ASIL_B', environment: 'PRODUCTION', enabled: true },
  });
  const { createRule } = await api.ok<{ createRule: { flag: { rules: { id: string }[] } } }>('mutation ($key: String!, $input: RuleInput!) { createRule(flagKey: $key, input: $input) { flag { rules { id } } } }', {
    key: KEY,
    input: { type: 'PERCENTAGE_ROLLOUT', conditions: { rollout_percentage: 0 } },
  });
  const { treatment, control } = vehicles();
  fleet = await Fleet.start(api, [...treatment, ...control]);
  const { agents } = fleet;
  await eventually(() => [...agents.values()].every((agent) => agent.booleanDetails(KEY, true).reason === 'DEFAULT'), 'all vehicles know the flag');

  const { scheduleRollout } = await api.ok<{ scheduleRollout: unknown }>(SCHEDULE, {
    key: KEY,
    rule: createRule.flag.rules[0]?.id,
    steps: [{ percentage: 50, after: 'PT1S' }, { percentage: 100, after: 'PT1H' }],
    guard: { metric: METRIC, worse: 'HIGHER', maxWorsePercent: 5, minimumVehicles: IN_EACH_ARM },
  });
  expect(scheduleRollout).toEqual({ rollout: { status: 'RUNNING', guard: { metric: METRIC, worse: 'HIGHER', maxWorsePercent: 5, initialPercentage: 0 } } });
  await eventually(() => treatment.every((vin) => agents.get(vin)?.booleanValue(KEY, false)), 'the first step reaches its vehicles');

  // 40 m ± 1 without the feature, 46 m ± 1 with it.
  const measure = (vins: readonly string[], mean: number) => vins.forEach((vin, index) => agents.get(vin)?.track(METRIC, mean + (index % 2 === 0 ? 1 : -1), { flagKey: KEY }));
  measure(control, 40);
  measure(treatment, 46);

  await eventually(() => [...agents.values()].every((agent) => agent.booleanDetails(KEY, true).reason === 'DISABLED'), 'every vehicle is told to stop');
  for (const agent of agents.values()) expect(agent.booleanDetails(KEY, true)).toMatchObject({ value: false, variant: 'control' });

  const { flag } = await api.ok<Shown>(SHOWN);
  const rule = flag.rules.find(({ type }) => type === 'PERCENTAGE_ROLLOUT');
  expect(flag.killed).toBe(true);
  expect(rule).toMatchObject({ conditions: { rollout_percentage: 0 }, rollout: { status: 'PULLED_BACK', currentPercentage: 0 } });
  const { guardStatus } = rule?.rollout ?? {};
  expect(guardStatus).toMatchObject({ verdict: 'CROSSED', controlVehicles: IN_EACH_ARM, treatmentVehicles: IN_EACH_ARM, controlMean: expect.closeTo(40, 9), treatmentMean: expect.closeTo(46, 9), worsePercent: expect.closeTo(15, 9) });
  expect(guardStatus?.['pValue']).toBeLessThan(guardStatus?.['significance'] as number);

  // The newest first: what was done, by what, and by which figures.
  const reason = `Rollout guard: ${METRIC} is 46 under treatment (6 vehicles) and 40 under control (6 vehicles): worse by 15 %, where 5 % is the limit.`;
  const by = { user: { email: 'admin@fleetflag.local' }, userAgent: 'FleetFlag rollout guard' };
  const { verdict: _, ...figures } = guardStatus ?? {};
  expect(flag.history.nodes.slice(0, 3)).toMatchObject([
    { action: 'KILL_SWITCH', ...by, afterValue: { killSwitches: [{ enabled: true, conditions: { force_disabled: true, reason } }], reason } },
    { action: 'GUARD_ROLLOUT', ...by, beforeValue: { conditions: { rollout_percentage: 50 } }, afterValue: { conditions: { rollout_percentage: 0 }, guard: { metric: METRIC, maxWorsePercent: 5 }, figures, reason } },
    { action: 'UPDATE_RULE' },
  ]);
}, 180_000);
