/**
 * The health gate with real agents: a change breaks the vehicles that get it first, their programs report that, and
 * everybody is back at the former value before the next stage.
 */
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { Api } from './harness/api.ts';
import { Deployment } from './harness/deployment.ts';
import { Fleet } from './harness/fleet.ts';
import { eventually } from './harness/process.ts';

const KEY = 'steering_assist_gain';
const VINS = Array.from({ length: 24 }, (_, n) => `KMHL14JA5PA${String(n + 1).padStart(6, '0')}`);
const MESSAGE = 'The gain is beyond what the motor takes.';

let deployment: Deployment;
let fleet: Fleet | undefined;

beforeAll(async () => {
  deployment = await Deployment.start();
}, 120_000);

afterAll(async () => {
  await fleet?.remove();
  await deployment?.remove();
}, 60_000);

const POLICY = `mutation { setReleasePolicy(input: { environment: PRODUCTION, maximumFaultyVehicles: 2, maximumFaultyPercent: 5,
  stages: [{ percentage: 50, soak: "PT1H" }, { percentage: 100, soak: "PT1H" }] }) { environment } }`;
const CREATE = `mutation ($key: String!) { createFlag(input: { key: $key, name: "Gain", type: NUMBER, defaultValue: 3,
  safetyLevel: ASIL_B, environment: PRODUCTION, enabled: true }) { applied } }`;
const RAISE = 'mutation ($key: String!) { updateFlag(key: $key, input: { defaultValue: 9 }) { applied } }';
const SHOWN = `query ($key: String!) { flag(key: $key) { defaultValue faults { kind vehicles message } }
  releases(flagKey: $key) { nodes { status reason } }
  auditLogs(filter: { flagKey: $key }, first: 1) { nodes { action afterValue } } }`;

interface Shown {
  readonly flag: { readonly defaultValue: number; readonly faults: object[] };
  readonly releases: { readonly nodes: readonly { readonly status: string; readonly reason: string | null }[] };
  readonly auditLogs: { readonly nodes: readonly { readonly action: string; readonly afterValue: unknown }[] };
}

test('a change that breaks the first half of the fleet is halted by their reports, and never reaches the other half', async () => {
  const api = await Api.admin(deployment);
  await api.ok(CREATE, { key: KEY });
  await api.ok(POLICY);
  fleet = await Fleet.start(api, VINS);
  const agents = [...fleet.agents.values()];
  const gains = () => agents.map((agent) => agent.numberValue(KEY, 0));
  await eventually(() => gains().every((gain) => gain === 3), 'all vehicles know the flag');

  await api.ok(RAISE, { key: KEY });
  const shown = () => api.ok<Shown>(SHOWN, { key: KEY });
  expect((await shown()).flag).toMatchObject({ defaultValue: 9 });
  await eventually(() => gains().filter((gain) => gain === 9).length > 4, 'the ring has it');
  await eventually(
    () => agents.every((agent) => agent.status().revision === agents[0]!.status().revision),
    'all have it',
  );
  const ring = agents.filter((agent) => agent.numberValue(KEY, 0) === 9);
  const rest = agents.filter((agent) => !ring.includes(agent));
  expect(rest.length).toBeGreaterThan(4);

  // One fault outside of the ring, and two within, are what the policy allows.
  for (const agent of [rest[0]!, ...ring.slice(0, 2)]) agent.reportFault(KEY, MESSAGE);
  await eventually(
    async () => (await shown()).flag.faults.some((count) => 'vehicles' in count && count.vehicles === 3),
    'three report',
  );
  expect((await shown()).flag.defaultValue).toBe(9);

  for (const agent of ring) agent.reportFault(KEY, MESSAGE);
  await eventually(() => gains().every((gain) => gain === 3), 'every vehicle is back');
  const { flag, releases, auditLogs } = await shown();
  expect(flag).toMatchObject({ defaultValue: 3 });
  expect(flag.faults).toContainEqual({ kind: 'REPORTED_BY_PROGRAM', vehicles: expect.any(Number), message: MESSAGE });
  const reason = expect.stringMatching(/^Vehicles report faults: /);
  expect(releases.nodes[0]).toEqual({ status: 'HALTED', reason });
  expect(auditLogs.nodes[0]).toMatchObject({
    action: 'HALT_RELEASE',
    afterValue: {
      reason,
      faults: { rest: { faulty: 1 }, maximumFaultyVehicles: 2, maximumFaultyPercent: 5 },
    },
  });
  const { vehicle } = await api.ok('query ($vin: String!) { vehicle(vin: $vin) { faults { flagKey kind message } } }', {
    vin: ring[0]!.status().vin,
  });
  expect(vehicle).toEqual({ faults: [{ flagKey: KEY, kind: 'REPORTED_BY_PROGRAM', message: MESSAGE }] });
}, 180_000);

test('a kind of fault that only a newer agent knows is refused at its place, so that the agent can go on without it', async () => {
  const admin = await Api.admin(deployment);
  const vehicle = new Api(deployment, await admin.vehicle('KMHL14JA5PA009999'));
  const report = 'mutation ($input: FaultReportInput!) { reportFaults(input: $input) }';
  const fault = { flagKey: KEY, revision: 1, kind: 'RESTARTS', message: 'm', occurredAt: '2026-11-29T00:00:00Z' };
  expect(await vehicle.refused(report, { input: { faults: [fault, { ...fault, kind: 'OF_LATER' }] } })).toMatchObject({
    code: 'BAD_USER_INPUT',
    field: 'input.faults.1.kind',
  });
  expect(await vehicle.ok(report, { input: { faults: [fault] } })).toEqual({ reportFaults: true });
}, 60_000);
