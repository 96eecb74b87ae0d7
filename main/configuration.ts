/**
 * All settings of the control plane: read once from the environment, checked as a whole, frozen. Nothing else reads
 * `process.env`. The variables are listed in settings/known-settings.ts.
 */
import { EMAIL_FORM, isEmailAddress } from '../subgraphs/audit/accounts/email-address.ts';
import { resolve } from 'node:path';
import { bySubgraph, type SubgraphName } from '../core/wire/subgraph/subgraph.ts';
import { readPreviousSigningKeys, readSigningKey } from './settings/key-settings.ts';
import { unknownSettingFaults } from './settings/known-settings.ts';
import {
  isAddressRange,
  isReadable,
  isUrlOf,
  readAddress,
  readHeaderField,
  readOrigin,
} from './settings/setting-forms.ts';
import { SettingsReader, type NumberForm } from './settings/settings-reader.ts';

/** Reports wrong settings. Commands print the message and end with exit code 2. */
export class ConfigurationError extends Error {
  override readonly name = 'ConfigurationError';
  constructor(readonly faults: readonly string[]) {
    super(
      `FleetFlag cannot start: ${faults.length === 1 ? 'a setting is' : `${faults.length} settings are`} wrong.\n${faults.map((fault) => `  - ${fault}`).join('\n')}`,
    );
  }
}

/** One Redis server by its URL, or the primary that sentinels watch. */
export type RedisTarget =
  | string
  | {
      readonly sentinels: readonly { readonly host: string; readonly port: number }[];
      readonly name: string;
      readonly password?: string;
    };

/** The levels of the log. */
export const LOG_LEVELS = ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'] as const;

/** The receiver of traces, and how many of them it gets. */
export interface TracingSettings {
  /** The base URL of an OTLP/HTTP receiver. */
  readonly endpoint: string;
  /** Header fields of each export; they may hold secrets. */
  readonly headers: Readonly<Record<string, string>>;
  /** The share of the traces that begin here which is recorded, 0 to 1. */
  readonly ratio: number;
}

/** The most seconds of a shutdown's announcement: platforms kill a process 30 s after they have asked it to end. */
const MAX_SHUTDOWN_DELAY_SECONDS = 60;

/** The checked settings. */
export interface Configuration {
  readonly port: number;
  readonly host: string;
  /** An absolute path. */
  readonly dataDir: string;
  readonly adminEmail: string;
  /**
   * The first administrator's password. Null: a password is generated and printed when the administrator is created.
   */
  readonly adminPassword: string | null;
  /** The address of PostgreSQL. Null: the embedded server in `dataDir`. */
  readonly databaseUrl: string | null;
  /** The addresses of PostgreSQL's read replicas. */
  readonly databaseReplicaUrls: readonly string[];
  /** The Redis server. Null: what it would hold is in this process's memory. */
  readonly redis: RedisTarget | null;
  /** The address of ClickHouse. Null: the embedded engine in `dataDir`. */
  readonly clickhouseUrl: string | null;
  /** The text of a JWK or PEM. Null: the key is created in `dataDir` at the first start. */
  readonly signingKey: string | null;
  /** The texts of JWKs, JWK sets or PEMs of further valid keys. */
  readonly previousSigningKeys: readonly string[];
  /**
   * The secret that signs calls between processes. Null: it is created in `dataDir` at the first start. Required when
   * distributed.
   */
  readonly internalSecret: string | null;
  readonly playground: boolean;
  readonly console: boolean;
  readonly introspection: boolean;
  /** Addresses and CIDR ranges. */
  readonly trustedProxies: readonly string[];
  /** Origins as browsers send them, such as `https://dashboard.example.com`. */
  readonly allowedOrigins: readonly string[];
  /** The token that `/metrics` requires. Null: `/metrics` answers only this machine. */
  readonly metricsToken: string | null;
  /** Milliseconds between the announcement that the process ends (`/health/ready`) and its end. */
  readonly shutdownDelayMs: number;
  /** The export of traces; null for none. */
  readonly tracing: TracingSettings | null;
  /** Private addresses and CIDR ranges to which webhooks may be sent. */
  readonly webhookAllowPrivate: readonly string[];
  /** Seconds that a vehicle may be without a connection before it is offline. */
  readonly presenceGraceSeconds: number;
  /** The folder to which the embedded PostgreSQL archives its write-ahead log; null for none. */
  readonly walArchive: string | null;
  readonly logLevel: (typeof LOG_LEVELS)[number];
  /** Faults of the settings that do not stop the start, for the log. */
  readonly warnings: readonly string[];
  /** The path of a supergraph that a gateway follows. Null: that of this build. */
  readonly supergraphFile: string | null;
  /** The base URLs of each subgraph's instances, for a gateway that runs alone. */
  readonly subgraphUrls: Readonly<Record<SubgraphName, readonly string[]>>;
}

