/**
 * All settings of the control plane: read once from the environment, checked as a whole, frozen. Nothing else reads
 * `process.env`. The variables are listed in settings/known-settings.ts.
 */
import { EMAIL_FORM, isEmailAddress } from '../subgraphs/audit/accounts/email-address.ts';
import { resolve } from 'node:path';
import { NotRegularFile, readRegularFileSync } from '../core/files/regular-file.ts';
import { emptySecretFault, openSecretFault } from '../core/credentials/secret-file.ts';
import { bySubgraph, type SubgraphName } from '../core/wire/subgraph/subgraph.ts';
import { unknownSettingFaults } from './settings/known-settings.ts';
import {
  isAddressRange,
  isReadable,
  isUrlOf,
  readAddress,
  readHeaderField,
  readOrigin,
} from './settings/setting-forms.ts';

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

/**
 * Reads and checks all settings.
 *
 * @throws ConfigurationError that names every fault at once
 */
export function readConfiguration(
  environment: Readonly<Record<string, string | undefined>> = process.env,
  options: ReadOptions = {},
): Configuration {
  const role = options.role ?? 'control-plane';
  const faults: string[] = [];
  const warnings: string[] = [];
  /** An empty variable counts as absent: compose files and CI pass unset variables that way. */
  const text = (name: string) => {
    const value = environment[name];
    return value === undefined || value === '' ? null : value;
  };
  const oneOf = <T extends string>(name: string, allowed: readonly T[], fallback: T): T => {
    const value = text(name) ?? fallback;
    const found = allowed.find((candidate) => candidate === value);
    if (found === undefined)
      faults.push(`${name} is ${JSON.stringify(value)}; it must be one of ${allowed.join(', ')}.`);
    return found ?? fallback;
  };
  const url = (name: string, protocols: readonly string[]): string | null => {
    const value = text(name);
    if (value === null) return null;
    // The value may contain a password, so the message never repeats it.
    if (!isUrlOf(value, protocols)) {
      faults.push(
        `${name} must be a URL that begins with ${protocols.map((protocol) => `${protocol}//`).join(' or ')}.`,
      );
    }
    return value;
  };
  const list = (name: string) => (text(name) ?? '').split(',').flatMap((item) => item.trim() || []);
  const switched = (name: string, fallback: boolean) => oneOf(name, ['on', 'off'], fallback ? 'on' : 'off') === 'on';

  const portText = text('PORT') ?? `${DEFAULT_PORTS[role === 'control-plane' ? 'gateway' : role]}`;
  const port = Number(portText);
  // Number() also accepts blanks, exponents and hexadecimal, which nobody means as a port.
  if (!/^\d+$/.test(portText) || port > 65_535)
    faults.push(`PORT is ${JSON.stringify(environment['PORT'])}; it must be a number from 0 to 65535.`);

  const adminEmail = text('FLEETFLAG_ADMIN_EMAIL') ?? 'admin@fleetflag.local';
  if (!isEmailAddress(adminEmail)) faults.push(`FLEETFLAG_ADMIN_EMAIL is not an e-mail address. ${EMAIL_FORM}`);
  const adminPassword = text('FLEETFLAG_ADMIN_PASSWORD');
  if (adminPassword !== null && adminPassword.length < 12)
    faults.push('FLEETFLAG_ADMIN_PASSWORD must have at least 12 characters.');

  const number = (name: string, fallback: string, from: number, to: number, form: RegExp, unit: string): number => {
    const value = text(name) ?? fallback;
    if (!form.test(value) || Number(value) < from || Number(value) > to)
      faults.push(`${name} is ${JSON.stringify(value)}; it must be ${unit} from ${from} to ${to}.`);
    return Number(value);
  };
  const shutdownDelaySeconds = number(
    'FLEETFLAG_SHUTDOWN_DELAY_SECONDS',
    environment['NODE_ENV'] === 'production' ? '5' : '0',
    0,
    MAX_SHUTDOWN_DELAY_SECONDS,
    /^\d+$/,
    'a number of seconds',
  );
  const presenceGraceSeconds = number(
    'FLEETFLAG_PRESENCE_GRACE_SECONDS',
    '30',
    1,
    3_600,
    /^\d+$/,
    'a number of seconds',
  );
  const traceRatio = number('FLEETFLAG_TRACE_RATIO', '1', 0, 1, /^\d+(\.\d+)?$/, 'a number');
  const traceEndpoint = url('OTEL_EXPORTER_OTLP_ENDPOINT', ['http:', 'https:']);
  const traceHeaders = list('OTEL_EXPORTER_OTLP_HEADERS').map(readHeaderField);
  // A header may hold a token, so the message never repeats it.
  if (traceHeaders.includes(null))
    faults.push('OTEL_EXPORTER_OTLP_HEADERS must be a list of name=value, separated by commas, percent-encoded.');

  const internalSecret = text('FLEETFLAG_INTERNAL_SECRET');
  if (internalSecret !== null && internalSecret.length < 32)
    faults.push('FLEETFLAG_INTERNAL_SECRET must have at least 32 characters.');

  const metricsToken = text('FLEETFLAG_METRICS_TOKEN');
  if (metricsToken !== null && !/^\S{16,}$/.test(metricsToken))
    faults.push('FLEETFLAG_METRICS_TOKEN must have at least 16 characters and no spaces.');

  const isKeyText = (value: string) => /^\s*(\{|-----BEGIN)/.test(value);
  let signingKey = text('FLEETFLAG_SIGNING_KEY');
  /**
   * Reads a key file; gives null and records a fault when that fails. A value that names no file may be a mistyped key,
   * so the message does not repeat it.
   */
  const keyFile = (name: string, path: string, expected: string): string | null => {
    let text;
    try {
      const { bytes, mode } = readRegularFileSync(path);
      text = bytes.toString();
      // A warning, not a refusal: container platforms mount secrets with such modes, in a protected place.
      const open = /PRIVATE KEY|"d"/.test(text) ? openSecretFault(path, mode) : null;
      if (open !== null) warnings.push(`${name}: ${open}`);
    } catch (error) {
      if (error instanceof NotRegularFile) {
        faults.push(`${name} names no key file: ${error.message}.`);
        return null;
      }
      faults.push(`${name} is neither ${expected} that can be read.`);
      return null;
    }
    const empty = emptySecretFault(path, text);
    if (empty !== null) faults.push(`${name}: ${empty}.`);
    return text;
  };
  if (signingKey !== null && !isKeyText(signingKey)) {
    signingKey = keyFile('FLEETFLAG_SIGNING_KEY', signingKey, 'a JWK, nor a PEM, nor the path of a file');
  }
  const previousKeys = text('FLEETFLAG_PREVIOUS_SIGNING_KEYS') ?? '';
  const previousSigningKeys = (
    isKeyText(previousKeys) ? [previousKeys] : list('FLEETFLAG_PREVIOUS_SIGNING_KEYS')
  ).flatMap((value) =>
    isKeyText(value)
      ? [value]
      : (keyFile('FLEETFLAG_PREVIOUS_SIGNING_KEYS', value, 'a JWK, nor a JWK set, nor PEMs, nor paths of files') ?? []),
  );

  const databaseUrl = url('DATABASE_URL', ['postgresql:', 'postgres:']);
  const databaseReplicaUrls = list('DATABASE_REPLICA_URLS');
  if (!databaseReplicaUrls.every((value) => isUrlOf(value, ['postgresql:', 'postgres:'])))
    faults.push(
      'DATABASE_REPLICA_URLS must be a list of URLs that begin with postgresql:// or postgres://, separated by commas.',
    );
  if (databaseReplicaUrls.length > 0 && databaseUrl === null)
    faults.push('DATABASE_REPLICA_URLS is set without DATABASE_URL; the embedded server has no replicas.');
  const redisUrl = url('REDIS_URL', ['redis:', 'rediss:']);
  const sentinels = list('REDIS_SENTINELS').map(readAddress);
  const sentinelName = text('REDIS_SENTINEL_NAME');
  const redisPassword = text('REDIS_PASSWORD');
  if (sentinels.includes(null)) faults.push('REDIS_SENTINELS must be a list of host:port, separated by commas.');
  if (sentinels.length > 0 && sentinelName === null)
    faults.push('REDIS_SENTINEL_NAME is not set; REDIS_SENTINELS requires it.');
  if (sentinels.length > 0 && redisUrl !== null)
    faults.push('REDIS_URL and REDIS_SENTINELS are both set; set only one of them.');
  if (sentinels.length === 0 && redisPassword !== null)
    faults.push(
      'REDIS_PASSWORD is set without REDIS_SENTINELS; put the password of a single server into REDIS_URL (redis://:password@host).',
    );
  const redis =
    sentinels.length > 0
      ? {
          sentinels: sentinels.flatMap((address) => address ?? []),
          name: sentinelName ?? '',
          ...(redisPassword !== null && { password: redisPassword }),
        }
      : redisUrl;
  const clickhouseUrl = url('CLICKHOUSE_URL', ['http:', 'https:']);
  if (role !== 'control-plane') {
    const required = {
      FLEETFLAG_INTERNAL_SECRET: internalSecret,
      REDIS_URL: redis,
      ...(role !== 'gateway' && { DATABASE_URL: databaseUrl }),
    };
    for (const [name, value] of Object.entries(required)) {
      if (value === null) faults.push(`${name} is not set; a service that runs alone (${role}) requires it.`);
    }
  }

  const subgraphUrls = bySubgraph((name) => {
    const setting = `FLEETFLAG_${name.toUpperCase()}_URL`;
    const urls = list(setting);
    if (!urls.every((value) => isUrlOf(value, ['http:', 'https:'])))
      faults.push(`${setting} must be a URL that begins with http:// or https://, or several, separated by commas.`);
    return Object.freeze(urls.length === 0 ? [`http://127.0.0.1:${DEFAULT_PORTS[name]}`] : urls);
  });

  const supergraphText = text('FLEETFLAG_SUPERGRAPH');
  const supergraphFile = supergraphText === null ? null : resolve(supergraphText);
  if (supergraphFile !== null && !isReadable(supergraphFile))
    faults.push('FLEETFLAG_SUPERGRAPH names no file that can be read.');

  const trustedProxies = list('FLEETFLAG_TRUSTED_PROXIES');
  if (!trustedProxies.every(isAddressRange))
    faults.push(
      'FLEETFLAG_TRUSTED_PROXIES must be a list of addresses and CIDR ranges, separated by commas; a range of all addresses would trust everybody and is refused.',
    );

  const webhookAllowPrivate = list('FLEETFLAG_WEBHOOK_ALLOW_PRIVATE');
  if (!webhookAllowPrivate.every(isAddressRange))
    faults.push(
      'FLEETFLAG_WEBHOOK_ALLOW_PRIVATE must be a list of addresses and CIDR ranges, separated by commas, such as 10.20.0.0/16; a range of all addresses is refused.',
    );

  const origins = list('FLEETFLAG_ALLOWED_ORIGINS').map(readOrigin);
  if (origins.includes(null))
    faults.push(
      'FLEETFLAG_ALLOWED_ORIGINS must be a list of origins, separated by commas: each http:// or https:// with a host, perhaps a port, and nothing after it. "*" is refused.',
    );
  faults.push(...unknownSettingFaults(environment));

  const playground = switched('FLEETFLAG_PLAYGROUND', environment['NODE_ENV'] !== 'production');
  const configuration: Configuration = {
    port,
    host: text('HOST') ?? '127.0.0.1',
    dataDir: resolve(text('FLEETFLAG_DATA_DIR') ?? '.fleetflag'),
    adminEmail,
    adminPassword,
    databaseUrl,
    databaseReplicaUrls: Object.freeze(databaseReplicaUrls),
    redis,
    clickhouseUrl,
    signingKey,
    previousSigningKeys: Object.freeze(previousSigningKeys),
    internalSecret,
    playground,
    console: switched('FLEETFLAG_CONSOLE', true),
    introspection: switched('FLEETFLAG_INTROSPECTION', playground),
    trustedProxies: Object.freeze(trustedProxies),
    allowedOrigins: Object.freeze(origins.flatMap((origin) => origin ?? [])),
    metricsToken,
    webhookAllowPrivate: Object.freeze(webhookAllowPrivate),
    presenceGraceSeconds,
    shutdownDelayMs: shutdownDelaySeconds * 1_000,
    tracing:
      traceEndpoint === null
        ? null
        : Object.freeze({
            endpoint: traceEndpoint,
            headers: Object.freeze(
              Object.fromEntries(traceHeaders.flatMap((header) => (header === null ? [] : [header]))),
            ),
            ratio: traceRatio,
          }),
    walArchive: text('FLEETFLAG_WAL_ARCHIVE') ?? null,
    logLevel: oneOf('LOG_LEVEL', LOG_LEVELS, 'info'),
    warnings: Object.freeze(warnings),
    supergraphFile,
    subgraphUrls: Object.freeze(subgraphUrls),
  };
  if (faults.length > 0) throw new ConfigurationError(faults);
  return Object.freeze(configuration);
}
