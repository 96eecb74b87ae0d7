/**
 * The agent's settings. Each is an option of the command line and an environment variable; the option wins. No other
 * file of the agent reads the environment.
 */
import { parseArgs } from 'node:util';
import { nearestName } from '../../core/validation/nearest-name.ts';
import { readHostPort } from '../../core/wire/network/host-port.ts';
import { isLoopback } from '../../core/wire/network/loopback.ts';
import { VIN_PATTERN } from '../../core/model.ts';
import { readLabel } from '../../core/validation/text.ts';
import { MAX_SW_VERSION_LENGTH } from '../../core/wire/vehicle/vehicle-facts.ts';
import type { VehicleFacts } from '../facts/known-facts.ts';
import { isOrigin } from '../api/browser-guard.ts';
import { readAuthorities, readKeys } from './configured-files.ts';
import { LOG_FORMATS, describeError, type LogFormat } from '../log.ts';
import { fileKindFault } from '../../core/files/regular-file.ts';
import { environmentProxy, proxyFault } from '../link/proxy-settings.ts';
import type { PinnedKeys } from '../trust/pinned-keys.ts';
import { isOneOf } from '../../core/json/json-value.ts';

/** The settings of the command. */
export interface AgentConfiguration {
  /** The address of the gateway. Like the next two, it is undefined where there is only a file of flags. */
  readonly url: string | undefined;
  readonly tokenFile: string | undefined;
  readonly databaseFile: string | undefined;
  /** The file of flags; null where all flags come from the control plane. */
  readonly flagsFile: string | null;
  readonly allowOverrides: boolean;
  /** The VIN; null for that of the token, or for none. */
  readonly vin: string | null;
  /** The address of the HTTP server; null for no server. */
  readonly listen: { readonly host: string; readonly port: number } | null;
  /** The origins whose pages may use the HTTP server. */
  readonly allowedOrigins: readonly string[];
  /** The keys to trust; null for the keys of the first contact. */
  readonly keys: PinnedKeys | null;
  /** The certificates (PEM) of the authorities to trust; null for those that Node.js trusts. */
  readonly ca: string | null;
  /** The address of the proxy; null for none. It may contain a password, so it is a secret. */
  readonly proxy: string | null;
  readonly vehicle: VehicleFacts;
  /** The milliseconds after a sync until the next, where nothing calls for an earlier one. */
  readonly resyncMs: number;
  /** The milliseconds between two reports of measurements, the counts of evaluations among them. */
  readonly metricsIntervalMs: number;
  readonly logFormat: LogFormat;
  /** The most evaluations in a second that are logged as events; 0 for none. */
  readonly evaluationEventsPerSecond: number;
  /** The faults of the settings that do not prevent the start; they are logged as warnings. */
  readonly warnings: readonly string[];
}

/** The error with all faults of the settings in one message. */
export class AgentConfigurationError extends Error {
  override readonly name = 'AgentConfigurationError';

  constructor(readonly faults: readonly string[]) {
    super(`The agent cannot start:\n${faults.map((fault) => `  - ${fault}`).join('\n')}\n\n${USAGE}`);
  }
}

const OPTIONS = [
  'url',
  'token-file',
  'db',
  'listen',
  'keys',
  'ca',
  'proxy',
  'model',
  'sw-version',
  'region',
  'flags',
  'vin',
  'resync-minutes',
  'metrics-seconds',
  'log-format',
  'evaluation-events',
] as const;
type Option = (typeof OPTIONS)[number];
const SWITCHES = ['allow-remote', 'allow-overrides'] as const;
type Switch = (typeof SWITCHES)[number];
/** Options with files that the agent opens later. Paths that no agent could use are refused at once. */
const FILES = ['token-file', 'db', 'flags'] as const;
/** Options that have a meaning only where there is a control plane. */
const OF_A_CONTROL_PLANE = ['token-file', 'db', 'keys', 'ca', 'proxy'] as const;
/** Options that may be given several times. In the environment, commas separate their values. */
const LISTS = ['allow-origin'] as const;
const NAMES: readonly string[] = [...OPTIONS, ...LISTS, ...SWITCHES];

