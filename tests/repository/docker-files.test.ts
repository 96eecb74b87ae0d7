import { execFile, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { createServer, type Server } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { parse } from 'yaml';
import { sampled } from '../../core/testing/rounds.ts';
import { SUBGRAPH_NAMES } from '../../core/wire/subgraph/subgraph.ts';
import { createSigner, generateSigningKey } from '../../subgraphs/flags/signing/signing.ts';
import { BUILT_FILES, LEFT_OUT } from '../../commands/build.ts';
import { EMBEDDED_PACKAGES, packageFolders, SERVICE_PACKAGES } from '../../docker/runtime-packages.ts';
import { readConfiguration } from '../../main/configuration.ts';
import { SETTINGS } from '../../main/settings/known-settings.ts';
import { boundAddress } from '../../core/wire/network/http-server.ts';

interface Service {
  readonly image: string;
  readonly hostname?: string;
  readonly command?: readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
  readonly healthcheck?: { readonly test?: readonly string[]; readonly disable?: boolean };
  readonly depends_on?: Readonly<Record<string, { readonly condition: string }>>;
  readonly volumes?: readonly string[];
  readonly ports?: readonly string[];
}

const root = new URL('../../', import.meta.url);
const text = (path: string) => readFileSync(new URL(path, root), 'utf8');

interface Deployment {
  readonly services: Record<string, Service>;
  readonly volumes: Record<string, unknown>;
}
/** A compose file, as its parser gives it. */
const composed = (file: string) => parse(file, { merge: true, strict: true, uniqueKeys: true }) as Deployment;

const composeText = text('docker/compose.yaml');
const { services, volumes } = composed(composeText);
const own = Object.entries(services).filter(([, { image }]) => image.startsWith('fleetflag-services:'));
const sentinelText = text('docker/compose.sentinel.yaml');
const overlay = composed(sentinelText);
/** Both files, as compose merges them: mappings by their keys, anything else by the last. */
const withSentinels: Deployment = {
  services: Object.fromEntries(
    [...new Set([...Object.keys(services), ...Object.keys(overlay.services)])].map((name): [string, Service] => {
      const [below, above] = [services[name], overlay.services[name]];
      const merged = {
        ...below,
        ...above,
        environment: { ...below?.environment, ...above?.environment },
        depends_on: { ...below?.depends_on, ...above?.depends_on },
      };
      return [name, merged as Service];
    }),
  ),
  volumes: { ...volumes, ...overlay.volumes },
};
/** Without comments, continued lines joined. */
const dockerfile = text('docker/Dockerfile')
  .replace(/^#.*\n/gm, '')
  .replace(/\\\n\s*/g, ' ')
  .split('\n');
const ignored = text('docker/Dockerfile.dockerignore')
  .split('\n')
  .filter((line) => line !== '' && !line.startsWith('#'));

/** The HEALTHCHECK's command, as Docker runs it. */
const imageHealthcheck = JSON.parse(
  /^HEALTHCHECK .*CMD (\[.*\])$/.exec(dockerfile.find((line) => line.startsWith('HEALTHCHECK')) ?? '')?.[1] ?? '[]',
) as string[];

/** The source files that the control plane's commands may be made of, relative to the root. */
const sourcesOfCommands = () =>
  ['core', 'subgraphs', 'gateway', 'main', 'commands', 'prisma'].flatMap((room) =>
    readdirSync(new URL(room, root), { recursive: true, encoding: 'utf8' })
      .filter((file) => file.endsWith('.ts') && !file.endsWith('.test.ts') && !/testing\/|^generate\//.test(file))
      .map((file) => `${room}/${file}`),
  );

let folder: string;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'fleetflag-docker-'));
  writeFileSync(join(folder, 'node'), '#!/bin/sh\necho "$*"\n');
  chmodSync(join(folder, 'node'), 0o755);
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Gives what the image's entry point would run with `args`. */
function entry(args: readonly string[]): { status: number | null; stdout: string; stderr: string } {
  return spawnSync('/bin/sh', ['docker/entrypoint.sh', ...args], {
    cwd: root,
    env: { PATH: `${folder}:/usr/bin:/bin` },
    encoding: 'utf8',
  });
}

test.each([
  ...own.map(([name, { command }]) => [`service ${name}`, command ?? []] as const),
  ['default', ['start']] as const,
  ['agent', ['agent', '--url', 'ws://x/graphql']] as const,
])('the command of the %s runs a program that exists', (_, command) => {
  const { status, stdout } = entry(command);
  expect(status).toBe(0);
  const [, file = '', rest = ''] = /^dist\/(\S+)(.*)\n$/.exec(stdout) ?? [];
  expect(BUILT_FILES).toContain(file);
  const role = command[0] ?? '';
  if (role === 'gateway' || SUBGRAPH_NAMES.some((name) => name === role)) expect(rest).toBe(` ${command.join(' ')}`);
  else
    expect(rest).toBe(
      command
        .slice(1)
        .map((argument) => ` ${argument}`)
        .join(''),
    );
});

test('an unknown role ends the container with code 2 and names the known ones', () => {
  const { status, stdout, stderr } = entry(['gatewya']);
  expect([status, stdout]).toEqual([2, '']);
  expect(stderr).toMatch(/"gatewya".*gateway, flags, vehicles, experiments, audit/);
});

test('the deployment has every subgraph, a gateway for each published port, and migrations before all who read tables', () => {
  for (const name of SUBGRAPH_NAMES) {
    expect(services[name]?.command).toEqual([name]);
    expect(services[name]?.depends_on?.['migrate']).toEqual({ condition: 'service_completed_successfully' });
    expect(services[name]?.ports).toBeUndefined();
  }
  const gateways = own.filter(([, { command }]) => command?.[0] === 'gateway');
  expect(gateways.map(([, { ports }]) => ports?.length)).toEqual([1, 1]);
  expect(services['migrate']?.command).toEqual(['migrate', 'deploy']);
});

test.each([
  ['one Redis', { services, volumes }],
  ['sentinels', withSentinels],
])(
  'with %s, whatever a service waits for exists and can reach the state that is waited for',
  (_, { services, volumes }) => {
    for (const { depends_on: needs = {} } of Object.values(services)) {
      for (const [name, { condition }] of Object.entries(needs)) {
        expect(Object.keys(services)).toContain(name);
        if (condition === 'service_healthy') expect(services[name]?.healthcheck?.test).toBeDefined();
        else expect(condition).toBe('service_completed_successfully');
      }
    }
    for (const { volumes: mounts = [] } of Object.values(services)) {
      for (const mount of mounts.filter((mount) => !mount.startsWith('./')))
        expect(Object.keys(volumes)).toContain(mount.split(':')[0]);
    }
  },
);

test('every variable given to a program of FleetFlag is one of its settings', () => {
  for (const [, { environment = {} }] of own)
    for (const name of Object.keys(environment)) expect(Object.keys(SETTINGS)).toContain(name);
});

/** Compose's own substitution, as far as the file uses it: `${NAME:-default}` and `${NAME:?message}`. */
function substituted(value: string, given: Readonly<Record<string, string>>): string {
  return value.replace(/\$\{(\w+):([-?])([^}]*)\}/g, (_, name: string, kind: string, rest: string) => {
    if (given[name]) return given[name];
    if (kind === '-') return rest;
    throw new Error(rest);
  });
}

