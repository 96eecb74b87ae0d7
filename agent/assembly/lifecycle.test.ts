import { execFileSync } from 'node:child_process';
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { completeOptions } from './agent-options.ts';
import { FleetFlagAgent } from './fleet-flag-agent.ts';
import type { TrackOptions } from '../telemetry/metrics/metric-recorder.ts';

let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'fleetflag-lifecycle-'));
});

afterAll(() => rm(folder, { recursive: true }));

/** Makes an agent whose control plane cannot be reached. */
function aloneAgent(databaseFile = join(folder, 'vehicle.db')): FleetFlagAgent {
  return new FleetFlagAgent({ url: 'ws://127.0.0.1:9/graphql', tokenFile: join(folder, 'token'), databaseFile });
}

test('a measurement is refused before the agent is ready, after it is closed, and for an unknown flag', async () => {
  const agent = aloneAgent();
  const track = () => agent.track('minutes', 1, { flagKey: 'eco' });
  expect(track).toThrow(
    expect.objectContaining({ code: 'SERVICE_UNAVAILABLE', message: expect.stringContaining('not synced') }),
  );
  await agent.start();
  expect(track).toThrow(
    expect.objectContaining({ code: 'SERVICE_UNAVAILABLE', message: expect.stringContaining('not synced') }),
  );
  await agent.close();
  expect(track).toThrow(
    expect.objectContaining({ code: 'SERVICE_UNAVAILABLE', message: expect.stringContaining('closed') }),
  );
});

test.each([[undefined], [null], [{}], ['eco'], [{ flagKey: 7 }]])(
  'a measurement with the options %j is refused for naming no flag',
  (options) => {
    const track = () => aloneAgent().track('minutes', 1, options as unknown as TrackOptions);
    expect(track).toThrow(expect.objectContaining({ code: 'BAD_USER_INPUT', details: { field: 'flagKey' } }));
  },
);

test('an agent that is closed is not started again', async () => {
  const agent = aloneAgent();
  await agent.close();
  await expect(agent.start()).rejects.toMatchObject({
    code: 'SERVICE_UNAVAILABLE',
    message: expect.stringContaining('closed'),
  });
});

test('an agent that is closed while it starts leaves its database to the next one, and starts no more', async () => {
  const own = await mkdtemp(join(folder, 'closed-'));
  for (let turns = 0; turns < 40; turns++) {
    const agent = aloneAgent(join(own, 'vehicle.db'));
    let ending: unknown = null;
    const started = agent.start().then(
      () => (ending = 'started'),
      (error: unknown) => (ending = error),
    );
    for (let turn = 0; turn < turns; turn++) await new Promise(setImmediate);
    const isStarted = ending === 'started';
    await agent.close();
    await started;
    expect(ending).toEqual(isStarted ? 'started' : expect.objectContaining({ code: 'SERVICE_UNAVAILABLE' }));
    const next = aloneAgent(join(own, 'vehicle.db'));
    await next.start();
    await next.close();
  }
});

test('a database that is not a regular file is refused, and no file is created beside it', async () => {
  const own = await mkdtemp(join(folder, 'pipe-'));
  const pipe = join(own, 'pipe');
  execFileSync('mkfifo', [pipe]);
  for (const [path, kind] of [
    [pipe, 'a named pipe'],
    [own, 'a folder'],
    ['/dev/null', 'a device'],
  ] as const) {
    const agent = aloneAgent(path);
    await expect(agent.start()).rejects.toMatchObject({
      code: 'BAD_USER_INPUT',
      message: `${path} is ${kind}, not a regular file`,
      details: { field: 'databaseFile' },
    });
    await agent.close();
  }
  expect(await readdir(own)).toEqual(['pipe']);
});

describe('an agent in the European Union', () => {
  const RULE =
    '{ type: vehicle_target, conditions: { regions: [EU] } }, { type: user_attribute, conditions: { attribute: tier, operator: exists } }';
  let agent: FleetFlagAgent;

  beforeAll(async () => {
    const flagsFile = join(folder, 'flags.yaml');
    await writeFile(
      flagsFile,
      `fleetflag: 1\nflags:\n  eco: { name: Eco, type: boolean, safetyLevel: Non-Critical, enabled: true, defaultValue: false, rules: [${RULE}] }\n`,
    );
    agent = new FleetFlagAgent({ flagsFile, vehicle: { region: ' EU ', model: '  ' } });
    await agent.start();
  });

  afterAll(() => agent.close());

  test('stays there, even if a program sends blanks as its region', () => {
    expect(agent.status().vehicle).toMatchObject({ region: 'EU', model: undefined });
    for (const region of ['', ' ', '\t\n', null, undefined])
      expect(agent.booleanValue('eco', false, { region })).toBe(true);
    expect(agent.booleanValue('eco', false, { region: 'NA' })).toBe(false);
    expect(
      completeOptions({ flagsFile: 'f', vehicle: { model: ' Ioniq 6\t', swVersion: ' ', region: '' } }).vehicle,
    ).toEqual({ model: 'Ioniq 6' });
  });

  test('answers where a context cannot be read, and where a key is no text', () => {
    const broken = () => {
      throw new Error('not now');
    };
    const revoked = Proxy.revocable({}, {});
    revoked.revoke();
    const contexts = [
      Object.defineProperty({}, 'model', { get: broken }),
      { region: 'NA', attributes: Object.defineProperty({}, 'tier', { get: broken, enumerable: true }) },
      new Proxy({}, { get: broken }),
      revoked.proxy,
      { attributes: revoked.proxy },
    ];
    for (const context of contexts)
      expect(agent.booleanDetails('eco', false, context)).toMatchObject({ value: true, reason: 'TARGETING_MATCH' });
    for (const key of [1n, Symbol('eco'), { toJSON: broken }, null, undefined])
      expect(agent.booleanDetails(key as never, false)).toMatchObject({ value: false, errorCode: 'FLAG_NOT_FOUND' });
  });
});