/** The default port of each process. */
export const DEFAULT_PORTS = { gateway: 4000, flags: 4001, vehicles: 4002, experiments: 4003, audit: 4004 } as const;

/** The purpose for which the settings are read. */
export interface ReadOptions {
  /**
   * The process that is started. It decides the default port and, unless it is `control-plane`, which settings are
   * required.
   */
  readonly role?: 'control-plane' | 'gateway' | SubgraphName;
}

const POSTGRES = ['postgresql:', 'postgres:'];
const HTTP = ['http:', 'https:'];

const seconds = (from: number, to: number): NumberForm => ({
  from,
  to,
  pattern: /^\d+$/,
  words: 'a number of seconds',
});

function readPort(settings: SettingsReader, fallback: number): number {
  const text = settings.text('PORT');
  // Number() also accepts blanks, exponents and hexadecimal, which nobody means as a port.
  settings.require(
    text === null || (/^\d+$/.test(text) && Number(text) <= 65_535),
    `PORT is ${JSON.stringify(text)}; it must be a number from 0 to 65535.`,
  );
  return text === null ? fallback : Number(text);
}

function readAdministrator(settings: SettingsReader): Pick<Configuration, 'adminEmail' | 'adminPassword'> {
  const adminEmail = settings.text('FLEETFLAG_ADMIN_EMAIL') ?? 'admin@fleetflag.local';
  settings.require(isEmailAddress(adminEmail), `FLEETFLAG_ADMIN_EMAIL is not an e-mail address. ${EMAIL_FORM}`);
  const adminPassword = settings.text('FLEETFLAG_ADMIN_PASSWORD');
  settings.require(
    adminPassword === null || adminPassword.length >= 12,
    'FLEETFLAG_ADMIN_PASSWORD must have at least 12 characters.',
  );
  return { adminEmail, adminPassword };
}

