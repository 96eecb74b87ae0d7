import { copyFile, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { GraphQLError } from 'graphql';
import initSqlJs from 'sql.js';
import { EVALUATIONS_METRIC } from '../../../core/wire/vehicle/metric.ts';
import { LocalServer } from '../../api/local-server.ts';
import type { FleetFlagAgent } from '../../assembly/fleet-flag-agent.ts';
import { TestControlPlane } from '../../testing/control-plane.ts';
import { TestVehicle } from '../../testing/test-vehicle.ts';
import { eventually } from '../../../core/testing/eventually.ts';
import { ON } from '../../testing/rules.ts';

const NEVER_MS = 600_000;
/** Timings that are short enough for tests, which wait for conditions. */
const SOON = { metricsIntervalMs: 30, metricsWriteMs: 10 };

let plane: TestControlPlane;
let vehicle: TestVehicle;

beforeEach(async () => {
  plane = await TestControlPlane.start();
  vehicle = await TestVehicle.create(plane);
  await plane.put('eco', { rules: [ON] });
  await plane.put('off', {});
});

afterEach(async () => {
  await vehicle.dispose();
  await plane.stop();
});

async function start(timings: object = SOON): Promise<FleetFlagAgent> {
  const agent = await vehicle.start({ timings });
  await agent.ready();
  return agent;
}

const refuse = (extensions: object) => () => {
  throw new GraphQLError('refused', { extensions: { ...extensions } });
};
const stored = () => plane.batches.flatMap(({ items }) => items);

async function storedRows(): Promise<unknown[][]> {
  const database = new (await initSqlJs()).Database(await readFile(vehicle.databaseFile));
  const rows =
    database.exec('SELECT flag_key, metric_name, value, tags, sent FROM metrics_queue ORDER BY id')[0]?.values ?? [];
  database.close();
  return rows;
}

/** The database and the journal that belongs to it; where there is none, there is none afterwards. */
async function copyAll(from: string, to: string): Promise<void> {
  for (const name of ['', '.queue', '.queue.previous']) {
    await rm(to + name, { force: true });
    await copyFile(from + name, to + name).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'ENOENT') throw error;
    });
  }
}

test('evaluations arrive as one row for each flag and variant, measurements under the variant that the vehicle has', async () => {
  const agent = await start({ ...SOON, metricsIntervalMs: 100 });
  for (let i = 0; i < 40; i++) agent.booleanValue('eco', false);
  for (let i = 0; i < 2; i++) agent.evaluate('off');
  agent.booleanValue('nothing', false);
  agent.track('charge_minutes', 12.5, { flagKey: 'eco', tags: { road: 'city' } });
  agent.track('charge_minutes', 14, { flagKey: 'off' });
  await eventually(() => stored().length >= 4 && agent.status().metrics.queued === 0, 'all is sent');
  const time = expect.stringMatching(/^\d{4}-.*Z$/);
  expect(stored()).toHaveLength(4);
  expect(stored()).toEqual(
    expect.arrayContaining([
      { flagKey: 'eco', variant: 'treatment', metricName: EVALUATIONS_METRIC, value: 40, timestamp: time, tags: null },
      { flagKey: 'off', variant: 'control', metricName: EVALUATIONS_METRIC, value: 2, timestamp: time, tags: null },
      {
        flagKey: 'eco',
        variant: 'treatment',
        metricName: 'charge_minutes',
        value: 12.5,
        timestamp: time,
        tags: { road: 'city' },
      },
      { flagKey: 'off', variant: 'control', metricName: 'charge_minutes', value: 14, timestamp: time, tags: null },
    ]),
  );
});

