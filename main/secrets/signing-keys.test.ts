import { mkdtemp, readFile, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { generateSigningKey } from '../../subgraphs/flags/signing/signing.ts';
import { readConfiguration } from '../configuration.ts';
import { openSigner, prepareNextKey, previousKeys, removePreviousKeys, switchToNextKey } from './signing-keys.ts';
import { openPresentSigner } from './trusted-signer.ts';

let dataDir: string;

beforeEach(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'fleetflag-keys-'));
});
afterEach(() => rm(dataDir, { recursive: true, force: true }));

const settings = (more: Record<string, string> = {}) => readConfiguration({ FLEETFLAG_DATA_DIR: dataDir, ...more });
const open = () => openSigner(settings());
const served = async () => (await open()).publicKeys.keys.map(({ kid }) => kid);

test('a rotation serves the next key before it signs, keeps the former one valid, and finally removes it', async () => {
  const { kid: first } = await open();
  const { kid: second } = await prepareNextKey(dataDir);
  expect((await prepareNextKey(dataDir)).kid).toBe(second);
  expect([(await open()).kid, await served()]).toEqual([first, [first, second]]);

  const { former, current } = await switchToNextKey(dataDir);
  expect([former.kid, current.kid]).toEqual([first, second]);
  expect([(await open()).kid, await served()]).toEqual([second, [second, first]]);
  expect((await previousKeys(dataDir)).map(({ kid }) => kid)).toEqual([first]);
  expect(await readFile(join(dataDir, 'signing-keys-previous.json'), 'utf8')).not.toContain('"d"');

  await removePreviousKeys(dataDir);
  expect(await served()).toEqual([second]);
  expect(await readdir(dataDir)).toEqual(['signing-key.pem']);
  expect((await stat(join(dataDir, 'signing-key.pem'))).mode & 0o777).toBe(0o600);
});

test('without preparation, the switch creates the next key; after two rotations in a row both former keys stay valid', async () => {
  const { kid: first } = await open();
  const { current: second } = await switchToNextKey(dataDir);
  const { current: third } = await switchToNextKey(dataDir);
  expect(await served()).toEqual([third.kid, second.kid, first]);
});

test('a switch that was killed before its last step leaves the former key signing, and the next switch finishes it', async () => {
  const { kid: first } = await open();
  const next = await prepareNextKey(dataDir);
  // The files after the first of the two steps.
  await writeFile(
    join(dataDir, 'signing-keys-previous.json'),
    JSON.stringify({ keys: (await open()).publicKeys.keys.slice(0, 1) }),
  );
  expect([(await open()).kid, (await served()).sort()]).toEqual([first, [first, next.kid].sort()]);
  expect((await switchToNextKey(dataDir)).current.kid).toBe(next.kid);
  expect(await served()).toEqual([next.kid, first]);
});

test('a command beside the control plane creates no key of its own', async () => {
  await expect(openPresentSigner(settings())).rejects.toThrow('There is no signing key');
  await expect(prepareNextKey(dataDir)).rejects.toThrow('no signing key');
  expect(await readdir(dataDir)).toEqual([]);
});

test('further valid keys are given as text or as files, and a wrong one is named by its setting', async () => {
  const [own, a, b] = [await generateSigningKey(), await generateSigningKey(), await generateSigningKey()];
  const kids = async (FLEETFLAG_PREVIOUS_SIGNING_KEYS: string) =>
    (await openSigner(settings({ FLEETFLAG_SIGNING_KEY: own, FLEETFLAG_PREVIOUS_SIGNING_KEYS }))).publicKeys.keys.map(
      ({ kid }) => kid,
    );
  const both = await kids(`${a}\n${b}`);
  expect(both).toHaveLength(3);
  await writeFile(join(dataDir, 'a.pem'), a);
  await writeFile(
    join(dataDir, 'b.json'),
    JSON.stringify({ keys: (await openSigner(settings({ FLEETFLAG_SIGNING_KEY: b }))).publicKeys.keys }),
  );
  expect(await kids(`${join(dataDir, 'a.pem')}, ${join(dataDir, 'b.json')}`)).toEqual(both);
  expect(await kids('')).toEqual(both.slice(0, 1));
  expect(() => settings({ FLEETFLAG_PREVIOUS_SIGNING_KEYS: join(dataDir, 'none.pem') })).toThrow(
    'FLEETFLAG_PREVIOUS_SIGNING_KEYS',
  );
  await expect(kids('{"kty":"RSA"}')).rejects.toThrow('FLEETFLAG_PREVIOUS_SIGNING_KEYS');
});
