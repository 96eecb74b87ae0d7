import { mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { OpenFeature, ProviderStatus } from '@openfeature/server-sdk';
import type { FleetFlagAgentOptions } from '../assembly/agent-options.ts';
import { FleetFlagAgent } from '../assembly/fleet-flag-agent.ts';
import { FleetFlagProvider } from '../openfeature/fleet-flag-provider.ts';
import { TEST_VIN, TestControlPlane } from '../testing/control-plane.ts';
import { TestVehicle } from '../testing/test-vehicle.ts';
import { eventually } from '../../core/testing/eventually.ts';

const FLAGS = `fleetflag: 1
flags:
  lane_keep:
    name: Lane keeping
    type: boolean
    safetyLevel: ASIL-B
    enabled: true
    defaultValue: false
    rules:
      - type: vehicle_target
        conditions: { regions: [EU] }
      - type: vehicle_whitelist
        priority: 5
        conditions: { vins: [${TEST_VIN}] }
  limit: { name: Limit, type: number, safetyLevel: Non-Critical, enabled: true, defaultValue: 80 }
`;

let folder: string;
let file: string;
const agents = new Set<FleetFlagAgent>();
const log: string[] = [];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'fleetflag-flags-'));
  file = join(folder, 'flags.yaml');
  log.length = 0;
});

afterEach(async () => {
  await Promise.all([...agents].map((agent) => agent.close()));
  agents.clear();
  await rm(folder, { recursive: true, force: true });
});

/** The timings with which an agent follows its file in these tests. */
const FOLLOWING = { flagsFileMs: 10 };

async function start(options: Partial<FleetFlagAgentOptions> = {}): Promise<FleetFlagAgent> {
  const agent = new FleetFlagAgent({
    flagsFile: file,
    timings: FOLLOWING,
    log: (level, message) => void log.push(`${level} ${message}`),
    ...options,
  });
  agents.add(agent);
  await agent.start();
  return agent;
}

