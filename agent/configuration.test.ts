import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { ConfigurationError, readConfiguration } from './configuration.ts';
import { createSigningKey } from './testing/control-plane.ts';

const REQUIRED = ['--url', 'ws://host:4000/graphql', '--token-file', 't', '--db', 'd'];
let folder: string;
let keysFile: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'fleetflag-configuration-'));
  keysFile = join(folder, 'keys.json');
  await writeFile(keysFile, JSON.stringify({ keys: [(await createSigningKey()).publicJwk] }));
});

afterAll(() => rm(folder, { recursive: true }));

async function faultsOf(args: string[], environment: NodeJS.ProcessEnv = {}): Promise<readonly string[]> {
  const error: unknown = await readConfiguration(args, environment).catch((reason: unknown) => reason);
  expect(error).toBeInstanceOf(ConfigurationError);
  return (error as ConfigurationError).faults;
}

test('every option is read from the command line', async () => {
  const args = [...REQUIRED, '--listen', '127.0.0.1:7788', '--keys', keysFile, '--model', 'Ioniq 6', '--sw-version=2.5.0', '--region', 'EU', '--resync-minutes', '5', '--metrics-seconds', '0.5', '--log-format', 'json'];
  expect(await readConfiguration(args, {})).toMatchObject({
    url: 'ws://host:4000/graphql',
    tokenFile: 't',
    databaseFile: 'd',
    listen: { host: '127.0.0.1', port: 7788 },
    keys: { keys: [{ kty: 'OKP', crv: 'Ed25519' }] },
    vehicle: { model: 'Ioniq 6', swVersion: '2.5.0', region: 'EU' },
    resyncMs: 300_000,
    metricsIntervalMs: 500,
    logFormat: 'json',
  });
});

test('every option is read from the environment, and the command line wins', async () => {
  const environment = {
    FLEETFLAG_AGENT_URL: 'wss://gateway/graphql',
    FLEETFLAG_AGENT_TOKEN_FILE: 'token',
    FLEETFLAG_AGENT_DB: 'db',
    FLEETFLAG_AGENT_LISTEN: '0.0.0.0:80',
    FLEETFLAG_AGENT_ALLOW_REMOTE: '1',
    FLEETFLAG_AGENT_SW_VERSION: '1.0.0',
  };
  expect(await readConfiguration(['--db', 'other', '--listen', '[::1]:81'], environment)).toMatchObject({
    url: 'wss://gateway/graphql',
    tokenFile: 'token',
    databaseFile: 'other',
    listen: { host: '::1', port: 81 },
    keys: null,
    vehicle: { swVersion: '1.0.0' },
    resyncMs: 600_000,
    metricsIntervalMs: 60_000,
  });
  expect((await readConfiguration([], environment)).listen).toEqual({ host: '0.0.0.0', port: 80 });
});

test('one message names every fault', async () => {
  const faults = await faultsOf(['--url', 'http://host', '--listen', '10.0.0.1:99', '--keys', join(folder, 'missing'), '--resync-minutes', '0', '--metrics-seconds', '0', '--log-format', 'xml', '--tokenfile', 'x', 'stray']);
  expect(faults).toEqual([
    expect.stringContaining('--tokenfile'),
    expect.stringContaining('"x"'),
    expect.stringContaining('"stray"'),
    expect.stringContaining('--url must be a ws://'),
    expect.stringContaining('--token-file (or FLEETFLAG_AGENT_TOKEN_FILE) is required'),
    expect.stringContaining('--db (or FLEETFLAG_AGENT_DB) is required'),
    expect.stringContaining('--allow-remote'),
    expect.stringContaining('missing is not a JWK set'),
    expect.stringContaining('--resync-minutes'),
    expect.stringContaining('--metrics-seconds'),
    expect.stringContaining('--log-format'),
  ]);
});

test.each([['--listen', 'nowhere'], ['--listen', '127.0.0.1:70000'], ['--listen'], ['--resync-minutes', 'ten']])('%s %s is refused', async (...args) => {
  expect(await faultsOf([...REQUIRED, ...args])).toHaveLength(1);
});

test('a key set without an Ed25519 key is refused', async () => {
  const path = join(folder, 'empty.json');
  await writeFile(path, '{"keys":[{"kty":"RSA","kid":"a"}]}');
  expect(await faultsOf([...REQUIRED, '--keys', path])).toEqual([expect.stringContaining('no Ed25519 public key')]);
});