const FILLED = {
  POSTGRES_PASSWORD: 'postgres-password',
  REDIS_PASSWORD: 'redis-password',
  CLICKHOUSE_PASSWORD: 'clickhouse-password',
  FLEETFLAG_INTERNAL_SECRET: 'x'.repeat(64),
  FLEETFLAG_SIGNING_KEY: '{"kty":"OKP"}',
  FLEETFLAG_ADMIN_EMAIL: 'ann@example.com',
  FLEETFLAG_ADMIN_PASSWORD: 'correct horse battery staple',
};

/** Without them there is less to be had, and nothing is open. */
const MAY_BE_EMPTY = ['OTEL_EXPORTER_OTLP_ENDPOINT', 'FLEETFLAG_ALLOWED_ORIGINS', 'FLEETFLAG_METRICS_TOKEN'];

test.each(own.filter(([name]) => name !== 'migrate'))(
  'with what .env.example asks for, the settings of %s are complete and correct',
  (_, { command, environment = {} }) => {
    const given = Object.fromEntries(
      Object.entries(environment).map(([name, value]) => [name, substituted(value, FILLED)]),
    );
    const role = command?.[0] as 'gateway';
    const read = readConfiguration({ NODE_ENV: 'production', PORT: '4000', ...given }, { role });
    expect(read.playground).toBe(false);
    if (role === 'gateway') {
      for (const name of SUBGRAPH_NAMES) expect(read.subgraphUrls[name]).toEqual([`http://${name}:4000`]);
    } else expect(new URL(read.databaseUrl ?? '').hostname).toBe('postgres');
  },
);

