import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { BUCKETS, bucketing } from '../core/evaluation/bucket.ts';
import { Api } from './harness/api.ts';
import { Deployment } from './harness/deployment.ts';
import { Fleet } from './harness/fleet.ts';
import { eventually } from './harness/process.ts';

/** The flag that does harm to the metric of its guard, and the flag whose metric stops arriving. */
const KEY = 'regenerative_braking_v2';
const SILENT = 'battery_preheat_v3';
/** Whether the brakes failed: 0 or 1. */
const METRIC = 'braking_failed';
const IN_EACH_ARM = 10;

let deployment: Deployment;
let fleet: Fleet | undefined;

beforeAll(async () => {
  deployment = await Deployment.start();
}, 120_000);

afterAll(async () => {
  await fleet?.remove();
  await deployment?.remove();
}, 60_000);

type Arms = Record<'treatment' | 'control', string[]>;

/** Vehicles that a rollout of the flag at 50 % gives the feature to, and others. */
function armsOf(key: string, vins: readonly string[]): Arms {
  const bucketOf = bucketing(key);
  const treated = (vin: string) => bucketOf(vin) < BUCKETS / 2;
  return { treatment: vins.filter(treated), control: vins.filter((vin) => !treated(vin)) };
}

/** Vehicles of which each arm of each flag has IN_EACH_ARM. */
function vehicles(): string[] {
  const chosen: string[] = [];
  const fits = (vins: string[]) =>
    [KEY, SILENT].every((key) => Object.values(armsOf(key, vins)).every(({ length }) => length <= IN_EACH_ARM));
  for (let number = 1; chosen.length < 2 * IN_EACH_ARM; number++) {
    const vin = `KMHL14JA5PA${String(number).padStart(6, '0')}`;
    if (fits([...chosen, vin])) chosen.push(vin);
  }
  return chosen;
}

const SCHEDULE = `mutation ($key: String!, $rule: ID!, $steps: [RolloutStepInput!]!, $guard: RolloutGuardInput!) {
  scheduleRollout(flagKey: $key, ruleId: $rule, steps: $steps, guard: $guard) { rollout { status guard { metric worse maxWorsePercent initialPercentage } } }
}`;
const SHOWN = `query ($key: String!) { flag(key: $key) { killed rules { type conditions rollout { status currentPercentage pausedReason guardStatus {
  verdict controlVehicles treatmentVehicles controlMean treatmentMean worsePercent worsePercentAtLeast pValue significance } } }
  history { nodes { action user { email } userAgent beforeValue afterValue } } } }`;

interface Shown {
  readonly killed: boolean;
  readonly rules: readonly {
    readonly type: string;
    readonly rollout: {
      readonly status: string;
      readonly pausedReason: string | null;
      readonly guardStatus: Record<string, unknown> | null;
    } | null;
  }[];
  readonly history: { readonly nodes: readonly { readonly action: string }[] };
}

const shown = async (api: Api, key: string) => (await api.ok<{ flag: Shown }>(SHOWN, { key })).flag;
const rolloutRule = ({ rules }: Shown) => rules.find(({ type }) => type === 'PERCENTAGE_ROLLOUT');

/** An enabled flag whose rollout is at 0 %; gives its rule. */
async function newFlag(api: Api, key: string): Promise<string> {
  await api.ok('mutation ($input: CreateFlagInput!) { createFlag(input: $input) { applied } }', {
    input: {
      key,
      name: key,
      type: 'BOOLEAN',
      defaultValue: false,
      safetyLevel: 'ASIL_B',
      environment: 'PRODUCTION',
      enabled: true,
    },
  });
  const { createRule } = await api.ok<{ createRule: { flag: { rules: { id: string }[] } } }>(
    'mutation ($key: String!, $input: RuleInput!) { createRule(flagKey: $key, input: $input) { flag { rules { id } } } }',
    {
      key,
      input: { type: 'PERCENTAGE_ROLLOUT', conditions: { rollout_percentage: 0 } },
    },
  );
  return createRule.flag.rules[0]?.id ?? '';
}

const STEPS = [
  { percentage: 50, after: 'PT1S' },
  { percentage: 100, after: 'PT1H' },
];
const GUARD = { metric: METRIC, worse: 'HIGHER', maxWorsePercent: 5, minimumVehicles: IN_EACH_ARM };
const BY_GUARD = { user: { email: 'admin@fleetflag.local' }, userAgent: 'FleetFlag rollout guard' };