/** The usage text of the command. */
export const USAGE = `Usage: fleetflag-agent --url ws://host:4000/graphql --token-file FILE --db FILE [options]
  --listen HOST:PORT      serve OFREP and status over HTTP (127.0.0.1:7788)
  --allow-remote          let --listen name an address that other machines reach
  --allow-origin ORIGIN   lets pages of http://HOST:PORT call it; may be given several times
  --keys FILE             JWK set of the keys to trust; default: those of the first contact (development)
  --ca FILE               certificates (PEM) of the only authorities to trust with wss://; default: the public ones
  --proxy URL             http://[user:password@]host:port of an HTTP proxy; default: from HTTPS_PROXY, HTTP_PROXY and NO_PROXY
  --model, --sw-version, --region TEXT   the vehicle's own facts
  --flags FILE            flags and overrides from a file, for tests: instead of --url, --token-file and --db
  --vin VIN               the vehicle that flags are evaluated for, with --flags alone
  --allow-overrides       allows --flags together with --url
  --resync-minutes N      between syncs of an idle connection (10)
  --metrics-seconds N     between two reports of measurements (60)
  --log-format plain|json
  --evaluation-events N   log at most N evaluations a second as feature_flag.evaluation events (0)
  --help, --version
Each option is also read from the environment: FLEETFLAG_AGENT_TOKEN_FILE for --token-file.`;

/** Gives the environment variable of an option: `FLEETFLAG_AGENT_TOKEN_FILE` for `token-file`. */
function variableName(option: string): string {
  return `FLEETFLAG_AGENT_${option.toUpperCase().replaceAll('-', '_')}`;
}

/**
 * Reads and checks all settings. Rejects with an AgentConfigurationError that names every fault.
 *
 * @param args the command line after the script's name
 */
export async function readAgentConfiguration(
  args: readonly string[],
  environment: NodeJS.ProcessEnv = process.env,
): Promise<AgentConfiguration> {
  const faults: string[] = [];
  const warnings: string[] = [];
  const given = readArguments(args, faults);
  const value: ValueOf = (option) => given.values.get(option) ?? (environment[variableName(option)] || undefined);
  const isOn = (name: Switch): boolean => {
    const variable = environment[variableName(name)];
    return given.switches.get(name) ?? (variable ? readSwitch(variableName(name), variable, faults) : false);
  };
  refuseBlank(environment, faults);
  const flagsFile = value('flags') ?? null;
  const alone = flagsFile !== null && value('url') === undefined;
  const required = (option: Option): string | undefined => {
    const text = value(option);
    if (text === undefined && !alone) faults.push(`--${option} (or ${variableName(option)}) is required`);
    return alone ? undefined : text;
  };

  const url = required('url');
  if (url !== undefined && !isWebsocketUrl(url))
    faults.push(`--url must be a ws:// or wss:// address without "#", not "${url}"`);
  const tokenFile = required('token-file');
  const databaseFile = required('db');
  for (const option of alone ? OF_A_CONTROL_PLANE : []) {
    if (value(option) !== undefined)
      faults.push(`--${option} has no effect with --flags alone; add --url, or remove it`);
  }
  await checkFiles(value, faults);

  const allowRemote = isOn('allow-remote');
  const allowOverrides = isOn('allow-overrides');
  if (flagsFile !== null && !alone && !allowOverrides)
    faults.push(
      'with --url, --flags replaces values of the control plane, kill switches included; add --allow-overrides to allow this',
    );
  warnOfSwVersion(value('sw-version'), warnings);
  const vin = readVin(value('vin'), alone, faults);
  const listen = readListen(value('listen'), allowRemote, faults);
  const allowedOrigins = given.lists.get('allow-origin') ?? splitList(environment[variableName('allow-origin')]);
  for (const origin of allowedOrigins)
    if (!isOrigin(origin))
      faults.push(
        `--allow-origin must be an origin as browsers write it, such as http://hmi.local:8080, not "${origin}"`,
      );
  const keys = await readKeys(value('keys'), faults, warnings);
  const ca = await readAuthorities(value('ca'), faults);
  const proxy = readProxy(value('proxy'), url, environment, faults);
  const numbers = readNumbers(value, faults);
  const logFormat = value('log-format') ?? 'plain';
  if (!isOneOf(LOG_FORMATS, logFormat)) faults.push(`--log-format must be plain or json, not "${logFormat}"`);
  refuseUnknown(environment, faults);

  if (faults.length > 0) throw new AgentConfigurationError(faults);
  return Object.freeze({
    url,
    tokenFile,
    databaseFile,
    flagsFile,
    allowOverrides,
    vin,
    listen,
    allowedOrigins,
    keys,
    ca,
    proxy,
    vehicle: { model: value('model'), swVersion: value('sw-version'), region: value('region') },
    ...numbers,
    logFormat: isOneOf(LOG_FORMATS, logFormat) ? logFormat : 'plain',
    warnings,
  });
}