const isSentinel = (command: readonly string[] | undefined) => command?.at(-1)?.includes('--sentinel') === true;

test('with the second file every role asks three sentinels, each of which watches the primary with its password', () => {
  const sentinels = Object.entries(withSentinels.services).filter(([, { command }]) => isSentinel(command));
  expect(sentinels).toHaveLength(3);
  const addresses = sentinels.map(([host]) => ({ host, port: 26379 }));
  for (const [name, { command }] of own.filter(([name]) => name !== 'migrate')) {
    const { environment = {} } = withSentinels.services[name] ?? {};
    const given = Object.fromEntries(
      Object.entries(environment).map(([key, value]) => [key, substituted(value, FILLED)]),
    );
    const { redis } = readConfiguration(
      { NODE_ENV: 'production', PORT: '4000', ...given },
      { role: command?.[0] as 'gateway' },
    );
    expect(redis).toEqual({ sentinels: addresses, name: 'fleetflag', password: FILLED.REDIS_PASSWORD });
  }
  writeFileSync(join(folder, 'redis-server'), '#!/bin/sh\ncat "$1"\necho "$@"\n', { mode: 0o755 });
  for (const [name, { command = [], hostname = '' }] of sentinels) {
    const data = join(folder, name);
    mkdirSync(data);
    // Compose makes one $ of two.
    const [program = '', ...args] = command.map((part) => part.replaceAll('$$', '$'));
    const start = () =>
      spawnSync(program, args, {
        cwd: data,
        env: { PATH: `${folder}:/usr/bin:/bin`, HOSTNAME: hostname, REDIS_PASSWORD: FILLED.REDIS_PASSWORD },
        encoding: 'utf8',
      });
    const { stdout, stderr } = start();
    expect(stderr).toBe('');
    expect(stdout.split('\n')).toEqual(
      expect.arrayContaining([
        `sentinel announce-ip ${name}`,
        'sentinel monitor fleetflag redis 6379 2',
        `sentinel auth-pass fleetflag ${FILLED.REDIS_PASSWORD}`,
        'sentinel.conf --sentinel',
      ]),
    );
    expect(stdout.indexOf('resolve-hostnames')).toBeLessThan(stdout.indexOf('monitor'));
    // What it has learned since outlives a restart.
    writeFileSync(join(data, 'sentinel.conf'), 'learned\n');
    expect(start().stdout).toBe('learned\nsentinel.conf --sentinel\n');
  }
});

