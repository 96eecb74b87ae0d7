/** Settings that are wrong: which faults are reported, and what no message may repeat. */
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { execFileSync } from 'node:child_process';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { SUBGRAPH_NAMES } from '../../core/wire/subgraph/subgraph.ts';
import { ConfigurationError, LOG_LEVELS, readConfiguration } from '../configuration.ts';
import { settingFaults } from './testing/setting-faults.ts';

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'fleetflag-configuration-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

/** Stands for a secret, which no message may repeat. */
const HIDDEN = 'hunter2';

describe('a setting that is wrong', () => {
  const WRONG: [string, string][] = [
    ...['70000', '-1', '80.5', '8e3', '0x50', ' ', 'http'].map((value): [string, string] => ['PORT', value]),
    ...['admin', 'a@b@c', 'a b@c', `${'x'.repeat(255)}@b`].map((value): [string, string] => [
      'FLEETFLAG_ADMIN_EMAIL',
      value,
    ]),
    ['FLEETFLAG_ADMIN_PASSWORD', HIDDEN],
    ['FLEETFLAG_INTERNAL_SECRET', HIDDEN],
    ...[`mysql://root:${HIDDEN}@db/x`, `postgresql//root:${HIDDEN}@db`, `postgres:${HIDDEN}`, HIDDEN].map(
      (value): [string, string] => ['DATABASE_URL', value],
    ),
    ...[`http://:${HIDDEN}@cache`, `redis:${HIDDEN}`, HIDDEN].map((value): [string, string] => ['REDIS_URL', value]),
    ...[`clickhouse://u:${HIDDEN}@metrics`, HIDDEN].map((value): [string, string] => ['CLICKHOUSE_URL', value]),
    ...[HIDDEN, `/nowhere/${HIDDEN}.pem`, tmpdir()].map((value): [string, string] => ['FLEETFLAG_SIGNING_KEY', value]),
    ...['maybe', 'true', 'ON', '1'].map((value): [string, string] => ['FLEETFLAG_PLAYGROUND', value]),
    ['FLEETFLAG_INTROSPECTION', 'yes'],
    ...['proxy', '10.0.0.0/33', '10.0.0/8', '::1/129', '0.0.0.0/0', '::/0', '10.0.0.1;10.0.0.2', 'fe80::1%eth0'].map(
      (value): [string, string] => ['FLEETFLAG_TRUSTED_PROXIES', value],
    ),
    ...[
      '*',
      'null',
      'dashboard.example.com',
      'https://',
      'https://a.example/',
      'https://a.example/x',
      'https://a.example?x',
      'https://*.example',
      `https://u:${HIDDEN}@a.example`,
      'ws://a.example',
      'https://a.example https://b.example',
      'https://a.example:x',
    ].map((value): [string, string] => ['FLEETFLAG_ALLOWED_ORIGINS', value]),
    ...['fifteen-of-them', 'with a blank in it all', 'sixteen-or-more-é'].map((value): [string, string] => [
      'FLEETFLAG_METRICS_TOKEN',
      value,
    ]),
    ...['10.0.0.0/0', '::/0', 'localhost', 'on', '10.0.0.0/33'].map((value): [string, string] => [
      'FLEETFLAG_WEBHOOK_ALLOW_PRIVATE',
      value,
    ]),
    ...['0', '3601', '2.5', '1e3', 'x'].map((value): [string, string] => ['FLEETFLAG_PRESENCE_GRACE_SECONDS', value]),
    ...['verbose', 'INFO'].map((value): [string, string] => ['LOG_LEVEL', value]),
    ...['http', 'ws'].flatMap((scheme) =>
      SUBGRAPH_NAMES.map((name): [string, string] => [
        `FLEETFLAG_${name.toUpperCase()}_URL`,
        `${scheme}://u:${HIDDEN}@host`,
      ]),
    ),
    ...['http://collector:4318?x', 'http://collector:4318#x'].map((value): [string, string] => [
      'OTEL_EXPORTER_OTLP_ENDPOINT',
      value,
    ]),
  ];

  test.each(WRONG)('%s=%s is the only reported fault, and a secret is not repeated', (name, value) => {
    const found = settingFaults({ [name]: value });
    expect(found).toHaveLength(1);
    expect(found[0]).toMatch(new RegExp(`^${name} `));
    expect(found[0]).not.toContain(HIDDEN);
  });

  test.each([
    ['no primary', { DATABASE_REPLICA_URLS: 'postgres://r1/x' }, 'DATABASE_REPLICA_URLS'],
    [
      'an address of something else',
      { DATABASE_URL: 'postgres://db/x', DATABASE_REPLICA_URLS: 'postgres://r1/x,redis://cache' },
      'DATABASE_REPLICA_URLS',
    ],
    ['an invalid list', { REDIS_SENTINELS: 's1', REDIS_SENTINEL_NAME: 'x' }, 'REDIS_SENTINELS'],
    ['a URL', { REDIS_SENTINELS: 'redis://s1:26379', REDIS_SENTINEL_NAME: 'x' }, 'REDIS_SENTINELS'],
    ['no name to ask them for', { REDIS_SENTINELS: 's1:26379' }, 'REDIS_SENTINEL_NAME'],
    [
      'a server beside them',
      { REDIS_SENTINELS: 's1:26379', REDIS_SENTINEL_NAME: 'x', REDIS_URL: 'redis://cache' },
      'REDIS_URL',
    ],
    ['a password for none', { REDIS_PASSWORD: 'pw' }, 'REDIS_PASSWORD'],
  ])('sentinels with %s are a fault', (_what, environment, name) => {
    expect(settingFaults(environment)).toEqual([expect.stringMatching(new RegExp(`^${name} `))]);
  });

  test('does not hide another: all are reported at once, each once, in one message', () => {
    const environment = Object.fromEntries(WRONG);
    const names = Object.keys(environment);
    const found = settingFaults(environment);
    expect(found.map((fault) => fault.split(' ')[0]).sort()).toEqual(names.sort());
    const { message } = new ConfigurationError(found);
    expect(message).toContain(`${names.length} settings are wrong`);
    for (const name of names) expect(message).toContain(name);
    expect(message).not.toContain(HIDDEN);
    expect(new ConfigurationError(found.slice(0, 1)).message).toContain('a setting is wrong');
  });

  test.each([
    ['FLEETFLAG_DATADIR', 'FLEETFLAG_DATA_DIR'],
    ['FLEETFLAG_INTERNAL_SECRETS', 'FLEETFLAG_INTERNAL_SECRET'],
    ['FLEETFLAG_SOMETHING_ELSE', null],
    ['FLEETFLAG_PORT', null],
  ])('with the unknown name %s is reported with the nearest known name', (name, nearest) => {
    const [fault, ...others] = settingFaults({ [name]: HIDDEN });
    expect([
      others,
      fault?.startsWith(`${name} is not a setting`),
      /did you mean (\w+)/.exec(fault ?? '')?.[1] ?? null,
    ]).toEqual([[], true, nearest]);
    expect(fault).not.toContain(HIDDEN);
  });

  test('excludes variables that other programs set under the same prefix', () => {
    const kubernetes = {
      FLEETFLAG_PORT: 'tcp://10.0.0.1:4000',
      FLEETFLAG_SERVICE_HOST: '10.0.0.1',
      FLEETFLAG_GATEWAY_SERVICE_PORT_HTTP: '4000',
      FLEETFLAG_PORT_4000_TCP_ADDR: '10.0.0.1',
      FLEETFLAG_FLAGS_PORT: 'tcp://10.0.0.2:4000',
    };
    expect(settingFaults({ ...kubernetes, FLEETFLAG_AGENT_URL: 'ws://x/graphql', FLEETFLAG_VERSION: '1' })).toEqual([]);
  });

  test('of a key file names the file: an empty one is refused, and one that everybody can read causes a warning', () => {
    const path = join(folder, 'open.pem');
    writeFileSync(path, '-----BEGIN PRIVATE KEY-----\n');
    chmodSync(path, 0o644);
    for (const name of ['FLEETFLAG_SIGNING_KEY', 'FLEETFLAG_PREVIOUS_SIGNING_KEYS']) {
      expect(readConfiguration({ [name]: path }).warnings).toEqual([
        `${name}: ${path} can be read or changed by every user of this machine (mode 644); run: chmod 600 ${path}`,
      ]);
    }
    writeFileSync(path, ' \n');
    for (const name of ['FLEETFLAG_SIGNING_KEY', 'FLEETFLAG_PREVIOUS_SIGNING_KEYS'])
      expect(settingFaults({ [name]: path })).toEqual([`${name}: ${path} is empty.`]);
    writeFileSync(path, '-----BEGIN PUBLIC KEY-----\n');
    expect(readConfiguration({ FLEETFLAG_PREVIOUS_SIGNING_KEYS: path }).warnings).toEqual([]);
  });

  test('of a key file that is no regular file is refused at once: a named pipe would block the start for ever', () => {
    const pipe = join(folder, 'pipe.pem');
    execFileSync('mkfifo', [pipe]);
    for (const name of ['FLEETFLAG_SIGNING_KEY', 'FLEETFLAG_PREVIOUS_SIGNING_KEYS']) {
      expect(settingFaults({ [name]: pipe })).toEqual([
        `${name} names no key file: ${pipe} is a named pipe, not a regular file.`,
      ]);
      expect(settingFaults({ [name]: folder })).toEqual([
        `${name} names no key file: ${folder} is a folder, not a regular file.`,
      ]);
      expect(settingFaults({ [name]: '/dev/zero' })).toEqual([
        `${name} names no key file: /dev/zero is a device, not a regular file.`,
      ]);
    }
  });

  test('of a number names the numbers that are accepted', () => {
    expect(
      settingFaults({
        FLEETFLAG_SHUTDOWN_DELAY_SECONDS: '61',
        FLEETFLAG_PRESENCE_GRACE_SECONDS: '0',
        FLEETFLAG_TRACE_RATIO: '1.5',
      }),
    ).toEqual([
      'FLEETFLAG_SHUTDOWN_DELAY_SECONDS is "61"; it must be a number of seconds from 0 to 60.',
      'FLEETFLAG_PRESENCE_GRACE_SECONDS is "0"; it must be a number of seconds from 1 to 3600.',
      'FLEETFLAG_TRACE_RATIO is "1.5"; it must be a number from 0 to 1.',
    ]);
    expect(settingFaults({ FLEETFLAG_TRACE_RATIO: '1e-3' })).toHaveLength(1);
  });

  test('of the header fields of traces does not repeat their values', () => {
    for (const value of ['a-secret', 'authorization=%E0%A4%A', 'authorization=a-secret%0A'])
      expect(settingFaults({ OTEL_EXPORTER_OTLP_HEADERS: value })).toEqual([
        'OTEL_EXPORTER_OTLP_HEADERS must be a list of name=value, separated by commas, percent-encoded.',
      ]);
  });

  test('lists the accepted values of switches and of the log level', () => {
    expect(settingFaults({ FLEETFLAG_PLAYGROUND: 'maybe' })[0]).toContain('on, off');
    expect(settingFaults({ LOG_LEVEL: 'loud' })[0]).toContain(LOG_LEVELS.join(', '));
  });
});