function readTracing(settings: SettingsReader): TracingSettings | null {
  const ratio = settings.number('FLEETFLAG_TRACE_RATIO', '1', {
    ...{ from: 0, to: 1, pattern: /^\d+(\.\d+)?$/, words: 'a number' },
  });
  const endpoint = settings.url('OTEL_EXPORTER_OTLP_ENDPOINT', HTTP);
  settings.require(
    endpoint === null || !/[?#]/.test(endpoint),
    'OTEL_EXPORTER_OTLP_ENDPOINT must be a base URL, to which /v1/traces is appended: without "?" and "#".',
  );
  const headers = settings.list('OTEL_EXPORTER_OTLP_HEADERS').map(readHeaderField);
  // A header may hold a token, so the message never repeats it.
  settings.require(
    !headers.includes(null),
    'OTEL_EXPORTER_OTLP_HEADERS must be a list of name=value, separated by commas, percent-encoded.',
  );
  if (endpoint === null) return null;
  const fields = Object.fromEntries(headers.flatMap((header) => (header === null ? [] : [header])));
  return Object.freeze({ endpoint, headers: Object.freeze(fields), ratio });
}

function readSecrets(settings: SettingsReader): Pick<Configuration, 'internalSecret' | 'metricsToken'> {
  const internalSecret = settings.text('FLEETFLAG_INTERNAL_SECRET');
  settings.require(
    internalSecret === null || internalSecret.length >= 32,
    'FLEETFLAG_INTERNAL_SECRET must have at least 32 characters.',
  );
  const metricsToken = settings.text('FLEETFLAG_METRICS_TOKEN');
  settings.require(
    // Other characters do not arrive as they were sent: programs encode header fields in different ways.
    metricsToken === null || /^[\x21-\x7e]{16,}$/.test(metricsToken),
    'FLEETFLAG_METRICS_TOKEN must have at least 16 characters: ASCII letters, digits and signs, no spaces.',
  );
  return { internalSecret, metricsToken };
}

function readDatabase(settings: SettingsReader): Pick<Configuration, 'databaseUrl' | 'databaseReplicaUrls'> {
  const databaseUrl = settings.url('DATABASE_URL', POSTGRES);
  const databaseReplicaUrls = settings.list('DATABASE_REPLICA_URLS');
  settings.require(
    databaseReplicaUrls.every((value) => isUrlOf(value, POSTGRES)),
    'DATABASE_REPLICA_URLS must be a list of URLs that begin with postgresql:// or postgres://, separated by commas.',
  );
  settings.require(
    databaseReplicaUrls.length === 0 || databaseUrl !== null,
    'DATABASE_REPLICA_URLS is set without DATABASE_URL; the embedded server has no replicas.',
  );
  return { databaseUrl, databaseReplicaUrls: Object.freeze(databaseReplicaUrls) };
}

function readRedis(settings: SettingsReader): RedisTarget | null {
  const url = settings.url('REDIS_URL', ['redis:', 'rediss:']);
  const sentinels = settings.list('REDIS_SENTINELS').map(readAddress);
  const name = settings.text('REDIS_SENTINEL_NAME');
  const password = settings.text('REDIS_PASSWORD');
  const hasSentinels = sentinels.length > 0;
  settings.require(!sentinels.includes(null), 'REDIS_SENTINELS must be a list of host:port, separated by commas.');
  settings.require(!hasSentinels || name !== null, 'REDIS_SENTINEL_NAME is not set; REDIS_SENTINELS requires it.');
  settings.require(!hasSentinels || url === null, 'REDIS_URL and REDIS_SENTINELS are both set; set only one of them.');
  settings.require(
    hasSentinels || password === null,
    'REDIS_PASSWORD is set without REDIS_SENTINELS; put the password of a single server into REDIS_URL (redis://:password@host).',
  );
  if (!hasSentinels) return url;
  const addresses = sentinels.flatMap((address) => address ?? []);
  return { sentinels: addresses, name: name ?? '', ...(password !== null && { password }) };
}

function readSubgraphUrls(settings: SettingsReader): Configuration['subgraphUrls'] {
  const urls = bySubgraph((name) => {
    const setting = `FLEETFLAG_${name.toUpperCase()}_URL`;
    const given = settings.list(setting);
    settings.require(
      // No request can be made of a URL with a user: the processes know each other by FLEETFLAG_INTERNAL_SECRET.
      given.every((value) => isUrlOf(value, HTTP) && new URL(value).username + new URL(value).password === ''),
      `${setting} must be a URL that begins with http:// or https:// and names no user, or several, separated by commas.`,
    );
    return Object.freeze(given.length === 0 ? [`http://127.0.0.1:${DEFAULT_PORTS[name]}`] : given);
  });
  return Object.freeze(urls);
}

function readSupergraphFile(settings: SettingsReader): string | null {
  const text = settings.text('FLEETFLAG_SUPERGRAPH');
  const file = text === null ? null : resolve(text);
  settings.require(file === null || isReadable(file), 'FLEETFLAG_SUPERGRAPH names no file that can be read.');
  return file;
}

function readNetwork(
  settings: SettingsReader,
): Pick<Configuration, 'trustedProxies' | 'webhookAllowPrivate' | 'allowedOrigins'> {
  const trustedProxies = settings.list('FLEETFLAG_TRUSTED_PROXIES');
  settings.require(
    trustedProxies.every(isAddressRange),
    'FLEETFLAG_TRUSTED_PROXIES must be a list of addresses and CIDR ranges, separated by commas; a range of all addresses would trust everybody and is refused.',
  );
  const webhookAllowPrivate = settings.list('FLEETFLAG_WEBHOOK_ALLOW_PRIVATE');
  settings.require(
    webhookAllowPrivate.every(isAddressRange),
    'FLEETFLAG_WEBHOOK_ALLOW_PRIVATE must be a list of addresses and CIDR ranges, separated by commas, such as 10.20.0.0/16; a range of all addresses is refused.',
  );
  const origins = settings.list('FLEETFLAG_ALLOWED_ORIGINS').map(readOrigin);
  settings.require(
    !origins.includes(null),
    'FLEETFLAG_ALLOWED_ORIGINS must be a list of origins, separated by commas: each http:// or https:// with a host, perhaps a port, and nothing after it. "*" is refused.',
  );
  return {
    trustedProxies: Object.freeze(trustedProxies),
    webhookAllowPrivate: Object.freeze(webhookAllowPrivate),
    allowedOrigins: Object.freeze(origins.flatMap((origin) => origin ?? [])),
  };
}

/** Refuses a service that runs alone without what it shares with the others. */
function requireShared(
  settings: SettingsReader,
  role: string,
  { internalSecret, redis, databaseUrl }: Pick<Configuration, 'internalSecret' | 'redis' | 'databaseUrl'>,
): void {
  if (role === 'control-plane') return;
  const required = {
    FLEETFLAG_INTERNAL_SECRET: internalSecret,
    REDIS_URL: redis,
    ...(role !== 'gateway' && { DATABASE_URL: databaseUrl }),
  };
  for (const [name, value] of Object.entries(required))
    settings.require(value !== null, `${name} is not set; a service that runs alone (${role}) requires it.`);
}

/**
 * Reads and checks all settings.
 *
 * @throws ConfigurationError that names every fault at once
 */
export function readConfiguration(
  environment: Readonly<Record<string, string | undefined>> = process.env,
  { role = 'control-plane' }: ReadOptions = {},
): Configuration {
  const settings = new SettingsReader(environment);
  const isProduction = environment['NODE_ENV'] === 'production';
  // Faults are reported in the order of these reads.
  const port = readPort(settings, DEFAULT_PORTS[role === 'control-plane' ? 'gateway' : role]);
  const administrator = readAdministrator(settings);
  const shutdownDelaySeconds = settings.number(
    'FLEETFLAG_SHUTDOWN_DELAY_SECONDS',
    isProduction ? '5' : '0',
    seconds(0, MAX_SHUTDOWN_DELAY_SECONDS),
  );
  const presenceGraceSeconds = settings.number('FLEETFLAG_PRESENCE_GRACE_SECONDS', '30', seconds(1, 3_600));
  const tracing = readTracing(settings);
  const secrets = readSecrets(settings);
  const signingKey = readSigningKey(settings);
  const previousSigningKeys = Object.freeze(readPreviousSigningKeys(settings));
  const database = readDatabase(settings);
  const redis = readRedis(settings);
  const clickhouseUrl = settings.url('CLICKHOUSE_URL', HTTP);
  requireShared(settings, role, { ...secrets, ...database, redis });
  const subgraphUrls = readSubgraphUrls(settings);
  const supergraphFile = readSupergraphFile(settings);
  const network = readNetwork(settings);
  settings.faults.push(...unknownSettingFaults(environment));
  const playground = settings.isOn('FLEETFLAG_PLAYGROUND', !isProduction);
  const configuration: Configuration = {
    ...{ port, ...administrator, ...secrets, ...database, ...network },
    ...{ redis, clickhouseUrl, signingKey, previousSigningKeys, playground, tracing, subgraphUrls, supergraphFile },
    host: settings.text('HOST') ?? '127.0.0.1',
    dataDir: resolve(settings.text('FLEETFLAG_DATA_DIR') ?? '.fleetflag'),
    console: settings.isOn('FLEETFLAG_CONSOLE', true),
    introspection: settings.isOn('FLEETFLAG_INTROSPECTION', playground),
    presenceGraceSeconds,
    shutdownDelayMs: shutdownDelaySeconds * 1_000,
    walArchive: settings.text('FLEETFLAG_WAL_ARCHIVE'),
    logLevel: settings.oneOf('LOG_LEVEL', LOG_LEVELS, 'info'),
    warnings: Object.freeze(settings.warnings),
  };
  if (settings.faults.length > 0) throw new ConfigurationError(settings.faults);
  return Object.freeze(configuration);
}
