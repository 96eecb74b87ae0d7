/** The variables that the control plane reads, and how a misspelt one is noticed. */
import { nearestName } from '../../core/validation/nearest-name.ts';

/** One row for each variable; a test compares docs/operations/configuration.md with it. */
export const SETTINGS: Readonly<Record<string, string>> = {
  PORT: 'Port to listen on; 0 picks a free one. Default 4000 (of a subgraph of its own: flags 4001, vehicles 4002, experiments 4003, audit 4004).',
  HOST: 'Address to listen on. Default 127.0.0.1.',
  FLEETFLAG_DATA_DIR: 'Folder for embedded stores and generated keys. Default ./.fleetflag.',
  FLEETFLAG_ADMIN_EMAIL: 'E-mail of the administrator created at the first start. Default admin@fleetflag.local.',
  FLEETFLAG_ADMIN_PASSWORD:
    'Password of that administrator, 12 characters or more. Generated and printed once when absent.',
  DATABASE_URL: 'PostgreSQL 15 or newer, postgresql://…. The embedded server when absent; required when distributed.',
  DATABASE_REPLICA_URLS:
    'Streaming replicas of DATABASE_URL, postgresql://…, separated by commas: lists, search and history are read there as far as nobody sees less than before (docs/operations/upgrades.md). None when absent.',
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
  FLEETFLAG_CONSOLE: 'Whether the gateway serves the console at /console: on or off. Default on.',
  FLEETFLAG_INTROSPECTION: 'on or off. Default: as the playground.',
  FLEETFLAG_TRUSTED_PROXIES:
    'Addresses and CIDR ranges of the proxies before a gateway, separated by commas: the address of a caller is taken from the X-Forwarded-For of these, and of no other client. Default: none.',
  FLEETFLAG_ALLOWED_ORIGINS:
    "Origins whose pages may call /graphql over HTTP and websockets, such as https://dashboard.example.com, separated by commas. Default: none but the gateway's own.",
  FLEETFLAG_METRICS_TOKEN:
    'The token that a Prometheus server sends as Authorization: Bearer … to read /metrics, 16 ASCII characters or more. Without it, /metrics answers this machine alone.',
  FLEETFLAG_SHUTDOWN_DELAY_SECONDS:
    'Seconds from SIGTERM, when /health/ready begins to answer 503, to the end of the first connection, 0 to 60: the time that a load balancer has to notice it. Default 0; 5 when NODE_ENV is production.',
  OTEL_EXPORTER_OTLP_ENDPOINT:
    'Base URL of an OpenTelemetry receiver (OTLP over HTTP), to which traces are sent, such as http://collector:4318. No traces when absent.',
  OTEL_EXPORTER_OTLP_HEADERS:
    'Header fields of the requests to it, name=value, separated by commas; values are percent-encoded.',
  FLEETFLAG_TRACE_RATIO:
    'The share of requests that are traced, 0 to 1, where the caller has not decided it (traceparent). Default 1.',
  FLEETFLAG_SUPERGRAPH:
    'File with the supergraph that a gateway serves; when it changes, the gateway serves the new one without a restart (docs/operations/upgrades.md). Default: the supergraph of the build, which does not change.',
  FLEETFLAG_FLAGS_URL:
    'Where a gateway in a process of its own finds the flags subgraph: the URL of an instance or of a load balancer, or those of several instances, separated by commas. Default http://127.0.0.1:4001.',
  FLEETFLAG_VEHICLES_URL: 'Likewise the vehicles subgraph. Default http://127.0.0.1:4002.',
  FLEETFLAG_EXPERIMENTS_URL: 'Likewise the experiments subgraph. Default http://127.0.0.1:4003.',
  FLEETFLAG_AUDIT_URL: 'Likewise the audit subgraph. Default http://127.0.0.1:4004.',
  FLEETFLAG_PRESENCE_GRACE_SECONDS:
    'Seconds that a vehicle may be without a connection before its status is offline, 1 to 3600. Default 30.',
  FLEETFLAG_WEBHOOK_ALLOW_PRIVATE:
    'Private addresses and CIDR ranges, separated by commas, to which webhooks may be sent, over http as well (docs/guides/webhooks.md). Default: none; webhooks go to public addresses over https.',
  FLEETFLAG_WAL_ARCHIVE:
    'Folder on another disk to which the embedded PostgreSQL copies its write-ahead log, for a restore to a point in time (docs/operations/backup.md). None when absent.',
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

/** Gives a fault for each variable that looks like a setting but is none, with the name that was perhaps meant. */
export function unknownSettingFaults(environment: Readonly<Record<string, string | undefined>>): string[] {
  const known = Object.keys(SETTINGS).flatMap((setting) =>
    setting.startsWith(PREFIX) ? setting.slice(PREFIX.length) : [],
  );
  return Object.keys(environment)
    .filter((name) => isUnknown(name, environment[name]))
    .map((name) => {
      const nearest = nearestName(name.slice(PREFIX.length), known);
      return `${name} is not a setting${nearest === null ? '' : `; did you mean ${PREFIX}${nearest}?`}. All settings: docs/operations/configuration.md.`;
    });
}
