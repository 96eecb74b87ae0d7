import { readFileSync } from 'node:fs';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { buildSchema, GraphQLError, parse, validate } from 'graphql';
import { BACKUP_MUTATION, BACKUP_QUERY } from '../../agent/backup/vehicle-backups.ts';
import { FACTS_QUERY } from '../../agent/facts/facts-refresher.ts';
import { REPORT_FAULTS_MUTATION } from '../../agent/faults/fault-sender.ts';
import { HEARTBEAT_MUTATION } from '../../agent/telemetry/heartbeat/heartbeat-sender.ts';
import { REPORT_MUTATION } from '../../agent/telemetry/metrics/metric-sender.ts';
import { FORMER_OPERATIONS, OPERATIONS } from '../../agent/link/operations.ts';
import { TestControlPlane } from '../../agent/testing/control-plane.ts';
import { WIRE_SDL } from '../../agent/testing/wire-messages.ts';
import { TestVehicle } from '../../agent/testing/test-vehicle.ts';
import { RequestRefused } from '../../agent/link/gateway-link.ts';
import { answerTo } from '../../gateway/operations/refusals/error-answer.ts';
import { eventually } from '../../core/testing/eventually.ts';
import { wireVersions } from '../../agent/testing/wire-versions.ts';
import { AGENT_VERSION } from '../../agent/version.ts';

const VERSIONS = wireVersions();
const API = buildSchema(readFileSync(new URL('../../schema.graphql', import.meta.url), 'utf8'));

let plane: TestControlPlane;
let vehicle: TestVehicle;
beforeEach(async () => {
  plane = await TestControlPlane.silent();
  vehicle = await TestVehicle.create(plane);
});
afterEach(async () => {
  await vehicle.dispose();
  await plane.stop();
});

test('what this version asks is recorded under its number: a change of it is a new version, beside the one before', () => {
  const documents = {
    ...OPERATIONS,
    facts: FACTS_QUERY,
    heartbeat: HEARTBEAT_MUTATION,
    report: REPORT_MUTATION,
    faults: REPORT_FAULTS_MUTATION,
    backup: BACKUP_QUERY,
    backUp: BACKUP_MUTATION,
  };
  const controlPlane = WIRE_SDL.trim()
    .split('\n')
    .map((line) => line.trim());
  expect(VERSIONS.at(-1)).toEqual({ version: AGENT_VERSION, documents, controlPlane });
});

test('before its first partition, this version asks a control plane older than partitions as version 1.1.0 does', () => {
  const { documents } = VERSIONS.find(({ version }) => version === '1.1.0')!;
  expect(documents).toMatchObject({ ...FORMER_OPERATIONS });
});

test('the refusal of a gateway that knows no partitions is one for which this version asks as 1.1.0 does', () => {
  const former = buildSchema(VERSIONS.find(({ version }) => version === '1.1.0')!.controlPlane.join('\n'));
  for (const document of [OPERATIONS.changes, OPERATIONS.sync, OPERATIONS.nonceSync, OPERATIONS.proof]) {
    const faults = validate(former, parse(document));
    // As Apollo Server and the websockets name them, and then in the form in which they leave the gateway.
    const named = faults.map(
      ({ message }) => new GraphQLError(message, { extensions: { code: 'GRAPHQL_VALIDATION_FAILED' } }),
    );
    const refusal = new RequestRefused(named.map((fault) => answerTo(fault, undefined, parse(document))));
    expect(refusal).toMatchObject({ code: 'BAD_USER_INPUT', isUnknownOperation: true });
  }
});

test.each(
  VERSIONS.flatMap(({ version, documents }) =>
    Object.entries(documents).map(([name, document]) => [version, name, document] as const),
  ),
)('the public API of today answers what an agent %s asks (%s)', (_version, _name, document) => {
  expect(validate(API, parse(document))).toEqual([]);
});

test.each(VERSIONS.slice(0, -1))(
  'on a control plane of the time of agent $version this one keeps its flags and its measurements, says why, and is right again after the update',
  async ({ controlPlane }) => {
    await plane.listen();
    await plane.put('eco', { defaultValue: true });
    const first = await vehicle.start();
    await first.ready();
    await first.close();
    await plane.stop();

    const current = plane.sdl;
    plane.sdl = controlPlane.join('\n');
    await plane.listen();
    await plane.put('eco', { defaultValue: false });
    const logged: string[] = [];
    const agent = await vehicle.start({
      log: (_level, message) => logged.push(message),
      timings: { metricsIntervalMs: 20, metricsWriteMs: 5, resyncMs: 20 },
    });
    agent.track('minutes', 3, { flagKey: 'eco' });
    await eventually(() => logged.some((message) => /proof/.test(message)), 'it says why');
    expect(agent.booleanValue('eco', false)).toBe(true);
    expect(agent.status()).toMatchObject({ revision: 1, metrics: { dropped: { measurements: 0 } } });

    await plane.stop();
    plane.sdl = current;
    await plane.listen();
    await eventually(() => !agent.booleanValue('eco', true), 'it has the change');
    await eventually(
      () => plane.batches.some(({ items }) => items.some(({ metricName }) => metricName === 'minutes')),
      'the measurement is stored',
    );
  },
);
