import { chmod, copyFile, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { execFileSync } from 'node:child_process';
import fc from 'fast-check';
import { AgentConfigurationError, readAgentConfiguration } from './configuration.ts';
import { createAuthority } from '../testing/certificates.ts';
import { createSigningKey } from '../testing/signing.ts';

const REQUIRED = ['--url', 'ws://host:4000/graphql', '--token-file', 't', '--db', 'd'];
let folder: string;
let keysFile: string;
let caFile: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'fleetflag-configuration-'));
  keysFile = join(folder, 'keys.json');
  caFile = join(folder, 'ca.pem');
  await writeFile(
    caFile,
    `${createAuthority('One').certificate}\nkept beside it\n${createAuthority('Other').certificate}`,
  );
  await writeFile(keysFile, JSON.stringify({ keys: [(await createSigningKey()).publicJwk] }));
});

afterAll(() => rm(folder, { recursive: true }));

async function faultsOf(args: string[], environment: NodeJS.ProcessEnv = {}): Promise<readonly string[]> {
  const error: unknown = await readAgentConfiguration(args, environment).catch((reason: unknown) => reason);
  expect(error).toBeInstanceOf(AgentConfigurationError);
  return (error as AgentConfigurationError).faults;
}

test('every option is read from the command line', async () => {
  const args = [
    ...REQUIRED,
    '--listen',
    '127.0.0.1:7788',
    '--allow-origin',
    'http://hmi.local:8080',
    '--allow-origin=app://hmi',
    '--keys',
    keysFile,
    '--ca',
    caFile,
    '--proxy',
    'http://proxy:3128',
    '--model',
    'Ioniq 6',
    '--sw-version=2.5.0',
    '--region',
    'EU',
    '--resync-minutes',
    '5',
    '--metrics-seconds',
    '0.5',
    '--log-format',
    'json',
  ];
  expect(await readAgentConfiguration(args, {})).toMatchObject({
    url: 'ws://host:4000/graphql',
    tokenFile: 't',
    databaseFile: 'd',
    listen: { host: '127.0.0.1', port: 7788 },
    allowedOrigins: ['http://hmi.local:8080', 'app://hmi'],
    keys: { keys: [{ kty: 'OKP', crv: 'Ed25519' }] },
    ca: expect.stringMatching(/^(-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----\n?){2}$/),
    proxy: 'http://proxy:3128',
    vehicle: { model: 'Ioniq 6', swVersion: '2.5.0', region: 'EU' },
    warnings: [],
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
    FLEETFLAG_AGENT_ALLOW_ORIGIN: 'https://a.example, http://b.example:81,',
    FLEETFLAG_AGENT_SW_VERSION: '1.0.0',
    FLEETFLAG_AGENT_CA: caFile,
    FLEETFLAG_AGENT_PROXY: 'http://own:1',
    HTTPS_PROXY: 'http://not-this:1',
  };
  expect(await readAgentConfiguration(['--db', 'other', '--listen', '[::1]:81'], environment)).toMatchObject({
    url: 'wss://gateway/graphql',
    tokenFile: 'token',
    databaseFile: 'other',
    listen: { host: '::1', port: 81 },
    allowedOrigins: ['https://a.example', 'http://b.example:81'],
    keys: null,
    proxy: 'http://own:1',
    vehicle: { swVersion: '1.0.0' },
    resyncMs: 600_000,
    metricsIntervalMs: 60_000,
  });
  expect((await readAgentConfiguration([], environment)).listen).toEqual({ host: '0.0.0.0', port: 80 });
});

test('one message names every fault', async () => {
  const faults = await faultsOf([
    '--url',
    'http://host',
    '--listen',
    '10.0.0.1:99',
    '--keys',
    join(folder, 'missing'),
    '--ca',
    join(folder, 'missing'),
    '--proxy',
    'socks5://u:secret@host',
    '--resync-minutes',
    '0',
    '--metrics-seconds',
    '0',
    '--log-format',
    'xml',
    '--tokenfile',
    'x',
    'stray',
  ]);
  expect(faults).toEqual([
    'unknown option --tokenfile; did you mean --token-file?',
    expect.stringContaining('"x"'),
    expect.stringContaining('"stray"'),
    expect.stringContaining('--url must be a ws://'),
    expect.stringContaining('--token-file (or FLEETFLAG_AGENT_TOKEN_FILE) is required'),
    expect.stringContaining('--db (or FLEETFLAG_AGENT_DB) is required'),
    expect.stringContaining('--allow-remote'),
    expect.stringContaining('missing cannot be read as a JWK set'),
    expect.stringContaining('missing cannot be read as PEM certificates'),
    '--proxy must be http://[user:password@]host:port',
    expect.stringContaining('--resync-minutes'),
    expect.stringContaining('--metrics-seconds'),
    expect.stringContaining('--log-format'),
  ]);
});

test.each([
  ['--listen', 'nowhere'],
  ['--listen', '127.0.0.1:70000'],
  ['--listen', 'http://127.0.0.1:80', '--allow-remote'],
  ['--listen', 'user@host:80', '--allow-remote'],
  ['--listen', 'a host:80', '--allow-remote'],
  ['--listen', '[:80', '--allow-remote'],
  ['--listen', '[:::::]:80', '--allow-remote'],
  ['--url', 'ws://host:4000/graphql#part'],
  ['--listen'],
  ['--allow-origin', '*'],
  ['--allow-origin', 'null'],
  ['--allow-origin', 'http://hmi.local/'],
  ['--allow-origin'],
  ['--resync-minutes', 'ten'],
])('%s %s is refused', async (...args) => {
  expect(await faultsOf([...REQUIRED, ...args])).toHaveLength(1);
});

test('an unknown variable of the agent is named with the nearest known one, and other variables are ignored', async () => {
  expect(
    await faultsOf(REQUIRED, {
      FLEETFLAG_AGENT_LISTNE: '127.0.0.1:1',
      FLEETFLAG_AGENT_QQ: '1',
      FLEETFLAG_DATA_DIR: '/x',
    }),
  ).toEqual([
    'unknown setting FLEETFLAG_AGENT_LISTNE; did you mean FLEETFLAG_AGENT_LISTEN?',
    'unknown setting FLEETFLAG_AGENT_QQ',
  ]);
});

test('an empty file of keys is refused, and one that everybody can change causes a warning', async () => {
  const path = join(folder, 'open.json');
  await writeFile(path, '\n');
  expect(await faultsOf([...REQUIRED, '--keys', path])).toEqual([expect.stringContaining(`${path} is empty`)]);
  await copyFile(keysFile, path);
  await chmod(path, 0o646);
  expect((await readAgentConfiguration([...REQUIRED, '--keys', path], {})).warnings).toEqual([
    `--keys ${path} can be changed by every user of this machine; run: chmod 644 ${path}`,
  ]);
  expect((await readAgentConfiguration([...REQUIRED, '--keys', keysFile], {})).warnings).toEqual([]);
});

test.each([
  ['too long', '1'.repeat(51), 'must have 1 to 50 characters'],
  ['in two lines', '2.5\n0', 'must not have control characters'],
])(
  'a version that is %s causes a warning, because the control plane refuses heartbeats with it',
  async (_, version, fault) => {
    const args = [...REQUIRED, '--sw-version', version];
    expect((await readAgentConfiguration(args, {})).warnings).toEqual([
      expect.stringContaining(`refuse the heartbeats of this vehicle: --sw-version ${fault}`),
    ]);
  },
);

test('a switch is on or off in both forms alike, and any other value is refused with its name', async () => {
  const remote = [...REQUIRED, '--listen', '0.0.0.0:80'];
  const read = async (args: string[], environment: NodeJS.ProcessEnv) => {
    const error: unknown = await readAgentConfiguration(args, environment).catch((reason: unknown) => reason);
    return error instanceof AgentConfigurationError ? error.faults : 'on';
  };
  const off = [expect.stringContaining('add --allow-remote')];
  for (const text of ['true', '1'])
    expect([
      await read([...remote, `--allow-remote=${text}`], {}),
      await read(remote, { FLEETFLAG_AGENT_ALLOW_REMOTE: text }),
    ]).toEqual(['on', 'on']);
  for (const text of ['false', '0'])
    expect([
      await read([...remote, `--allow-remote=${text}`], {}),
      await read(remote, { FLEETFLAG_AGENT_ALLOW_REMOTE: text }),
    ]).toEqual([off, off]);
  expect(await read([...remote, '--allow-remote=false'], { FLEETFLAG_AGENT_ALLOW_REMOTE: 'true' })).toEqual(off);
  expect(await read(remote, { FLEETFLAG_AGENT_ALLOW_REMOTE: '' })).toEqual(off);
  const words = fc.oneof(
    fc.constantFrom('yes', 'no', 'on', 'off', 'TRUE', 'False', ' true', '2'),
    fc.string({ minLength: 1 }),
  );
  await fc.assert(
    fc.asyncProperty(words, fc.constantFrom('allow-remote', 'allow-overrides'), async (text, name) => {
      fc.pre(!['true', '1', 'false', '0'].includes(text));
      const variable = `FLEETFLAG_AGENT_${name.toUpperCase().replace('-', '_')}`;
      expect(await faultsOf([...REQUIRED, `--${name}=${text}`])).toEqual([
        `--${name} must be true or false (1 or 0), not "${text}"`,
      ]);
      expect(await faultsOf(REQUIRED, { [variable]: text })).toEqual([
        `${variable} must be true or false (1 or 0), not "${text}"`,
      ]);
    }),
    { numRuns: 30 },
  );
});

test.each(['model', 'sw-version', 'region', 'vin', 'listen', 'allow-origin', 'proxy'])(
  'a blank --%s is refused as empty',
  async (name) => {
    expect(await faultsOf([...REQUIRED, `--${name}`, ' \t'])).toEqual([`--${name} requires a value`]);
    const variable = `FLEETFLAG_AGENT_${name.toUpperCase().replace('-', '_')}`;
    expect(await faultsOf(REQUIRED, { [variable]: '  ' })).toContain(
      `${variable} must not be blank; give it a value, or unset it`,
    );
  },
);

test.each(['token-file', 'db', 'flags', 'keys', 'ca'])(
  'a --%s that is a pipe, a device or a folder is refused at once',
  async (name) => {
    const pipe = join(folder, `${name}.pipe`);
    execFileSync('mkfifo', [pipe]);
    const others = ['--url', 'ws://host', '--token-file', 't', '--db', 'd', '--allow-overrides'];
    for (const [path, kind] of [
      [pipe, 'a named pipe'],
      ['/dev/zero', 'a device'],
      [folder, 'a folder'],
    ] as const) {
      expect(await faultsOf([...others, `--${name}`, path])).toEqual([
        expect.stringMatching(`^--${name}.* ${path} is ${kind}, not a regular file$`),
      ]);
    }
  },
);

test('a key set without an Ed25519 key is refused', async () => {
  const path = join(folder, 'empty.json');
  await writeFile(path, '{"keys":[{"kty":"RSA","kid":"a"}]}');
  expect(await faultsOf([...REQUIRED, '--keys', path])).toEqual([expect.stringContaining('no Ed25519 public key')]);
});

test.each([
  ['nothing of PEM', 'certificate', 'no "-----BEGIN CERTIFICATE-----" found'],
  [
    'a broken certificate',
    '-----BEGIN CERTIFICATE-----\nTUlJQg==\n-----END CERTIFICATE-----',
    'cannot be read as PEM certificates',
  ],
])('a file of authorities with %s is refused', async (_what, text, fault) => {
  const path = join(folder, 'broken.pem');
  await writeFile(path, text);
  expect(await faultsOf([...REQUIRED, '--ca', path])).toEqual([expect.stringContaining(fault)]);
});

test.each([
  'proxy:3128',
  'https://u:secret@proxy',
  'http://',
  'http://u:secret@proxy/path',
  'http://u:secret%@proxy',
  'http://u:secret@proxy:99999',
  'http://u:secret@proxy:0',
  'http://u%3Av:secret@proxy',
])('%s is refused as a proxy, and the message does not repeat a password', async (proxy) => {
  const faults = await faultsOf([...REQUIRED, '--proxy', proxy]);
  expect(faults).toEqual([expect.stringMatching(/^--proxy /)]);
  expect(faults.join()).not.toContain('secret');
});

test('an invalid proxy in the environment is reported', async () => {
  expect(await faultsOf(REQUIRED, { HTTP_PROXY: 'socks5://u:secret@proxy' })).toEqual([
    'the proxy of the environment must be http://[user:password@]host:port',
  ]);
});

test.each<[string, NodeJS.ProcessEnv, string | null]>([
  ['ws://gateway.example/graphql', {}, null],
  ['ws://gateway.example/graphql', { HTTP_PROXY: 'http://a:1', HTTPS_PROXY: 'http://b:1' }, 'http://a:1'],
  ['wss://gateway.example/graphql', { HTTP_PROXY: 'http://a:1', HTTPS_PROXY: 'http://b:1' }, 'http://b:1'],
  ['wss://gateway.example/graphql', { HTTPS_PROXY: 'http://b:1', https_proxy: 'http://c:1' }, 'http://c:1'],
  ['wss://gateway.example/graphql', { HTTPS_PROXY: 'proxy.example:3128' }, 'http://proxy.example:3128'],
  ['wss://gateway.example/graphql', { HTTP_PROXY: 'http://a:1' }, null],
  // No proxy reaches this machine.
  ['ws://localhost:4000/graphql', { HTTP_PROXY: 'http://a:1' }, null],
  ['ws://127.0.0.9:4000/graphql', { HTTP_PROXY: 'http://a:1' }, null],
  ['ws://[::1]:4000/graphql', { HTTP_PROXY: 'http://a:1' }, null],
  ...(
    [
      ['*', null],
      ['gateway.example', null],
      ['GATEWAY.example', null],
      ['other, example', null],
      ['other .example', null],
      ['*.example', null],
      ['gateway.example:443', null],
      ['gateway.example:8443', 'http://b:1'],
      ['way.example', 'http://b:1'],
      ['other', 'http://b:1'],
      ['', 'http://b:1'],
    ] as [string, string | null][]
  ).map(([NO_PROXY, proxy]): [string, NodeJS.ProcessEnv, string | null] => [
    'wss://gateway.example/graphql',
    { HTTPS_PROXY: 'http://b:1', NO_PROXY },
    proxy,
  ]),
  ['wss://[2001:db8::1]:99/graphql', { HTTPS_PROXY: 'http://b:1', no_proxy: '[2001:db8::1]' }, null],
  ['wss://[2001:db8::1]:99/graphql', { HTTPS_PROXY: 'http://b:1', no_proxy: '2001:db8::1' }, null],
])('for %s and %j the proxy of the environment is %j', async (url, environment, proxy) => {
  expect((await readAgentConfiguration(['--url', url, '--token-file', 't', '--db', 'd'], environment)).proxy).toBe(
    proxy,
  );
});

test('a file of flags replaces a control plane, and is allowed beside one only by an explicit option', async () => {
  expect(await readAgentConfiguration(['--flags', 'flags.yaml', '--vin', 'KMHL14JA5PA000001'], {})).toMatchObject({
    url: undefined,
    tokenFile: undefined,
    databaseFile: undefined,
    flagsFile: 'flags.yaml',
    vin: 'KMHL14JA5PA000001',
  });
  expect(await readAgentConfiguration([...REQUIRED, '--flags', 'flags.yaml', '--allow-overrides'], {})).toMatchObject({
    flagsFile: 'flags.yaml',
    allowOverrides: true,
  });
  expect(
    await readAgentConfiguration(REQUIRED, {
      FLEETFLAG_AGENT_FLAGS: 'flags.yaml',
      FLEETFLAG_AGENT_ALLOW_OVERRIDES: '1',
    }),
  ).toMatchObject({ flagsFile: 'flags.yaml', allowOverrides: true });
  expect(await faultsOf([...REQUIRED, '--flags', 'flags.yaml'])).toEqual([
    expect.stringContaining('--allow-overrides'),
  ]);
  for (const [name, text] of [
    ['token-file', 't'],
    ['db', 'd'],
    ['keys', keysFile],
    ['ca', caFile],
    ['proxy', 'http://proxy:1'],
  ] as const) {
    expect(await faultsOf(['--flags', 'flags.yaml', `--${name}`, text])).toEqual([
      `--${name} has no effect with --flags alone; add --url, or remove it`,
    ]);
  }
  expect(await faultsOf(['--flags', 'flags.yaml', '--vin', 'short'])).toEqual([expect.stringContaining('--vin')]);
  expect(await faultsOf([...REQUIRED, '--vin', 'KMHL14JA5PA000001'])).toEqual([expect.stringContaining('--vin')]);
});