describe('a file of flags alone', () => {
  test('is evaluated by its rules and overrides, with no control plane, and says loudly that it is there', async () => {
    await writeFile(file, `${FLAGS}overrides: { limit: 120, drive_mode: sport, zones: { max: 1 } }\n`);
    const agent = await start();
    await agent.ready();
    expect(agent.booleanDetails('lane_keep', true)).toMatchObject({
      value: false,
      reason: 'DEFAULT',
      flagMetadata: { revision: 1, environment: 'development' },
    });
    expect(agent.booleanDetails('lane_keep', false, { region: 'EU' })).toMatchObject({
      value: true,
      reason: 'TARGETING_MATCH',
    });
    expect(agent.numberDetails('limit', 0)).toMatchObject({ value: 120, reason: 'STATIC', variant: 'override' });
    expect(agent.stringValue('drive_mode', 'eco')).toBe('sport');
    expect(agent.jsonValue('zones', null)).toEqual({ max: 1 });
    expect(agent.booleanDetails('nothing', true)).toMatchObject({ value: true, errorCode: 'FLAG_NOT_FOUND' });
    expect(agent.flagKeys()).toEqual(['drive_mode', 'lane_keep', 'limit', 'zones']);
    expect(agent.status()).toMatchObject({
      ready: true,
      connected: false,
      flags: 4,
      vin: null,
      localFlags: { file, revision: 1, flags: 2, overrides: ['limit', 'drive_mode', 'zones'], fault: null },
    });
    expect(log).toEqual([
      expect.stringMatching(/^warn USING FLAGS FROM A FILE, for tests .*flags\.yaml .*limit, drive_mode, zones/),
    ]);
  });

  test('has flags that depend on each other, and an override of one counts for the others', async () => {
    const change =
      '  lane_change:\n    name: Lane change\n    type: boolean\n    safetyLevel: ASIL-B\n    enabled: true\n';
    const rules = '    defaultValue: false\n    rules: [{ type: vehicle_target, conditions: { regions: [KR] } }]\n';
    const text = `${FLAGS}${change}${rules}    requires: [{ flag: lane_keep }]\n`;
    await writeFile(file, text);
    const agent = await start({ vehicle: { region: 'KR' } });
    expect(agent.booleanDetails('lane_change', true)).toMatchObject({
      value: false,
      reason: 'PREREQUISITE_FAILED',
      flagMetadata: { failedPrerequisite: 'lane_keep' },
    });
    const heard: string[] = [];
    agent.onChange(({ key }) => void heard.push(key));
    await writeFile(file, `${text}overrides: { lane_keep: true }\n`);
    await eventually(() => agent.booleanValue('lane_change', false), 'the override counts');
    expect(heard).toEqual(['lane_keep', 'lane_change']);
  });

  test('is evaluated for the given VIN, and for none otherwise', async () => {
    await writeFile(file, FLAGS);
    expect((await start()).booleanValue('lane_keep', true)).toBe(false);
    expect((await start({ vin: TEST_VIN })).booleanDetails('lane_keep', false)).toMatchObject({
      value: true,
      flagMetadata: { ruleId: 'vehicle_whitelist@5' },
    });
  });

  test('is followed when it is edited or replaced, and unchanged flags keep their revision', async () => {
    await writeFile(file, FLAGS);
    const agent = await start();
    const changes: string[] = [];
    agent.onChange(({ key, revision, removed }) => void changes.push(`${key} ${revision} ${removed}`));
    await writeFile(file, FLAGS.replace('defaultValue: 80', 'defaultValue: 90'));
    await eventually(() => agent.numberValue('limit', 0) === 90, 'the edit is seen');
    expect(changes).toEqual(['limit 2 false']);
    expect(agent.booleanDetails('lane_keep', true).flagMetadata).toMatchObject({ revision: 1 });
    await writeFile(`${file}.next`, 'fleetflag: 1\noverrides: { lane_keep: true }\n');
    await rename(`${file}.next`, file);
    await eventually(() => agent.booleanValue('lane_keep', false), 'the new file is seen');
    expect(changes.slice(1).sort()).toEqual(['lane_keep 3 false', 'limit 0 true']);
  });

  test.each([
    ['not YAML', 'fleetflag: [', 'flags.yaml:1: '],
    ['a wrong flag', FLAGS.replace('type: number', 'type: integer'), 'flags.yaml:15: flags.limit.type: '],
    ['a wrong override', `${FLAGS}overrides:\n  limit: fast\n`, 'flags.yaml:17: overrides.limit: '],
    ['gone', null, 'cannot be read'],
  ])(
    'that is %s leaves the last good reading in effect, is reported, and is read again when it is right',
    async (_what, text, fault) => {
      await writeFile(file, FLAGS);
      const agent = await start();
      if (text === null) await rm(file);
      else await writeFile(file, text);
      await eventually(() => agent.status().localFlags!.fault?.includes(fault) === true, 'the status shows the fault');
      expect(log).toContainEqual(
        expect.stringMatching(/^error cannot use the file of flags; keeping the flags that were read before: /),
      );
      expect(agent.numberValue('limit', 0)).toBe(80);
      await writeFile(file, FLAGS.replace('defaultValue: 80', 'defaultValue: 70'));
      await eventually(() => agent.numberValue('limit', 0) === 70, 'it is right again');
      expect(agent.status().localFlags!.fault).toBeNull();
    },
  );

  test('that is wrong at the start prevents it, with file, line and path of every fault', async () => {
    await writeFile(file, FLAGS.replace('type: number', 'type: integer').replace('name: Lane keeping', 'name: ""'));
    await expect(start()).rejects.toMatchObject({
      code: 'BAD_USER_INPUT',
      message: expect.stringMatching(
        /flags\.yaml:4: flags\.lane_keep\.name: .*\n.*flags\.yaml:15: flags\.limit\.type: /,
      ),
    });
    await rm(file);
    await expect(start()).rejects.toMatchObject({
      code: 'BAD_USER_INPUT',
      message: expect.stringContaining('cannot be read'),
    });
  });

  test('is ready for OpenFeature, and measurements are checked and go nowhere', async () => {
    await writeFile(file, FLAGS);
    const agent = await start();
    await OpenFeature.setProviderAndWait(new FleetFlagProvider(agent, { staleAfterMs: 1 }));
    expect(OpenFeature.getClient().providerStatus).toBe(ProviderStatus.READY);
    expect(await OpenFeature.getClient().getNumberValue('limit', 0)).toBe(80);
    await OpenFeature.clearProviders();
    agent.track('charge_minutes', 5, { flagKey: 'limit' });
    expect(() => agent.track('', 5, { flagKey: 'limit' })).toThrow(expect.objectContaining({ code: 'BAD_USER_INPUT' }));
    expect(() => agent.track('m', NaN, { flagKey: 'limit' })).toThrow(
      expect.objectContaining({ code: 'BAD_USER_INPUT' }),
    );
    expect(() => agent.track('m', 5, { flagKey: 'nothing' })).toThrow(expect.objectContaining({ code: 'NOT_FOUND' }));
    expect(agent.status().metrics.queued).toBe(0);
  });
});