test('.env.example names exactly the variables that the deployment takes, and the secrets among them have no default', () => {
  const taken = [...(composeText + sentinelText).replace(/^\s*#.*$/gm, '').matchAll(/(?<!\$)\$\{(\w+):([-?])/g)].map(
    ([, name = '', kind = '']) => [name, kind] as const,
  );
  const example = [...text('docker/.env.example').matchAll(/^(\w+)=(.*)$/gm)].map(
    ([, name = '', value = '']) => [name, value] as const,
  );
  expect(example.map(([name]) => name).sort()).toEqual([...new Set(taken.map(([name]) => name))].sort());
  expect(
    example
      .filter(([, value]) => value === '')
      .map(([name]) => name)
      .sort(),
  ).toEqual([...Object.keys(FILLED), ...MAY_BE_EMPTY].sort());
  for (const [name, kind] of taken) expect(kind).toBe(Object.hasOwn(FILLED, name) ? '?' : '-');
});

test('a signing key made as .env.example says is one that the flags subgraph signs with', async () => {
  const [, code = ''] = /^# {3}node -e "(.*)"$/m.exec(text('docker/.env.example')) ?? [];
  const { stdout } = spawnSync(process.execPath, ['-e', code], { encoding: 'utf8' });
  const { publicKeys } = await createSigner(stdout.trim());
  expect(publicKeys).toMatchObject({ keys: [{ kty: 'OKP', crv: 'Ed25519' }] });
  expect(JSON.stringify(publicKeys)).not.toContain('"d"');
  expect(await generateSigningKey()).not.toBe(stdout);
});

test('all that is copied into the image exists and is let into the build', () => {
  const copies = dockerfile.filter((line) => line.startsWith('COPY ') && !line.includes('--from'));
  const sources = copies.flatMap((line) => line.split(/\s+/).slice(1, -1));
  expect(sources.length).toBeGreaterThan(8);
  for (const source of sources) {
    expect(existsSync(new URL(source, root))).toBe(true);
    expect(ignored.some((line) => line === `!${source}` || source.startsWith(`${line.slice(1)}/`))).toBe(true);
  }
  expect(ignored[0]).toBe('*');
  expect(ignored).toContain('**/node_modules');
});

test('both images run as an account without rights, in production mode, and install nothing by themselves', () => {
  const from = dockerfile.flatMap((line, index) => (line.startsWith('FROM ') ? [index] : []));
  const [, services = 0, all = 0] = from;
  const ofServices = dockerfile.slice(services, all);
  expect(ofServices[0]).toMatch(/ AS services$/);
  expect(ofServices).toContain('USER node');
  expect(ofServices.join('\n')).toContain('NODE_ENV=production');
  // The other image is that one, with the embedded stores.
  expect(dockerfile[all]).toBe('FROM services');
  expect(dockerfile.slice(services).join('\n')).not.toMatch(/npm (ci|install)/);
  expect(dockerfile.slice(all).join('\n')).not.toMatch(/^(USER|ENV|ENTRYPOINT|CMD) /m);
});

test('the packages that the images get are all that the commands look for beside themselves while they run', () => {
  const asked = sourcesOfCommands().flatMap((path) =>
    [...text(path).matchAll(/createRequire\(import\.meta\.url\)\.resolve\((?:'([^']+)'|(\w+))/g)].map(
      ([, name, variable]) => [path, name ?? variable],
    ),
  );
  expect(Object.fromEntries(asked)).toEqual({
    'gateway/pages/playground/site.ts': 'graphql-ws',
    // Variables: @prisma/schema-engine-wasm, and the package of the embedded server for this machine.
    'subgraphs/shared/postgres/schema/schema-engine.ts': 'name',
    'subgraphs/shared/postgres/embedded/embedded-binaries.ts': 'name',
  });
  const given = [...SERVICE_PACKAGES, ...EMBEDDED_PACKAGES];
  const isGiven = (pattern: string) =>
    given.some((name) => name === pattern || name.startsWith(pattern.replace('*', '')));
  expect(given).toContain('graphql-ws');
  // `pg` asks for this one, and does without it.
  for (const pattern of LEFT_OUT.filter((pattern) => pattern !== 'pg-native'))
    expect({ pattern, isGiven: isGiven(pattern.replace('chdb/*', 'chdb')) }).toEqual({ pattern, isGiven: true });
});

test('a package is copied with all that it needs, and one that is missing is named', () => {
  const folders = packageFolders(fileURLToPath(root), SERVICE_PACKAGES);
  expect(folders).toEqual(expect.arrayContaining(['node_modules/argon2', 'node_modules/node-gyp-build']));
  expect(() => packageFolders(fileURLToPath(root), ['not-there'])).toThrow('The package not-there is not installed');
});

const healthchecks: [string, string[]][] = [
  ['image', imageHealthcheck],
  ...own.flatMap(([name, { healthcheck }]): [string, string[]][] =>
    healthcheck?.test === undefined ? [] : [[name, healthcheck.test.slice(1)]],
  ),
];

test.each(sampled(healthchecks, 4))(
  'the health check of the %s distinguishes a healthy process from an unhealthy one, and from none',
  async (_, [program = '', ...args]) => {
    expect(program).toBe('node');
    let status = 200;
    let asked: string | undefined;
    const server: Server = createServer((request, response) => {
      asked = request.url;
      response.writeHead(status).end();
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const PORT = String(boundAddress(server).port);
    const check = () =>
      new Promise<number>((resolve) =>
        execFile(process.execPath, args, { env: { PORT } }, (error) =>
          resolve(error === null ? 0 : Number(error.code)),
        ),
      );
    expect(await check()).toBe(0);
    expect(['/health/live', '/health/ready']).toContain(asked);
    status = 503;
    expect(await check()).toBe(1);
    server.close();
    server.closeAllConnections();
    await once(server, 'close');
    expect(await check()).toBe(1);
  },
);
