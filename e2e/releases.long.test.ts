/**
 * A policy of 1 %, 10 % and 100 % on a real control plane, three agents as processes of their own that go first, and
 * many vehicles beside them (RELEASE_VEHICLES, 200 by default). The figures are printed with RELEASE_FIGURES=true.
 */
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { bucketing } from '../core/evaluation/bucket.ts';
import { Api } from './harness/api.ts';
import { Deployment } from './harness/deployment.ts';
import { eventually } from './harness/process.ts';
import { ReportingFleet } from './harness/reporting-fleet.ts';
import { VehicleProcess } from './harness/vehicle.ts';

const KEY = 'charge_limit';
const SIZE = Number(process.env['RELEASE_VEHICLES'] ?? '200');
const REAL = ['KMHK281HGNU900001', 'KMHK281HGNU900002', 'KMHK281HGNU900003'];
const VINS = Array.from({ length: SIZE }, (_, index) => `KMHK281HGNU${String(index).padStart(6, '0')}`);
interface Stage {
  readonly percentage: number;
  readonly soak: string;
  readonly minimumVehicles: number;
}
/** Stages whose first soak is over after some seconds, or not within a test. */
const stages = (firstSoak: 'PT2S' | 'PT1H'): Stage[] => [
  { percentage: 1, soak: firstSoak, minimumVehicles: 1 },
  { percentage: 10, soak: 'PT2S', minimumVehicles: 5 },
  { percentage: 100, soak: 'PT1S', minimumVehicles: 0 },
];
const policy = (of: readonly Stage[]) => ({
  environment: 'PRODUCTION',
  stages: of,
  canary: { vins: REAL },
  safetyLevels: ['SAFETY_RELEVANT'],
  maximumFaultyVehicles: 2,
  maximumFaultyPercent: 1,
});
const setPolicy = (of: readonly Stage[]) =>
  admin.ok('mutation ($input: ReleasePolicyInput!) { setReleasePolicy(input: $input) { stages { percentage } } }', {
    input: policy(of),
  });

let deployment: Deployment;
let admin: Api;
let agents: VehicleProcess[] = [];
let fleet: ReportingFleet;

const figure = (what: string, milliseconds: number) => {
  if (process.env['RELEASE_FIGURES'] === 'true') process.stdout.write(`${what}: ${milliseconds.toFixed(0)} ms\n`);
};
const serve = (value: string) =>
  admin.ok('mutation ($key: String!, $input: UpdateFlagInput!) { updateFlag(key: $key, input: $input) { applied } }', {
    key: KEY,
    input: { defaultValue: value },
  });

interface Release {
  readonly id: string;
  readonly status: string;
  readonly percentage: number;
  readonly reason: string | null;
}
async function newest(): Promise<Release | undefined> {
  const { releases } = await admin.ok<{ releases: { nodes: Release[] } }>(
    'query ($key: String!) { releases(flagKey: $key, first: 1) { nodes { id status percentage reason } } }',
    { key: KEY },
  );
  return releases.nodes[0];
}
const becomes = (status: string) =>
  eventually(async () => ((await newest())?.status === status ? newest() : null), `the release is ${status}`, 120_000);

const agentValues = () => Promise.all(agents.map(async (agent) => (await agent.evaluate(KEY)).value));
const everybodyHas = (value: string) =>
  eventually(
    async () => fleet.counts()[value] === SIZE && (await agentValues()).every((one) => one === value),
    `every vehicle has ${value}; they have ${JSON.stringify(fleet.counts())}`,
    60_000,
  );
/** Counts the vehicles of the fleet that a share of a ring has. */
async function inRing(percentage: number): Promise<number> {
  const bucketOf = bucketing(`release:${await ringOf()}`);
  return VINS.filter((vin) => bucketOf(vin) < percentage * 1000).length;
}
/** Gives the salt of the present release's draw, as vehicles have it in the signed definition. */
async function ringOf(): Promise<string> {
  const { flagSync } = await admin.ok<{ flagSync: { flags: { key: string; jws: string }[] } }>(
    '{ flagSync(environment: PRODUCTION) { flags { key jws } } }',
  );
  const jws = flagSync.flags.find(({ key }) => key === KEY)?.jws.split('.')[1] ?? '';
  const { flag } = JSON.parse(Buffer.from(jws, 'base64url').toString()) as { flag: { release?: { id: string } } };
  return flag.release?.id ?? '';
}

beforeAll(async () => {
  deployment = await Deployment.start();
  admin = await Api.admin(deployment);
  await admin.ok('mutation ($input: CreateFlagInput!) { createFlag(input: $input) { applied } }', {
    input: {
      ...{ key: KEY, name: 'Charge limit', type: 'STRING', defaultValue: 'first', safetyLevel: 'SAFETY_RELEVANT' },
      ...{ environment: 'PRODUCTION', enabled: true },
    },
  });
  agents = await Promise.all(REAL.map(async (vin) => VehicleProcess.start(deployment.wsUrl, await admin.vehicle(vin))));
  fleet = await ReportingFleet.start(admin, VINS, { key: KEY, failsAt: 'bad' });
  await everybodyHas('first');
}, 300_000);