describe('a batch keeps its id and its rows', () => {
  test('while the control plane cannot store it, and others wait behind it', async () => {
    plane.onReport = refuse({ code: 'SERVICE_UNAVAILABLE' });
    const agent = await start();
    agent.track('minutes', 1, { flagKey: 'eco' });
    await eventually(() => plane.batches.length > 0, 'it was sent');
    agent.track('minutes', 2, { flagKey: 'eco' });
    await eventually(() => plane.batches.length > 2, 'it was sent again');
    plane.onReport = () => undefined;
    await eventually(() => agent.status().metrics.queued === 0, 'all is taken');
    const [first, ...others] = plane.batches;
    expect(others.slice(0, -1).every((batch) => JSON.stringify(batch) === JSON.stringify(first))).toBe(true);
    expect(plane.batches.at(-1)).toMatchObject({ items: [{ value: 2 }] });
    expect(plane.batches.at(-1)?.batchId).not.toBe(first?.batchId);
  });

  test('through the end of the process between sending and answer', async () => {
    const copy = `${vehicle.databaseFile}.as-killed`;
    // What is on disk while the answer is outstanding is what a killed process leaves.
    plane.onReport = () => copyAll(vehicle.databaseFile, copy);
    const agent = await start();
    agent.track('minutes', 1, { flagKey: 'eco' });
    agent.booleanValue('eco', false);
    await eventually(() => plane.batches.length > 0 && agent.status().metrics.queued === 0, 'it was taken');
    await agent.close();
    const [sent] = plane.batches.splice(0);
    await copyAll(copy, vehicle.databaseFile);
    plane.onReport = () => undefined;
    const restarted = await start();
    restarted.track('minutes', 2, { flagKey: 'eco' });
    await eventually(() => stored().some(({ value }) => value === 2), 'all is taken');
    expect(plane.batches[0]).toEqual(sent);
  });

  test('though the newest database is lost and the one before it is used', async () => {
    const agent = await start();
    plane.onReport = refuse({ code: 'SERVICE_UNAVAILABLE' });
    agent.track('minutes', 1, { flagKey: 'eco' });
    await eventually(() => plane.batches.length > 0, 'it was sent');
    const before = JSON.stringify(plane.batches[0]);
    await plane.put('another', {});
    await eventually(() => agent.status().revision === 3, 'a further generation is written');
    await agent.close();
    plane.batches.length = 0;
    await rm(vehicle.databaseFile);
    plane.onReport = () => undefined;
    const restarted = await start();
    expect(restarted.status().store.source).toBe('previous');
    await eventually(() => plane.batches.length > 0, 'it is taken');
    expect(JSON.stringify(plane.batches[0])).toBe(before);
  });
});

test('a measurement is on disk though the agent does not end, and in the end in the columns of the specification', async () => {
  const agent = await start({ metricsIntervalMs: NEVER_MS, metricsWriteMs: 10 });
  agent.track('minutes', 3, { flagKey: 'eco', tags: { road: 'city' } });
  const journal = `${vehicle.databaseFile}.queue`;
  await eventually(
    async () => (await readFile(journal, 'utf8').catch(() => '')).includes('"minutes"'),
    'it is on disk',
  );
  const copy = join(vehicle.folder, 'as-killed.db');
  await copyFile(vehicle.databaseFile, copy);
  await copyFile(journal, `${copy}.queue`);
  const restarted = await vehicle.start({ databaseFile: copy, url: 'ws://127.0.0.1:1/graphql' });
  expect(restarted.status().metrics.queued).toBe(1);
  await agent.close();
  expect(await storedRows()).toEqual([['eco', 'minutes', 3, '{"road":"city"}', 0]]);
});

test('a clean stop keeps everything that was counted and tracked, and the next start sends it', async () => {
  const agent = await start({ metricsIntervalMs: NEVER_MS, metricsWriteMs: NEVER_MS });
  for (let i = 0; i < 7; i++) agent.booleanValue('eco', false);
  agent.track('minutes', 3, { flagKey: 'eco' });
  await agent.close();
  expect((await storedRows()).map(([, metric, value]) => [metric, value])).toEqual([
    ['minutes', 3],
    [EVALUATIONS_METRIC, 7],
  ]);
  const restarted = await start();
  await eventually(() => stored().length === 2 && restarted.status().metrics.queued === 0, 'all is sent');
  await restarted.close();
  expect((await storedRows()).map(([, metric, , , sent]) => [metric, sent])).toEqual([
    ['minutes', 1],
    [EVALUATIONS_METRIC, 1],
  ]);
});

