/**
 * The guards of releases with real agents: what vehicles measure under a change takes it back from all of them, or lets
 * it go on, and silence does neither.
 */
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import type { FleetFlagAgent } from '../agent/assembly/fleet-flag-agent.ts';
import { Api } from './harness/api.ts';
import { Deployment } from './harness/deployment.ts';
import { valuesOf, vehiclesOnBothSides } from './harness/drawn-vehicles.ts';
import { Fleet } from './harness/fleet.ts';
import { eventually } from './harness/process.ts';

/** A change that does harm, one that does none, and one that does harm which only holds it. */
const HARMFUL = 'steering_assist_gain';
const HARMLESS = 'charge_limit_kw';
const DOUBTFUL = 'regen_torque';
const KEYS = [HARMFUL, HARMLESS, DOUBTFUL] as const;
/** The metric of each: whether the function that the flag controls failed, 0 or 1. */
const METRICS = { [HARMFUL]: 'steering_failed', [HARMLESS]: 'charging_failed', [DOUBTFUL]: 'braking_failed' };
const [STABLE, NEW] = [3, 9];
const VEHICLES = 20;
const AT_LEAST_ON_EACH_SIDE = 8;
/** Only the harmless change finds enough vehicles early: the first few must not move a harmful one on. */
const MINIMUM_VEHICLES = { [HARMFUL]: VEHICLES, [HARMLESS]: 6, [DOUBTFUL]: VEHICLES };

let deployment: Deployment;
let api: Api;
let fleet: Fleet | undefined;
let agents: readonly FleetFlagAgent[];

const CREATE = `mutation ($key: String!) { createFlag(input: { key: $key, name: $key, type: NUMBER, defaultValue: ${STABLE},
  safetyLevel: ASIL_B, environment: PRODUCTION, enabled: true }) { applied } }`;
const RAISE = `mutation ($key: String!) { updateFlag(key: $key, input: { defaultValue: ${NEW} }) { applied } }`;
const DECLARE = 'mutation ($input: MetricDefinitionInput!) { defineMetric(input: $input) { key } }';
const SET_POLICY = 'mutation ($input: ReleasePolicyInput!) { setReleasePolicy(input: $input) { proposal { id } } }';
const GUARDS = `guards { guard { metric maxWorsePercent action } status { verdict controlVehicles treatmentVehicles
  controlMean treatmentMean worsePercentAtLeast pValue significance } }`;
const SHOWN = `query ($key: String!) { flag(key: $key) { defaultValue }
  releases(flagKey: $key) { nodes { status percentage reason ${GUARDS} } }
  auditLogs(filter: { flagKey: $key }, first: 1) { nodes { action user { email } afterValue } } }`;

interface GuardJson {
  readonly guard: object;
  readonly status: { readonly verdict: string; readonly pValue: number; readonly significance: number } | null;
}
interface Shown {
  readonly flag: { readonly defaultValue: number };
  readonly releases: {
    readonly nodes: readonly {
      readonly status: string;
      readonly percentage: number;
      readonly reason: string | null;
      readonly guards: readonly GuardJson[];
    }[];
  };
  readonly auditLogs: { readonly nodes: readonly { readonly action: string; readonly afterValue: unknown }[] };
}

const shown = (key: string) => api.ok<Shown>(SHOWN, { key });
const releaseOf = async (key: string) => (await shown(key)).releases.nodes[0];

/** Starts the release of a flag's new value under a policy with one guard. */
async function release(key: keyof typeof METRICS, action: 'HALT' | 'HOLD', soak: string): Promise<void> {
  const stages = [
    { percentage: 50, soak },
    { percentage: 100, soak: 'PT1H' },
  ];
  const guard = {
    metric: METRICS[key],
    worse: 'HIGHER',
    maxWorsePercent: 5,
    minimumVehicles: MINIMUM_VEHICLES[key],
    action,
  };
  await api.ok(SET_POLICY, {
    input: { environment: 'PRODUCTION', stages, safetyLevels: ['ASIL_B'], guards: [guard] },
  });
  await api.ok(RAISE, { key });
}

beforeAll(async () => {
  deployment = await Deployment.start();
  api = await Api.admin(deployment);
  for (const key of KEYS) {
    await api.ok(DECLARE, { input: { key: METRICS[key], kind: 'PROPORTION', better: 'LOWER' } });
    await api.ok(CREATE, { key });
  }
  await release(HARMFUL, 'HALT', 'PT1H');
  await release(HARMLESS, 'HOLD', 'PT1S');
  await release(DOUBTFUL, 'HOLD', 'PT1S');
  fleet = await Fleet.start(
    api,
    await vehiclesOnBothSides(api, KEYS, { count: VEHICLES, atLeast: AT_LEAST_ON_EACH_SIDE }),
  );
  agents = [...fleet.agents.values()];
  await eventually(
    () => agents.every((agent) => KEYS.every((key) => agent.numberValue(key, 0) !== 0)),
    'all vehicles know the flags',
  );
}, 180_000);