afterAll(async () => {
  await fleet?.close();
  for (const agent of agents) await agent.remove();
  await deployment?.remove();
}, 60_000);

test('a change that no program of the canary group reads holds, and goes on soon after they have', async () => {
  await setPolicy([{ percentage: 0, soak: 'PT1S', minimumVehicles: REAL.length }, ...stages('PT1H')]);
  const { revision: before } = await agents[0]!.status();
  await serve('unread');
  await eventually(
    async () => (await Promise.all(agents.map((agent) => agent.status()))).every(({ revision }) => revision > before),
    'the agents have the change',
  );
  const reason = `0 of ${REAL.length} vehicles have evaluated the new content`;
  await eventually(async () => (await newest())?.reason === reason, 'the release says what it waits for', 120_000);
  expect(await newest()).toMatchObject({ status: 'HOLDING', percentage: 0 });
  const began = performance.now();
  expect(await agentValues()).toEqual(REAL.map(() => 'unread'));
  await eventually(async () => (await newest())?.percentage === 1, 'the next stage has begun', 60_000);
  figure('from the first evaluations to the next stage', performance.now() - began);
}, 240_000);

test('a good change goes through all stages to everybody', async () => {
  await setPolicy(stages('PT2S'));
  await serve('good');
  const first = await newest();
  expect(first).toMatchObject({ status: 'RUNNING', percentage: 1 });
  await eventually(async () => (await agentValues()).every((value) => value === 'good'), 'programs read the change');
  await becomes('COMPLETED');
  expect((await newest())?.id).toBe(first?.id);
  await everybodyHas('good');
}, 120_000);

test('a change under which programs fail reaches the first ring, and is halted by itself', async () => {
  await setPolicy(stages('PT1H'));
  await serve('bad');
  const ring = await inRing(1);
  await eventually(async () => (await agentValues()).every((value) => value === 'bad'), 'the agents have the change');
  const began = performance.now();
  expect(await Promise.all(agents.map((agent) => agent.fault(KEY, 'The charger does not answer.')))).toEqual([
    202, 202, 202,
  ]);
  const { reason, percentage } = await becomes('HALTED');
  figure('from the fault that passed the limit to the halt', performance.now() - began);
  expect(performance.now() - began).toBeLessThan(60_000);
  expect(percentage).toBe(1);
  expect(reason).toContain('with the new content');
  await everybodyHas('good');
  expect(fleet.everHad('bad')).toBeLessThanOrEqual(ring);
  const { flag } = await admin.ok<{
    flag: { history: { nodes: { action: string; afterValue: { faults?: object } }[] } };
  }>('query ($key: String!) { flag(key: $key) { history { nodes { action afterValue } } } }', { key: KEY });
  const halt = flag.history.nodes.find(({ action }) => action === 'HALT_RELEASE');
  expect(halt?.afterValue.faults).toMatchObject({ maximumFaultyVehicles: 2, ring: { faulty: expect.any(Number) } });
}, 180_000);

test('faults of vehicles that were offline count when they come back', async () => {
  await serve('worse');
  await eventually(async () => (await agentValues()).every((value) => value === 'worse'), 'the agents have the change');
  await deployment.down('SIGKILL');
  for (const agent of agents) await agent.fault(KEY, 'The charger is too hot.');
  for (const agent of agents) await agent.process.stop('SIGKILL');
  await deployment.up();
  admin = await Api.admin(deployment);
  for (const agent of agents) await agent.up();
  expect(await becomes('HALTED')).toMatchObject({ percentage: expect.any(Number) });
  await everybodyHas('good');
}, 180_000);

test('a control plane that is killed in the middle of a stage goes on with it', async () => {
  await setPolicy(stages('PT2S'));
  await serve('better');
  await eventually(async () => (await agentValues()).every((value) => value === 'better'), 'programs read the change');
  await eventually(async () => ((await newest())?.percentage ?? 0) >= 10 || null, 'the second stage has begun');
  await deployment.down('SIGKILL');
  await deployment.up();
  admin = await Api.admin(deployment);
  await becomes('COMPLETED');
  await everybodyHas('better');
}, 180_000);

test('a kill switch in the middle of a release reaches every vehicle at once', async () => {
  await setPolicy(stages('PT1H'));
  await serve('next');
  await eventually(async () => (await agentValues()).every((value) => value === 'next'), 'the agents have the change');
  const began = performance.now();
  await admin.ok('mutation ($key: String!) { killSwitch(flagKey: $key, reason: "Smoke") { applied } }', { key: KEY });
  await everybodyHas('better');
  figure('from the kill switch to the last vehicle, within a release', performance.now() - began);
  const { flag } = await admin.ok<{ flag: { killed: boolean } }>(
    'query ($key: String!) { flag(key: $key) { killed } }',
    { key: KEY },
  );
  expect(flag.killed).toBe(true);
}, 180_000);
