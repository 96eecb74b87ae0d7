import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { admin } from './harness/admin.ts';
import { Api } from './harness/api.ts';
import { Deployment } from './harness/deployment.ts';
import { eventually } from './harness/process.ts';
import { VehicleProcess } from './harness/vehicle.ts';

interface KeySet {
  readonly keys: readonly { readonly kid: string }[];
}

let deployment: Deployment;
let api: Api;
let vehicle: VehicleProcess;
let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'fleetflag-rotation-'));
  deployment = await Deployment.start();
}, 120_000);

afterAll(async () => {
  await vehicle?.remove();
  await deployment?.remove();
  await rm(folder, { recursive: true, force: true });
}, 60_000);

const keySet = async () => (await (await fetch(`${deployment.url}/.well-known/jwks.json`)).json()) as KeySet;
const kids = ({ keys }: KeySet) => keys.map(({ kid }) => kid);
const restart = async () => {
  await deployment.down();
  await deployment.up();
  api = await Api.admin(deployment);
};
const create = (key: string) => api.createFlag({ key, type: 'STRING', defaultValue: key, safetyLevel: 'ASIL_B' });
const evaluates = (key: string) => vehicle.serves(key, key);

test('the signing key is changed for another, step by step, while a vehicle drives on', async () => {
  api = await Api.admin(deployment);
  await create('before');
  const former = kids(await keySet());

  // 1. The next key, to the vehicles and into the served set.
  const prepared = await admin(deployment, 'rotate-signing-key', '--prepare');
  expect(prepared.code).toBe(0);
  const both = JSON.parse(prepared.stdout) as KeySet;
  const [, next = ''] = kids(both);
  expect(kids(both)).toEqual([...former, next]);
  expect(prepared.stdout).not.toContain('"d"');
  const keysFile = join(folder, 'keys.json');
  await writeFile(keysFile, prepared.stdout);
  vehicle = await VehicleProcess.start(deployment.wsUrl, await api.vehicle('KMHK281HGNU000001'), ['--keys', keysFile]);
  await evaluates('before');
  await restart();
  expect(await keySet()).toEqual(both);

  // 2. The next key signs.
  expect(await admin(deployment, 'rotate-signing-key')).toMatchObject({ code: 0 });
  await restart();
  expect(kids(await keySet())).toEqual([next, ...former]);
  await create('after');
  await evaluates('after');
  expect(await vehicle.evaluate('before')).toMatchObject({ value: 'before' });

  // 3. The former key stays until everything is signed again.
  const early = await admin(deployment, 'rotate-signing-key', '--finish');
  expect(early.code).toBe(1);
  expect(early.stderr).toContain(`production: 1 flag definitions and tombstones are still signed with ${former[0]}`);
  const resigned = await admin(deployment, 'resign-definitions');
  expect(resigned.code).toBe(0);
  const [, revision = ''] =
    new RegExp(`production: 1 signed with ${next}; vehicles at revision (\\d+) or above`).exec(resigned.stdout) ?? [];
  expect(Number(revision)).toBeGreaterThan(0);
  await eventually(
    async () => (await vehicle.status()).revision >= Number(revision),
    'the vehicle holds nothing older',
  );

  // 4. The former key goes: from the control plane, and from the vehicle.
  expect(await admin(deployment, 'rotate-signing-key', '--finish')).toMatchObject({ code: 0 });
  await restart();
  expect(kids(await keySet())).toEqual([next]);
  await writeFile(keysFile, JSON.stringify(await keySet()));
  await vehicle.process.stop();
  await vehicle.up();
  expect(await vehicle.evaluate('before')).toMatchObject({ value: 'before' });
  await create('last');
  await evaluates('last');
  expect(await vehicle.status()).toMatchObject({ flags: 3, pinnedKeys: [next], refusals: {} });
}, 300_000);
