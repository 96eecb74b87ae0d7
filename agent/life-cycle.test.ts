import { execFileSync } from 'node:child_process';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { FleetFlagAgent } from './fleet-flag-agent.ts';
import type { TrackOptions } from './metrics/metric-recorder.ts';

let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'fleetflag-life-cycle-'));
});

afterAll(() => rm(folder, { recursive: true }));

/** An agent whose control plane nobody reaches. */
function aloneAgent(databaseFile = join(folder, 'vehicle.db')): FleetFlagAgent {
  return new FleetFlagAgent({ url: 'ws://127.0.0.1:9/graphql', tokenFile: join(folder, 'token'), databaseFile });
}

test('a measurement is refused before the agent is ready, and once it is closed, and never for a flag that there is not', async () => {
  const agent = aloneAgent();
  const track = () => agent.track('minutes', 1, { flagKey: 'eco' });
  expect(track).toThrow(expect.objectContaining({ code: 'SERVICE_UNAVAILABLE', message: expect.stringContaining('not synced') }));
  await agent.start();
  expect(track).toThrow(expect.objectContaining({ code: 'SERVICE_UNAVAILABLE', message: expect.stringContaining('not synced') }));
  await agent.close();
  expect(track).toThrow(expect.objectContaining({ code: 'SERVICE_UNAVAILABLE', message: expect.stringContaining('closed') }));
});

test.each([[undefined], [null], [{}], ['eco'], [{ flagKey: 7 }]])('a measurement with the options %j is refused as one of no flag', (options) => {
  const track = () => aloneAgent().track('minutes', 1, options as unknown as TrackOptions);
  expect(track).toThrow(expect.objectContaining({ code: 'BAD_USER_INPUT', details: { field: 'flagKey' } }));
});

test('an agent that is closed is not started again', async () => {
  const agent = aloneAgent();
  await agent.close();
  await expect(agent.start()).rejects.toMatchObject({ code: 'SERVICE_UNAVAILABLE', message: expect.stringContaining('closed') });
});

test('a database that is no regular file is refused, and nothing is made beside it', async () => {
  const own = await mkdtemp(join(folder, 'pipe-'));
  const pipe = join(own, 'pipe');
  execFileSync('mkfifo', [pipe]);
  for (const [path, kind] of [[pipe, 'a named pipe'], [own, 'a folder'], ['/dev/null', 'a device']] as const) {
    const agent = aloneAgent(path);
    await expect(agent.start()).rejects.toMatchObject({ code: 'BAD_USER_INPUT', message: `${path} is ${kind}, not a regular file`, details: { field: 'databaseFile' } });
    await agent.close();
  }
  expect(await readdir(own)).toEqual(['pipe']);
});