/** Gives the value of an option, from the command line or the environment; undefined where neither has it. */
type ValueOf = (option: Option) => string | undefined;

function refuseBlank(environment: NodeJS.ProcessEnv, faults: string[]): void {
  for (const name of [...OPTIONS, ...LISTS].map(variableName)) {
    // An empty variable counts as absent, because compose files pass unset variables as empty.
    if (environment[name] && environment[name].trim() === '')
      faults.push(`${name} must not be blank; give it a value, or unset it`);
  }
}

function refuseUnknown(environment: NodeJS.ProcessEnv, faults: string[]): void {
  const prefix = variableName('');
  const known = NAMES.map(variableName);
  for (const name of Object.keys(environment).filter((name) => name.startsWith(prefix) && !known.includes(name))) {
    const nearest = nearestName(name.slice(prefix.length), NAMES);
    faults.push(`unknown setting ${name}${suggestion(nearest === null ? null : variableName(nearest))}`);
  }
}

async function checkFiles(value: ValueOf, faults: string[]): Promise<void> {
  for (const option of FILES) {
    const path = value(option);
    const fault = path === undefined ? null : await fileKindFault(path);
    if (fault !== null) faults.push(`--${option}: ${fault}`);
  }
}

/** Warns of a version that the control plane would refuse with every heartbeat. Flags are evaluated by it anyway. */
function warnOfSwVersion(version: string | undefined, warnings: string[]): void {
  if (version === undefined) return;
  try {
    readLabel(version, 'sw-version', { what: '--sw-version', max: MAX_SW_VERSION_LENGTH });
  } catch (error) {
    warnings.push(`the control plane will refuse the heartbeats of this vehicle: ${describeError(error)}`);
  }
}

function readVin(vin: string | undefined, alone: boolean, faults: string[]): string | null {
  if (vin === undefined) return null;
  if (!VIN_PATTERN.test(vin))
    faults.push(`--vin must have 17 digits and capital letters except I, O and Q, not "${vin}"`);
  if (!alone) faults.push('--vin works only with --flags and without --url, where the token names the vehicle');
  return vin;
}

/** Reads the proxy: that of the option `given`, or else the one that the environment names for `url`. */
function readProxy(
  given: string | undefined,
  url: string | undefined,
  environment: NodeJS.ProcessEnv,
  faults: string[],
): string | null {
  const proxy = given ?? (url !== undefined && isWebsocketUrl(url) ? environmentProxy(url, environment) : null);
  const fault = proxy === null ? null : proxyFault(proxy);
  if (fault !== null) faults.push(`${given === undefined ? 'the proxy of the environment' : '--proxy'} ${fault}`);
  return proxy;
}

