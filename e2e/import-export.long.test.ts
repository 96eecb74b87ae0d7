import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { admin } from './harness/admin.ts';
import { ControlPlaneWithVehicle } from './harness/control-plane-with-vehicle.ts';
import { ADMIN } from './harness/deployment.ts';

const VIN = 'KMHK281HGNU000001';

let plane: ControlPlaneWithVehicle;
let folder: string;
let file: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'fleetflag-import-'));
  file = join(folder, 'flags.yaml');
  plane = await ControlPlaneWithVehicle.start(VIN);
}, 180_000);

afterAll(async () => {
  await plane?.remove();
  await rm(folder, { recursive: true, force: true });
}, 60_000);

const CREATE = 'mutation ($input: CreateFlagInput!) { createFlag(input: $input) { applied } }';
const definition = (jws: string) =>
  (JSON.parse(Buffer.from(jws.split('.')[1] ?? '', 'base64url').toString()) as { flag: unknown }).flag;

test('what was exported, edited and imported beside the running control plane is in flagSync and reaches the vehicle', async () => {
  const { deployment, vehicle, admin: api } = plane;
  const common = { defaultValue: 'eco', type: 'STRING', safetyLevel: 'NON_CRITICAL', environment: 'PRODUCTION' };
  await api.ok(CREATE, {
    input: { ...common, key: 'drive_mode', name: 'Drive mode', description: 'What the car\nstarts in.' },
  });
  await api.ok(CREATE, { input: { ...common, key: 'left_out', name: 'Not in the file' } });
  expect(await admin(deployment, 'export', '--environment', 'production', '--file', file)).toMatchObject({
    code: 0,
    stdout: '',
  });
  const exported = await readFile(file, 'utf8');
  expect((await admin(deployment, 'export', '--environment', 'production')).stdout).toBe(exported);
  expect(await admin(deployment, 'import', '--environment', 'production', '--file', file)).toMatchObject({
    code: 0,
    stdout: 'No differences.\n',
  });

  const edited = `${exported
    .slice(0, exported.indexOf('  left_out:'))
    .replace('enabled: false', 'enabled: true')
    .replace(
      'rules: []',
      `rules:\n      - {type: vehicle_whitelist, conditions: {vins: [${VIN}]}, value: "on"}`,
    )}  seat_heating: {name: Seat heating, type: number, safetyLevel: Non-Critical, enabled: true, defaultValue: 3}\n`;
  await writeFile(file, edited);
  const dryRun = await admin(deployment, 'import', '--environment', 'production', '--file', file);
  expect(dryRun.code).toBe(3);
  expect(dryRun.stdout).toContain(
    '~ drive_mode\n    enabled: false → true\n    rules.vehicle_whitelist@100: (none) → ',
  );
  expect(dryRun.stdout).toContain('left_out: only here, kept');
  expect(dryRun.stdout).toContain('+ seat_heating: new (number, Non-Critical, enabled, 0 rules)');
  const sync = async (since = 0) =>
    (
      await api.ok<{ flagSync: { revision: number; flags: { key: string; jws: string }[] } }>(
        'query ($since: Int) { flagSync(environment: PRODUCTION, since: $since) { revision flags { key jws } } }',
        { since },
      )
    ).flagSync;
  const { revision } = await sync();

  expect(await admin(deployment, 'import', '--environment', 'production', '--file', file, '--apply')).toMatchObject({
    code: 0,
    stdout: expect.stringContaining('drive_mode: changed\nseat_heating: created\n'),
  });
  const after = await sync(revision);
  expect(after.revision).toBe(revision + 2);
  expect(after.flags.map(({ key }) => key).sort()).toEqual(['drive_mode', 'seat_heating']);
  expect(definition(after.flags.find(({ key }) => key === 'drive_mode')?.jws ?? '')).toMatchObject({
    enabled: true,
    rules: [{ type: 'vehicle_whitelist', value: 'on' }],
  });
  await vehicle.serves('drive_mode', 'on');
  // Each flag is a change of its own, so the second may arrive later than the first.
  await vehicle.serves('seat_heating', 3);

  const { auditTrail } = await api.ok<{ auditTrail: unknown }>(
    `{ auditTrail: flag(key: "seat_heating") { history { nodes { action user { email } userAgent } } } }`,
  );
  expect(auditTrail).toEqual({
    history: { nodes: [{ action: 'CREATE_FLAG', user: { email: ADMIN.email }, userAgent: 'fleetflag-admin' }] },
  });
}, 180_000);

test('faults of the file come all at once with code 1, wrong usage with code 2, and neither changes anything', async () => {
  const { deployment } = plane;
  const exported = (await admin(deployment, 'export', '--environment', 'production')).stdout;
  await writeFile(
    file,
    'fleetflag: 1\nflags:\n  a: {name: A, type: boolean, safetyLevel: ASIL-B, enabled: true, defaultValue: 1, rules: [{type: vehicle_whitelist, conditions: {vins: [KMHK281HGNU000001, x]}}]}\n',
  );
  const faulty = await admin(deployment, 'import', '--environment', 'production', '--file', file, '--apply');
  expect(faulty.code).toBe(1);
  expect(faulty.stderr).toContain('flags.a.defaultValue: ');
  expect(faulty.stderr).toContain('flags.a.rules.0.conditions.vins.1: ');

  await writeFile(
    file,
    'fleetflag: 1\nflags: {b: {name: B, type: boolean, safetyLevel: ASIL-B, enabled: true, defaultValue: false}}\n',
  );
  const apply = ['import', '--environment', 'production', '--file', file, '--apply'];
  const wrong = await Promise.all([
    admin(deployment),
    admin(deployment, 'import', '--environment', 'moon', '--file', file),
    admin(deployment, 'export', '--environment', 'staging', '--flie', 'x'),
    admin(deployment, ...apply, '--as', 'nobody@example.com'),
  ]);
  expect(wrong.map(({ code }) => code)).toEqual([2, 2, 2, 2]);
  expect(wrong[0]?.stderr).toMatch(/export[\s\S]*import[\s\S]*rotate-signing-key[\s\S]*resign-definitions/);
  expect(wrong[3]?.stderr).toContain('no active user');
  expect((await admin(deployment, 'export', '--environment', 'production')).stdout).toBe(exported);
}, 180_000);

test('with the control plane stopped the command works on the same data', async () => {
  const { deployment, vehicle } = plane;
  await deployment.down();
  await writeFile(
    file,
    'fleetflag: 1\nflags: {later: {name: Later, type: boolean, safetyLevel: ASIL-B, enabled: true, defaultValue: true}}\n',
  );
  expect(await admin(deployment, 'import', '--environment', 'production', '--file', file, '--apply')).toMatchObject({
    code: 0,
  });
  await deployment.up();
  await vehicle.serves('later', true);
}, 180_000);
