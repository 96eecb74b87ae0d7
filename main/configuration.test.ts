import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { SUBGRAPH_NAMES } from '../core/wire/subgraph/subgraph.ts';
import { DEFAULT_PORTS, readConfiguration, type Configuration } from './configuration.ts';
import { SETTINGS } from './settings/known-settings.ts';
import { settingFaults, type TestVariables } from './settings/testing/setting-faults.ts';

const SECRET = 'x'.repeat(32);
const DISTRIBUTED = {
  FLEETFLAG_INTERNAL_SECRET: SECRET,
  REDIS_URL: 'redis://cache',
  DATABASE_URL: 'postgresql://db/fleetflag',
};

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'fleetflag-configuration-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

describe('without any setting', () => {
  const DEFAULTS: Configuration = {
    port: 4000,
    host: '127.0.0.1',
    dataDir: resolve('.fleetflag'),
    adminEmail: 'admin@fleetflag.local',
    adminPassword: null,
    databaseUrl: null,
    databaseReplicaUrls: [],
    redis: null,
    clickhouseUrl: null,
    signingKey: null,
    previousSigningKeys: [],
    internalSecret: null,
    playground: true,
    console: true,
    introspection: true,
    trustedProxies: [],
    allowedOrigins: [],
    metricsToken: null,
    webhookAllowPrivate: [],
    warnings: [],
    presenceGraceSeconds: 30,
    shutdownDelayMs: 0,
    tracing: null,
    walArchive: null,
    logLevel: 'info',
    supergraphFile: null,
    subgraphUrls: {
      flags: ['http://127.0.0.1:4001'],
      vehicles: ['http://127.0.0.1:4002'],
      experiments: ['http://127.0.0.1:4003'],
      audit: ['http://127.0.0.1:4004'],
    },
  };

  test('everything has its default', () => {
    expect(readConfiguration({})).toEqual(DEFAULTS);
  });

  test('an empty variable counts as absent', () => {
    expect(readConfiguration(Object.fromEntries(Object.keys(SETTINGS).map((name) => [name, ''])))).toEqual(DEFAULTS);
  });

  test('the settings cannot be changed after reading', () => {
    const configuration = readConfiguration({});
    expect(Object.isFrozen(configuration)).toBe(true);
    expect(Object.isFrozen(configuration.subgraphUrls)).toBe(true);
  });

  test.each([...SUBGRAPH_NAMES, 'gateway'] as const)('%s as a separate process listens on its own port', (role) => {
    expect(readConfiguration(DISTRIBUTED, { role }).port).toBe(DEFAULT_PORTS[role]);
    expect(readConfiguration({ ...DISTRIBUTED, PORT: '0' }, { role }).port).toBe(0);
  });
});