test.each([
  ['an older control plane, which does not know a type', { code: 'BAD_USER_INPUT' }],
  ['a limit of the operation and not of the batch', { code: 'LIMIT_EXCEEDED', limit: 10 }],
  ['another field than the batch', { code: 'BAD_USER_INPUT', field: 'inputs.0' }],
  ['a code that nobody knows', { code: 'SOMETHING_NEW' }],
  ['a fault of the control plane', { code: 'INTERNAL_SERVER_ERROR' }],
])('no measurement is lost by %s', async (_what, extensions) => {
  plane.onReport = refuse(extensions);
  const agent = await start();
  agent.track('minutes', 1, { flagKey: 'eco' });
  await eventually(() => plane.batches.length > 1, 'it was refused twice');
  expect(agent.status().metrics).toEqual({ queued: 1, dropped: { evaluations: 0, measurements: 0 } });
  plane.onReport = () => undefined;
  await eventually(() => agent.status().metrics.queued === 0, 'it is taken');
  expect(plane.batches.at(-1)?.items.map(({ value }) => value)).toEqual([1]);
});

test('a row that is refused for ever is dropped and counted, and the rest is stored', async () => {
  const agent = await start({ metricsIntervalMs: 200, metricsWriteMs: 10 });
  plane.onReport = ({ items }) => {
    const position = items.findIndex(({ value }) => value === 2);
    if (position >= 0) refuse({ code: 'BAD_USER_INPUT', field: `input.items.${position}.value` })();
  };
  for (const value of [1, 2, 3]) agent.track('minutes', value, { flagKey: 'eco' });
  await eventually(() => agent.status().metrics.queued === 0, 'the rest is taken');
  expect(plane.batches.at(-1)?.items.map(({ value }) => value)).toEqual([1, 3]);
  expect(agent.status().metrics).toEqual({ queued: 0, dropped: { evaluations: 0, measurements: 1 } });
});

test.each<[Parameters<FleetFlagAgent['track']>, object]>([
  [['', 1, { flagKey: 'eco' }], { code: 'BAD_USER_INPUT', details: { field: 'metric' } }],
  [[EVALUATIONS_METRIC, 1, { flagKey: 'eco' }], { code: 'BAD_USER_INPUT', details: { field: 'metric' } }],
  [['m', NaN, { flagKey: 'eco' }], { code: 'BAD_USER_INPUT', details: { field: 'value' } }],
  [['m', 1, { flagKey: 'eco', tags: { a: { b: 1 } } }], { code: 'BAD_USER_INPUT', details: { field: 'tags.a' } }],
  [['m', 1, { flagKey: 'nothing' }], { code: 'NOT_FOUND', details: { field: 'flagKey' } }],
])('track refuses what the control plane would (%#)', async (given, refusal) => {
  const agent = await start();
  let error: unknown;
  try {
    agent.track(...given);
  } catch (thrown) {
    error = thrown;
  }
  expect(error).toMatchObject(refusal);
  expect(agent.status().metrics.queued).toBe(0);
});

test('programs in other languages track over HTTP', async () => {
  const agent = await start({ metricsIntervalMs: NEVER_MS });
  const server = new LocalServer({ host: '127.0.0.1', port: 0, agent });
  const base = await server.listen();
  try {
    const post = async (body: string) => {
      const response = await fetch(`${base}/v1/track`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body,
      });
      const text = await response.text();
      return [response.status, text === '' ? null : (JSON.parse(text) as unknown)];
    };
    expect(await post('{"metric":"minutes","value":4,"flagKey":"eco","tags":{"road":"city"}}')).toEqual([202, null]);
    expect(await post('{')).toMatchObject([400, { errorCode: 'PARSE_ERROR' }]);
    expect(await post('[]')).toMatchObject([400, { errorCode: 'PARSE_ERROR' }]);
    expect(await post('{"metric":"m","value":"4","flagKey":"eco"}')).toMatchObject([
      400,
      { errorCode: 'BAD_USER_INPUT', field: 'value' },
    ]);
    expect(await post('{"metric":"m","value":4}')).toMatchObject([
      400,
      { errorCode: 'BAD_USER_INPUT', field: 'flagKey' },
    ]);
    expect(await post('{"value":4,"flagKey":"eco"}')).toMatchObject([
      400,
      { errorCode: 'BAD_USER_INPUT', field: 'metric' },
    ]);
    expect(await post('{"metric":"m","value":4,"flagKey":"eco","tags":[]}')).toMatchObject([400, { field: 'tags' }]);
    expect(await post('{"metric":"m","value":4,"flagKey":"nothing"}')).toMatchObject([
      404,
      { errorCode: 'NOT_FOUND', field: 'flagKey' },
    ]);
    expect((await fetch(`${base}/v1/track`)).status).toBe(405);
    expect(agent.status().metrics.queued).toBe(1);
  } finally {
    await server.close();
  }
});