describe('a file of flags beside a control plane', () => {
  let plane: TestControlPlane;
  let vehicle: TestVehicle;

  beforeEach(async () => {
    plane = await TestControlPlane.start();
    vehicle = await TestVehicle.create(plane);
    await plane.put('lane_keep', { defaultValue: false });
    await plane.put('limit', { type: 'number', defaultValue: 30 });
    await plane.put('seat_heat', { defaultValue: true });
  });

  afterEach(async () => {
    await vehicle.dispose();
    await plane.stop();
  });

  test('is refused unless it is allowed explicitly, and so is an agent that has neither', async () => {
    await writeFile(file, FLAGS);
    await expect(vehicle.start({ flagsFile: file })).rejects.toMatchObject({
      code: 'BAD_USER_INPUT',
      message: expect.stringContaining('allowOverrides'),
    });
    expect(() => new FleetFlagAgent({})).toThrow(expect.objectContaining({ code: 'BAD_USER_INPUT' }));
    expect(() => new FleetFlagAgent({ flagsFile: file, vin: 'short' })).toThrow(
      expect.objectContaining({ details: { field: 'vin' } }),
    );
  });

  test('is refused without the token or the database, which a connection requires', () => {
    const options = { url: 'ws://localhost/graphql', flagsFile: file, allowOverrides: true };
    const refused = (field: string) => expect.objectContaining({ code: 'BAD_USER_INPUT', details: { field } });
    expect(() => new FleetFlagAgent(options)).toThrow(refused('tokenFile'));
    expect(() => new FleetFlagAgent({ ...options, databaseFile: 'flags.db' })).toThrow(refused('tokenFile'));
    expect(() => new FleetFlagAgent({ ...options, tokenFile: 'token' })).toThrow(refused('databaseFile'));
  });

  test('takes precedence over the control plane, and is not counted', async () => {
    await writeFile(file, 'fleetflag: 1\noverrides: { lane_keep: true, limit: fast }\n');
    const lines: string[] = [];
    const log = (level: string, message: string) => void lines.push(`${level} ${message}`);
    const agent = await vehicle.start({
      flagsFile: file,
      allowOverrides: true,
      log,
      timings: { ...FOLLOWING, metricsIntervalMs: 20 },
    });
    await eventually(() => agent.status().revision === 3, 'it has synced');
    expect(agent.booleanDetails('lane_keep', false)).toMatchObject({
      value: true,
      variant: 'override',
      flagMetadata: { environment: 'production' },
    });
    expect(agent.numberDetails('limit', 0)).toMatchObject({ value: 30, reason: 'DEFAULT' });
    expect(agent.status().localFlags).toMatchObject({
      overrides: ['lane_keep'],
      unfitOverrides: ['limit'],
      fault: null,
    });
    expect(lines.filter((line) => line.includes('ignoring overrides'))).toEqual([
      expect.stringContaining(
        'ignoring overrides that do not fit the type or value contract of their flag: limit (number)',
      ),
    ]);
    agent.track('m', 1, { flagKey: 'lane_keep' });
    expect(agent.booleanValue('seat_heat', false)).toBe(true);
    await eventually(() => plane.batches.length > 0, 'counts are reported');
    expect(
      plane.batches.flatMap(({ items }) => items.map(({ flagKey }) => flagKey)).filter((key) => key === 'lane_keep'),
    ).toEqual([]);
    await writeFile(file, 'fleetflag: 1\n');
    await eventually(() => agent.booleanDetails('lane_keep', true).variant === 'control', 'the override is gone');
  });
});