function readNumbers(
  value: ValueOf,
  faults: string[],
): Pick<AgentConfiguration, 'resyncMs' | 'metricsIntervalMs' | 'evaluationEventsPerSecond'> {
  const minutes = Number(value('resync-minutes') ?? '10');
  if (!(minutes > 0 && minutes <= 1440)) faults.push('--resync-minutes must be a number above 0, at most 1440');
  const seconds = Number(value('metrics-seconds') ?? '60');
  if (!(seconds >= 0.1 && seconds <= 86_400)) faults.push('--metrics-seconds must be a number from 0.1 to 86400');
  const events = value('evaluation-events') ?? '0';
  if (!/^\d{1,4}$/.test(events)) faults.push('--evaluation-events must be a whole number from 0 to 9999');
  return {
    resyncMs: minutes * 60_000,
    metricsIntervalMs: seconds * 1_000,
    evaluationEventsPerSecond: Number(events),
  };
}

function readArguments(
  args: readonly string[],
  faults: string[],
): { values: Map<Option, string>; lists: Map<string, string[]>; switches: Map<Switch, boolean> } {
  const { tokens } = parseArgs({
    args: [...args],
    strict: false,
    tokens: true,
    options: {
      ...Object.fromEntries([...OPTIONS, ...LISTS].map((name) => [name, { type: 'string' as const }])),
      ...Object.fromEntries(SWITCHES.map((name) => [name, { type: 'boolean' as const }])),
    },
  });
  const values = new Map<Option, string>();
  const lists = new Map<string, string[]>();
  const switches = new Map<Switch, boolean>();
  for (const token of tokens) {
    if (token.kind === 'positional') faults.push(`unexpected argument "${token.value}"`);
    if (token.kind !== 'option') continue;
    if (isOneOf(SWITCHES, token.name))
      switches.set(token.name, token.value === undefined || readSwitch(`--${token.name}`, token.value, faults));
    else if (!isOneOf(OPTIONS, token.name) && !isOneOf(LISTS, token.name))
      faults.push(`unknown option ${token.rawName}${suggestion(nearestName(token.name, NAMES), '--')}`);
    else if (token.value === undefined || token.value.trim() === '') faults.push(`--${token.name} requires a value`);
    else if (isOneOf(LISTS, token.name)) lists.set(token.name, [...(lists.get(token.name) ?? []), token.value]);
    else values.set(token.name, token.value);
  }
  return { values, lists, switches };
}

/** Reads whether a switch is on. A word that is neither is a fault, so that a misspelt one does not switch anything. */
function readSwitch(name: string, text: string, faults: string[]): boolean {
  if (!['true', '1', 'false', '0'].includes(text)) faults.push(`${name} must be true or false (1 or 0), not "${text}"`);
  return text === 'true' || text === '1';
}

function splitList(text: string | undefined): string[] {
  return (text ?? '').split(',').flatMap((part) => (part.trim() === '' ? [] : [part.trim()]));
}

const suggestion = (nearest: string | null, prefix = '') =>
  nearest === null ? '' : `; did you mean ${prefix}${nearest}?`;

function isWebsocketUrl(text: string): boolean {
  // No websocket can be opened to a URL with a fragment (RFC 6455, 3).
  return URL.canParse(text) && ['ws:', 'wss:'].includes(new URL(text).protocol) && !text.includes('#');
}

function readListen(text: string | undefined, allowRemote: boolean, faults: string[]): AgentConfiguration['listen'] {
  if (text === undefined) return null;
  const listen = readHostPort(text.includes(':') ? text : `127.0.0.1:${text}`);
  if (listen === null) faults.push(`--listen must be HOST:PORT, not "${text}"`);
  else if (!isLoopback(listen.host) && !allowRemote)
    faults.push(`--listen ${text} can be reached from other machines; add --allow-remote to allow this`);
  return listen;
}
