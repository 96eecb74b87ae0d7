/**
 * All settings of the control plane: read once from the environment, checked as a whole, frozen. Nothing else reads
 * `process.env`. A test compares `docs/operations/configuration.md` with this table.
 */
import { EMAIL_FORM, isEmailAddress } from '../subgraphs/audit/accounts/email-address.ts';
import { isIP } from 'node:net';
import { resolve } from 'node:path';
import { nearestName } from '../core/validation/nearest-name.ts';
import { NotRegularFile, readRegularFileSync } from '../core/files/regular-file.ts';
import { emptySecretFault, openSecretFault } from '../core/credentials/secret-file.ts';
import { bySubgraph, type SubgraphName } from '../core/wire/subgraph.ts';

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

/** Parses `host:port`; gives null for other texts. */
function readAddress(address: string): { host: string; port: number } | null {
  const [, host, port] = /^\[?([^\s\]]+?)\]?:(\d{1,5})$/.exec(address) ?? [];
  return host !== undefined && Number(port) > 0 && Number(port) <= 65_535 ? { host, port: Number(port) } : null;
}

/**
 * Gives an origin as browsers send it (`https://dashboard.example.com`, without the scheme's default port), or null
 * when the text is none.
 */
function readOrigin(text: string): string | null {
  if (!URL.canParse(text)) return null;
  const { protocol, host, origin } = new URL(text);
  const isPage = protocol === 'http:' || protocol === 'https:';
  return isPage && host !== '' && /^[a-z]+:\/\/[^/?#@*\\]+$/i.test(text) ? origin : null;
}

/**
 * Checks for addresses and ranges such as `192.0.2.1`, `10.0.0.0/8`, `2001:db8::/32`. A range of all addresses is
 * refused.
 */
function isAddressRange(range: string): boolean {
  const [, address = '', prefix] = /^([^/%]+)(?:\/(\d{1,3}))?$/.exec(range) ?? [];
  const version = isIP(address);
  return (
    version !== 0 && (prefix === undefined || (Number(prefix) > 0 && Number(prefix) <= (version === 4 ? 32 : 128)))
  );
}

/** The levels of the log. */
export const LOG_LEVELS = ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'] as const;

/** The checked settings. */
export interface Configuration {
  readonly port: number;
  readonly host: string;
  /** An absolute path. */
  readonly dataDir: string;
  readonly adminEmail: string;
  /** Null: a password is generated and printed when the administrator is created. */
  readonly adminPassword: string | null;
  /** Null: the embedded server in `dataDir`. */
  readonly databaseUrl: string | null;
  /** Null: in process. */
  readonly redis: RedisTarget | null;
  /** Null: the embedded engine in `dataDir`. */
  readonly clickhouseUrl: string | null;
  /** The text of a JWK or PEM. Null: the key is created in `dataDir` at the first start. */
  readonly signingKey: string | null;
  /** The texts of JWKs, JWK sets or PEMs of further valid keys. */
  readonly previousSigningKeys: readonly string[];
  /** Null: the secret is created in `dataDir` at the first start. Required when distributed. */
  readonly internalSecret: string | null;
  readonly playground: boolean;
  readonly introspection: boolean;
  /** Addresses and CIDR ranges. */
  readonly trustedProxies: readonly string[];
  /** Origins as browsers send them, such as `https://dashboard.example.com`. */
  readonly allowedOrigins: readonly string[];
  /** Null: `/metrics` answers only this machine. */
  readonly metricsToken: string | null;
  /** Seconds that a vehicle may be without a connection before it is offline. */
  readonly presenceGraceSeconds: number;
  readonly logLevel: (typeof LOG_LEVELS)[number];
  /** Faults of the settings that do not stop the start, for the log. */
  readonly warnings: readonly string[];
  /** The base URL of each subgraph's process, for a gateway that runs alone. */
  readonly subgraphUrls: Readonly<Record<SubgraphName, string>>;
}

/** One row for each variable, for the documentation and its test. */
export const SETTINGS: Readonly<Record<string, string>> = {
  PORT: 'Port to listen on; 0 picks a free one. Default 4000 (of a subgraph of its own: flags 4001, vehicles 4002, experiments 4003, audit 4004).',
  HOST: 'Address to listen on. Default 127.0.0.1.',
  FLEETFLAG_DATA_DIR: 'Folder for embedded stores and generated keys. Default ./.fleetflag.',
  FLEETFLAG_ADMIN_EMAIL: 'E-mail of the administrator created at the first start. Default admin@fleetflag.local.',
  FLEETFLAG_ADMIN_PASSWORD:
    'Password of that administrator, 12 characters or more. Generated and printed once when absent.',
  DATABASE_URL: 'PostgreSQL 15 or newer, postgresql://…. The embedded server when absent; required when distributed.',
  REDIS_URL:
    'Redis 7, redis://… or rediss://…. In process when absent; required when distributed, unless REDIS_SENTINELS is set.',
  REDIS_SENTINELS: 'In place of REDIS_URL: the sentinels of a highly available Redis, host:port, separated by commas.',
  REDIS_SENTINEL_NAME: 'The name under which the sentinels watch the primary. Required with REDIS_SENTINELS.',
  REDIS_PASSWORD:
    'The password of the servers that the sentinels watch. Only with REDIS_SENTINELS: REDIS_URL has its own.',
  CLICKHOUSE_URL: 'ClickHouse 23.8 or newer, http://… or https://…. The embedded engine when absent.',
  FLEETFLAG_SIGNING_KEY:
    'Ed25519 private key that signs flag definitions: a JWK, a PEM, or the path of a file with either. Created in the data folder when absent.',
  FLEETFLAG_PREVIOUS_SIGNING_KEYS:
    'Further keys that vehicles may trust while the signing key is changed (docs/operations/key-rotation.md): a JWK, a JWK set, PEMs, or paths of files with these, separated by commas. Public halves suffice.',
  FLEETFLAG_INTERNAL_SECRET:
    'Shared by gateway and subgraphs, 32 characters or more. Created in the data folder when absent; required when distributed.',
  FLEETFLAG_PLAYGROUND: 'on or off. Default on; off when NODE_ENV is production.',
  FLEETFLAG_INTROSPECTION: 'on or off. Default: as the playground.',
  FLEETFLAG_TRUSTED_PROXIES:
    'Addresses and CIDR ranges of the proxies before a gateway, separated by commas: the address of who calls is taken from the X-Forwarded-For of these, and of nobody else. Default: none.',
  FLEETFLAG_ALLOWED_ORIGINS:
    "Origins whose pages may call /graphql over HTTP and websockets, such as https://dashboard.example.com, separated by commas. Default: none but the gateway's own.",
  FLEETFLAG_METRICS_TOKEN:
    'What a Prometheus server sends as Authorization: Bearer … to read /metrics, 16 characters or more. Without it they answer this machine alone.',
  FLEETFLAG_FLAGS_URL: 'Where a gateway of its own finds the flags subgraph. Default http://127.0.0.1:4001.',
  FLEETFLAG_VEHICLES_URL: 'Likewise the vehicles subgraph. Default http://127.0.0.1:4002.',
  FLEETFLAG_EXPERIMENTS_URL: 'Likewise the experiments subgraph. Default http://127.0.0.1:4003.',
  FLEETFLAG_AUDIT_URL: 'Likewise the audit subgraph. Default http://127.0.0.1:4004.',
  FLEETFLAG_PRESENCE_GRACE_SECONDS:
    'Seconds that a vehicle may be without a connection before its status is offline, 1 to 3600. Default 30.',
  LOG_LEVEL: 'fatal, error, warn, info, debug, trace or silent. Default info.',
};

const PREFIX = 'FLEETFLAG_';

/**
 * Variables with the same prefix that are not the control plane's: the agent's settings, the image chosen for compose,
 * and those that Kubernetes sets for services whose names begin so.
 */
const OTHERS =
  /^FLEETFLAG_(?:AGENT_.*|VERSION|(?:.*_)?SERVICE_(?:HOST|PORT(?:_.*)?)|(?:.*_)?PORT_\d+_(?:TCP|UDP|SCTP)(?:_.*)?)$/;

/**
 * Checks whether a variable looks like a setting but is none. It is probably misspelt, and the default would apply
 * unnoticed.
 */
function isUnknown(name: string, value: string | undefined): boolean {
  if (!name.startsWith(PREFIX) || name in SETTINGS || OTHERS.test(name)) return false;
  return !(name.endsWith('_PORT') && /^(?:tcp|udp|sctp):\/\//.test(value ?? ''));
}

/** The default port of each process. */
export const DEFAULT_PORTS = { gateway: 4000, flags: 4001, vehicles: 4002, experiments: 4003, audit: 4004 } as const;

/** What the settings are read for. */
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
    if (!URL.canParse(value) || !protocols.includes(new URL(value).protocol)) {
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

  const graceText = text('FLEETFLAG_PRESENCE_GRACE_SECONDS') ?? '30';
  const presenceGraceSeconds = Number(graceText);
  if (!/^\d+$/.test(graceText) || presenceGraceSeconds < 1 || presenceGraceSeconds > 3_600) {
    faults.push(
      `FLEETFLAG_PRESENCE_GRACE_SECONDS is ${JSON.stringify(graceText)}; it must be a number of seconds from 1 to 3600.`,
    );
  }

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

  const subgraphUrls = bySubgraph(
    (name) =>
      url(`FLEETFLAG_${name.toUpperCase()}_URL`, ['http:', 'https:']) ?? `http://127.0.0.1:${DEFAULT_PORTS[name]}`,
  );

  const trustedProxies = list('FLEETFLAG_TRUSTED_PROXIES');
  if (!trustedProxies.every(isAddressRange))
    faults.push(
      'FLEETFLAG_TRUSTED_PROXIES must be a list of addresses and CIDR ranges, separated by commas; a range of all addresses would trust everybody and is refused.',
    );

  const origins = list('FLEETFLAG_ALLOWED_ORIGINS').map(readOrigin);
  if (origins.includes(null))
    faults.push(
      'FLEETFLAG_ALLOWED_ORIGINS must be a list of origins, separated by commas: each http:// or https:// with a host, perhaps a port, and nothing after it. "*" is refused.',
    );
  for (const name of Object.keys(environment).filter((name) => isUnknown(name, environment[name]))) {
    const known = Object.keys(SETTINGS).flatMap((setting) =>
      setting.startsWith(PREFIX) ? setting.slice(PREFIX.length) : [],
    );
    const nearest = nearestName(name.slice(PREFIX.length), known);
    faults.push(
      `${name} is not a setting${nearest === null ? '' : `; did you mean ${PREFIX}${nearest}?`}. All settings: docs/operations/configuration.md.`,
    );
  }

  const playground = switched('FLEETFLAG_PLAYGROUND', environment['NODE_ENV'] !== 'production');
  const configuration: Configuration = {
    port,
    host: text('HOST') ?? '127.0.0.1',
    dataDir: resolve(text('FLEETFLAG_DATA_DIR') ?? '.fleetflag'),
    adminEmail,
    adminPassword,
    databaseUrl,
    redis,
    clickhouseUrl,
    signingKey,
    previousSigningKeys: Object.freeze(previousSigningKeys),
    internalSecret,
    playground,
    introspection: switched('FLEETFLAG_INTROSPECTION', playground),
    trustedProxies: Object.freeze(trustedProxies),
    allowedOrigins: Object.freeze(origins.flatMap((origin) => origin ?? [])),
    metricsToken,
    presenceGraceSeconds,
    logLevel: oneOf('LOG_LEVEL', LOG_LEVELS, 'info'),
    warnings: Object.freeze(warnings),
    subgraphUrls: Object.freeze(subgraphUrls),
  };
  if (faults.length > 0) throw new ConfigurationError(faults);
  return Object.freeze(configuration);
}