test('a feature that makes brakes fail is pulled back from all of them, and one whose metric stops arriving goes no further', async () => {
  const api = await Api.admin(deployment);
  await api.ok('mutation ($input: MetricDefinitionInput!) { defineMetric(input: $input) { key } }', {
    input: { key: METRIC, kind: 'PROPORTION', better: 'LOWER' },
  });
  const rules = { [KEY]: await newFlag(api, KEY), [SILENT]: await newFlag(api, SILENT) };
  fleet = await Fleet.start(api, vehicles());
  const agents = [...fleet.agents.values()];
  const agentsOf = (vins: readonly string[]) => vins.flatMap((vin) => fleet?.agents.get(vin) ?? []);
  await eventually(
    () => agents.every((agent) => [KEY, SILENT].every((key) => agent.booleanDetails(key, true).reason === 'DEFAULT')),
    'all vehicles know the flags',
  );

  const guards = { [KEY]: GUARD, [SILENT]: { ...GUARD, silence: 'PT20S' } };
  for (const key of [KEY, SILENT] as const) {
    const { scheduleRollout } = await api.ok<{ scheduleRollout: unknown }>(SCHEDULE, {
      key,
      rule: rules[key],
      steps: STEPS,
      guard: guards[key],
    });
    expect(scheduleRollout).toEqual({
      rollout: {
        status: 'RUNNING',
        guard: { metric: METRIC, worse: 'HIGHER', maxWorsePercent: 5, initialPercentage: 0 },
      },
    });
  }
  await eventually(
    () =>
      [KEY, SILENT].every((key) =>
        agentsOf(armsOf(key, [...fleet!.agents.keys()]).treatment).every((agent) => agent.booleanValue(key, false)),
      ),
    'the first steps reach their vehicles',
  );

  // The brakes fail with the feature only; the other feature changes nothing, and is measured only now.
  const measure = (key: string, failed: Record<keyof Arms, number>) => {
    for (const [arm, vins] of Object.entries(armsOf(key, [...fleet!.agents.keys()])))
      for (const agent of agentsOf(vins)) agent.track(METRIC, failed[arm as keyof Arms], { flagKey: key });
  };
  measure(KEY, { control: 0, treatment: 1 });
  measure(SILENT, { control: 0, treatment: 0 });

  await eventually(
    () => agents.every((agent) => agent.booleanDetails(KEY, true).reason === 'DISABLED'),
    'every vehicle has stopped',
  );
  for (const agent of agents)
    expect(agent.booleanDetails(KEY, true)).toMatchObject({ value: false, variant: 'control' });
  const pulledBack = await shown(api, KEY);
  expect(pulledBack.killed).toBe(true);
  expect(rolloutRule(pulledBack)).toMatchObject({
    conditions: { rollout_percentage: 0 },
    rollout: { status: 'PULLED_BACK', currentPercentage: 0 },
  });
  const { guardStatus } = rolloutRule(pulledBack)?.rollout ?? {};
  expect(guardStatus).toMatchObject({
    verdict: 'CROSSED',
    // A look may have been enough before all of them had reported.
    treatmentVehicles: expect.any(Number),
    treatmentMean: 1,
    worsePercent: null,
  });
  expect(guardStatus?.['worsePercentAtLeast']).toBeGreaterThanOrEqual(5);
  expect(guardStatus?.['pValue']).toBeLessThan(guardStatus?.['significance'] as number);
  // The newest first: what was done, by what, and by which figures.
  const reason = expect.stringMatching(
    /^Rollout guard: braking_failed is 1 under treatment \(\d+ vehicles\) and .* under control \(\d+ vehicles\): worse, where 5 % is the limit\.$/,
  );
  const { verdict: _, ...figures } = guardStatus ?? {};
  expect(pulledBack.history.nodes.slice(0, 3)).toMatchObject([
    {
      action: 'KILL_SWITCH',
      ...BY_GUARD,
      afterValue: { killSwitches: [{ enabled: true, conditions: { force_disabled: true, reason } }], reason },
    },
    {
      action: 'GUARD_ROLLOUT',
      ...BY_GUARD,
      beforeValue: { conditions: { rollout_percentage: 50 } },
      afterValue: {
        conditions: { rollout_percentage: 0 },
        guard: { metric: METRIC, maxWorsePercent: 5 },
        figures,
        reason,
      },
    },
    { action: 'UPDATE_RULE' },
  ]);

  const paused = await eventually(async () => {
    const flag = await shown(api, SILENT);
    return rolloutRule(flag)?.rollout?.status === 'PAUSED' ? flag : null;
  }, 'the other rollout pauses');
  const silence = `no measurement of ${METRIC} under treatment for 20 seconds`;
  expect(paused.killed).toBe(false);
  expect(rolloutRule(paused)).toMatchObject({
    conditions: { rollout_percentage: 50 },
    rollout: { pausedReason: silence, guardStatus: { verdict: 'SILENT' } },
  });
  // It had arrived before, from all of them, and kept the limit.
  expect(paused.history.nodes[0]).toMatchObject({
    action: 'PAUSE_ROLLOUT',
    ...BY_GUARD,
    afterValue: {
      reason: silence,
      figures: { treatmentVehicles: IN_EACH_ARM, treatmentMean: 0, pValue: expect.any(Number) },
    },
  });
  for (const agent of agentsOf(armsOf(SILENT, [...fleet.agents.keys()]).treatment))
    expect(agent.booleanValue(SILENT, false)).toBe(true);
}, 180_000);