afterAll(async () => {
  await fleet?.remove();
  await deployment?.remove();
}, 60_000);

const withValue = (key: string, value: number) => agents.filter((agent) => agent.numberValue(key, 0) === value);

/** Measures in every vehicle, and gives the number of those with the new content. */
function measure(key: keyof typeof METRICS, failed: { ring: number; rest: number }) {
  const [ring, rest] = [withValue(key, NEW), withValue(key, STABLE)];
  expect([ring, rest].map(({ length }) => length >= AT_LEAST_ON_EACH_SIDE)).toEqual([true, true]);
  for (const agent of ring) agent.track(METRICS[key], failed.ring, { flagKey: key });
  for (const agent of rest) agent.track(METRICS[key], failed.rest, { flagKey: key });
  return ring.length;
}

test('a change under which what vehicles measure gets worse is taken back from all of them, with the figures', async () => {
  const treated = measure(HARMFUL, { ring: 1, rest: 0 });
  await eventually(() => withValue(HARMFUL, STABLE).length === VEHICLES, 'every vehicle is back');
  const { flag, releases, auditLogs } = await shown(HARMFUL);
  expect(flag).toEqual({ defaultValue: STABLE });
  for (const vin of fleet!.agents.keys()) expect(await valuesOf(api, vin, [HARMFUL])).toEqual([STABLE]);
  const reason = expect.stringMatching(
    /^The guard of steering_failed is crossed: 1 in \d+ vehicles with the new content, .+ of the others, where 5% worse is the limit$/,
  );
  expect(releases.nodes).toMatchObject([
    {
      ...{ status: 'HALTED', percentage: 50, reason },
      guards: [{ guard: { metric: 'steering_failed', action: 'HALT' }, status: { verdict: 'CROSSED' } }],
    },
  ]);
  const { verdict: _, ...figures } = releases.nodes[0]?.guards[0]?.status ?? { verdict: null };
  expect(figures).toMatchObject({ treatmentMean: 1, treatmentVehicles: expect.any(Number) });
  expect(figures).toHaveProperty('pValue', expect.any(Number));
  expect(auditLogs.nodes[0]).toMatchObject({
    action: 'HALT_RELEASE',
    afterValue: { reason, guard: { metric: 'steering_failed', maxWorsePercent: 5, action: 'halt' }, figures },
  });
  // A look may have been enough before all of them had reported.
  expect(Number(Reflect.get(figures, 'treatmentVehicles'))).toBeLessThanOrEqual(treated);
}, 120_000);

test('a change whose guard holds it without measurements goes on by itself once they are good', async () => {
  await eventually(async () => (await releaseOf(HARMLESS))?.status === 'HOLDING', 'silence holds the release');
  expect((await releaseOf(HARMLESS))?.reason).toMatch(
    /^The guard of charging_failed (?:has no fresh verdict|counts 0 )/,
  );
  measure(HARMLESS, { ring: 0, rest: 0 });
  await eventually(() => withValue(HARMLESS, NEW).length === VEHICLES, 'every vehicle has the change', 60_000);
  const { releases, auditLogs } = await shown(HARMLESS);
  expect(releases.nodes).toMatchObject([
    {
      ...{ status: 'RUNNING', percentage: 100, reason: null },
      guards: [{ guard: { metric: 'charging_failed', action: 'HOLD' } }],
    },
  ]);
  expect(auditLogs.nodes[0]).toMatchObject({ action: 'ADVANCE_RELEASE', afterValue: { percentage: 100 } });
}, 120_000);

test('a change whose guard holds it because it does harm stays where it is until a person decides', async () => {
  const before = withValue(DOUBTFUL, NEW);
  measure(DOUBTFUL, { ring: 1, rest: 0 });
  await eventually(
    async () => / is crossed: 1 in /.test((await releaseOf(DOUBTFUL))?.reason ?? ''),
    'the crossed guard holds the release',
    60_000,
  );
  expect(await releaseOf(DOUBTFUL)).toMatchObject({ status: 'HOLDING', percentage: 50 });
  expect(withValue(DOUBTFUL, NEW)).toEqual(before);
  await api.ok('mutation ($key: String!) { haltRelease(flagKey: $key, reason: "Brakes fail") { applied } }', {
    key: DOUBTFUL,
  });
  await eventually(() => withValue(DOUBTFUL, STABLE).length === VEHICLES, 'every vehicle is back');
}, 120_000);