describe('a setting that is given', () => {
  test.each<[string, TestVariables, Partial<Configuration>]>([
    ['PORT', { PORT: '65535' }, { port: 65_535 }],
    ['HOST', { HOST: '0.0.0.0' }, { host: '0.0.0.0' }],
    ['FLEETFLAG_DATA_DIR', { FLEETFLAG_DATA_DIR: 'data' }, { dataDir: resolve('data') }],
    ['FLEETFLAG_ADMIN_EMAIL', { FLEETFLAG_ADMIN_EMAIL: 'a@b' }, { adminEmail: 'a@b' }],
    ['FLEETFLAG_ADMIN_PASSWORD', { FLEETFLAG_ADMIN_PASSWORD: 'p'.repeat(12) }, { adminPassword: 'p'.repeat(12) }],
    ['DATABASE_URL', { DATABASE_URL: 'postgres://u:p@db/x' }, { databaseUrl: 'postgres://u:p@db/x' }],
    [
      'DATABASE_REPLICA_URLS',
      { DATABASE_URL: 'postgres://db/x', DATABASE_REPLICA_URLS: 'postgres://r1/x, postgresql://r2/x' },
      { databaseUrl: 'postgres://db/x', databaseReplicaUrls: ['postgres://r1/x', 'postgresql://r2/x'] },
    ],
    ['REDIS_URL', { REDIS_URL: 'rediss://cache:6380' }, { redis: 'rediss://cache:6380' }],
    [
      'REDIS_SENTINELS',
      { REDIS_SENTINELS: 's1:26379, [::1]:26380', REDIS_SENTINEL_NAME: 'primary' },
      {
        redis: {
          sentinels: [
            { host: 's1', port: 26379 },
            { host: '::1', port: 26380 },
          ],
          name: 'primary',
        },
      },
    ],
    [
      'REDIS_PASSWORD',
      { REDIS_SENTINELS: 's1:26379', REDIS_SENTINEL_NAME: 'primary', REDIS_PASSWORD: 'pw' },
      { redis: { sentinels: [{ host: 's1', port: 26379 }], name: 'primary', password: 'pw' } },
    ],
    ['CLICKHOUSE_URL', { CLICKHOUSE_URL: 'https://metrics' }, { clickhouseUrl: 'https://metrics' }],
    ['FLEETFLAG_SIGNING_KEY', { FLEETFLAG_SIGNING_KEY: '{"kty":"OKP"}' }, { signingKey: '{"kty":"OKP"}' }],
    ['FLEETFLAG_INTERNAL_SECRET', { FLEETFLAG_INTERNAL_SECRET: SECRET }, { internalSecret: SECRET }],
    ['FLEETFLAG_CONSOLE', { FLEETFLAG_CONSOLE: 'off' }, { console: false, playground: true }],
    ['FLEETFLAG_PLAYGROUND', { FLEETFLAG_PLAYGROUND: 'off' }, { playground: false, introspection: false }],
    [
      'FLEETFLAG_INTROSPECTION',
      { FLEETFLAG_PLAYGROUND: 'off', FLEETFLAG_INTROSPECTION: 'on' },
      { playground: false, introspection: true },
    ],
    ['NODE_ENV', { NODE_ENV: 'production' }, { console: true, playground: false, introspection: false }],
    [
      'FLEETFLAG_PLAYGROUND in production',
      { NODE_ENV: 'production', FLEETFLAG_PLAYGROUND: 'on' },
      { playground: true, introspection: true },
    ],
    [
      'FLEETFLAG_TRUSTED_PROXIES',
      { FLEETFLAG_TRUSTED_PROXIES: '192.0.2.1, 10.0.0.0/8,2001:db8::/32' },
      { trustedProxies: ['192.0.2.1', '10.0.0.0/8', '2001:db8::/32'] },
    ],
    ['FLEETFLAG_METRICS_TOKEN', { FLEETFLAG_METRICS_TOKEN: 'sixteen-of-them!' }, { metricsToken: 'sixteen-of-them!' }],
    [
      'FLEETFLAG_WEBHOOK_ALLOW_PRIVATE',
      { FLEETFLAG_WEBHOOK_ALLOW_PRIVATE: '10.20.0.0/16, ::1' },
      { webhookAllowPrivate: ['10.20.0.0/16', '::1'] },
    ],
    ['FLEETFLAG_PRESENCE_GRACE_SECONDS', { FLEETFLAG_PRESENCE_GRACE_SECONDS: '3600' }, { presenceGraceSeconds: 3_600 }],
    ['LOG_LEVEL', { LOG_LEVEL: 'silent' }, { logLevel: 'silent' }],
  ])('%s is used', (_name, environment, expected) => {
    expect(readConfiguration(environment)).toMatchObject(expected);
  });

  test('the URL of each subgraph is its own', () => {
    const given = Object.fromEntries(
      SUBGRAPH_NAMES.map((name) => [`FLEETFLAG_${name.toUpperCase()}_URL`, `http://${name}:80`]),
    );
    expect(readConfiguration(given).subgraphUrls).toEqual(
      Object.fromEntries(SUBGRAPH_NAMES.map((name) => [name, [`http://${name}:80`]])),
    );
    expect(readConfiguration({ FLEETFLAG_FLAGS_URL: 'http://one:1, http://two:2' }).subgraphUrls.flags).toEqual([
      'http://one:1',
      'http://two:2',
    ]);
  });

  test('origins are normalised to the form that browsers send', () => {
    const given = 'https://Dashboard.example:443, http://localhost:5173,https://[::1]:8443';
    expect(readConfiguration({ FLEETFLAG_ALLOWED_ORIGINS: given }).allowedOrigins).toEqual([
      'https://dashboard.example',
      'http://localhost:5173',
      'https://[::1]:8443',
    ]);
  });

  test('the signing key may be in a file', () => {
    const path = join(folder, 'key.pem');
    writeFileSync(path, '-----BEGIN PRIVATE KEY-----\n', { mode: 0o600 });
    expect(readConfiguration({ FLEETFLAG_SIGNING_KEY: path }).signingKey).toBe('-----BEGIN PRIVATE KEY-----\n');
  });
});

describe('the end of a process', () => {
  test('is announced for some seconds in production, and for none elsewhere', () => {
    expect(readConfiguration({ NODE_ENV: 'production' }).shutdownDelayMs).toBe(5_000);
    expect(readConfiguration({ FLEETFLAG_SHUTDOWN_DELAY_SECONDS: '10' }).shutdownDelayMs).toBe(10_000);
  });
});

describe('traces', () => {
  test('are sent where a receiver is named, with its header fields', () => {
    expect(
      readConfiguration({
        OTEL_EXPORTER_OTLP_ENDPOINT: 'http://collector:4318',
        OTEL_EXPORTER_OTLP_HEADERS: 'Authorization=Bearer%20x, tenant=fleet',
        FLEETFLAG_TRACE_RATIO: '0.25',
      }).tracing,
    ).toEqual({
      endpoint: 'http://collector:4318',
      headers: { authorization: 'Bearer x', tenant: 'fleet' },
      ratio: 0.25,
    });
  });
});

describe('a separate service', () => {
  test.each([...SUBGRAPH_NAMES])('%s needs the database, Redis and the secret', (role) => {
    expect(
      settingFaults({}, { role })
        .map((fault) => fault.split(' ')[0])
        .sort(),
    ).toEqual(['DATABASE_URL', 'FLEETFLAG_INTERNAL_SECRET', 'REDIS_URL']);
    expect(settingFaults(DISTRIBUTED, { role })).toEqual([]);
  });

  test('the gateway needs no database', () => {
    expect(
      settingFaults({}, { role: 'gateway' })
        .map((fault) => fault.split(' ')[0])
        .sort(),
    ).toEqual(['FLEETFLAG_INTERNAL_SECRET', 'REDIS_URL']);
    const { DATABASE_URL: _, ...others } = DISTRIBUTED;
    expect(settingFaults(others, { role: 'gateway' })).toEqual([]);
  });

  test('a variable that is empty counts as missing', () => {
    expect(settingFaults({ ...DISTRIBUTED, REDIS_URL: '' }, { role: 'flags' })).toEqual([
      expect.stringMatching(/^REDIS_URL is not set.*flags/),
    ]);
  });

  test('the control plane in one process requires none of it', () => {
    expect(settingFaults({}, { role: 'control-plane' })).toEqual([]);
  });
});
