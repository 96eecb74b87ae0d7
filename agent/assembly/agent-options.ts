/**
 * The options of an agent: its control plane, its files, the keys that it trusts, and its timings.
 */
import { badInput } from '../../core/errors.ts';
import { enteredName } from '../../core/evaluation/context.ts';
import { VIN_PATTERN } from '../../core/model.ts';
import type { VehicleFacts } from '../facts/known-facts.ts';
import type { Log } from '../log.ts';
import { nodeFileSystem, type FileSystem } from '../store/files/durable-file.ts';
import { databasePlace } from '../store/files/database-place.ts';
import type { LinkTimings } from '../link/gateway-link.ts';
import type { EvaluationEventOptions } from '../telemetry/evaluation-events.ts';
import type { PinnedKeys } from '../trust/pinned-keys.ts';

/** The timings of an agent, in milliseconds. */
export interface AgentTimings extends LinkTimings {
  /** The bound of the random wait after a first failure to connect, or to send. Each further failure doubles it. */
  readonly backoffMs: number;
  /** The highest bound of that wait. */
  readonly backoffCapMs: number;
  /**
   * The time after a sync, a request of the registered facts or a backup until the next, where nothing calls for an
   * earlier one; up to a tenth is added at random.
   */
  readonly resyncMs: number;
  /** The wait after a proof of a later revision before the agent requests its changes, which may be on their way. */
  readonly aheadMs: number;
  /** The time for which the control plane must be behind the vehicle's revision before that is logged. */
  readonly belowMs: number;
  /**
   * The wait after a first request that a repetition is unlikely to help soon, such as a full sync that has left the
   * flags incomplete, or a sync for stale flags. Each further one doubles it; up to a quarter is added at random.
   */
  readonly rareBackoffMs: number;
  /** The longest such wait, without that quarter. */
  readonly rareBackoffCapMs: number;
  /** The time between two checks for stale flags. */
  readonly staleCheckMs: number;
  /** The wait before the agent retries a failed write of the database. */
  readonly storeRetryMs: number;
  /** The wait of a measurement for its write. It leaves time for the write, which should end within a second in all. */
  readonly metricsWriteMs: number;
  /**
   * The time between two reports of measurements, the counts of evaluations among them; up to a tenth is added at
   * random.
   */
  readonly metricsIntervalMs: number;
  /** The time between two heartbeats; up to a tenth is added at random. */
  readonly heartbeatMs: number;
  /** The longest random wait between a new connection or a persisted revision and the heartbeat that reports it. */
  readonly heartbeatSpreadMs: number;
  /** The longest random wait between a fault, or a new connection, and the report of the fault. */
  readonly faultsSpreadMs: number;
  /** The longest random wait before the vehicle requests a new partition, which many vehicles may get at once. */
  readonly assignmentSpreadMs: number;
  /** The time between two polls of a file of flags. */
  readonly flagsFileMs: number;
}

const DEFAULT_TIMINGS: AgentTimings = {
  openMs: 10_000,
  acknowledgeMs: 10_000,
  pingMs: 20_000,
  pongMs: 10_000,
  requestMs: 30_000,
  backoffMs: 1000,
  backoffCapMs: 30_000,
  resyncMs: 600_000,
  aheadMs: 2000,
  belowMs: 10_000,
  rareBackoffMs: 60_000,
  rareBackoffCapMs: 3_600_000,
  staleCheckMs: 1000,
  storeRetryMs: 5000,
  metricsWriteMs: 750,
  metricsIntervalMs: 60_000,
  heartbeatMs: 60_000,
  heartbeatSpreadMs: 5_000,
  faultsSpreadMs: 2_000,
  assignmentSpreadMs: 5_000,
  flagsFileMs: 200,
};

/** The options of an agent, as a program gives them. */
export interface FleetFlagAgentOptions {
  /**
   * The address of the gateway's websocket: `ws://host:4000/graphql`. Required with `tokenFile` and `databaseFile`,
   * unless `flagsFile` is used alone.
   */
  readonly url?: string;
  readonly tokenFile?: string;
  readonly databaseFile?: string;
  /**
   * A file of flags and overrides, for tests. It replaces the control plane, or takes precedence over the control
   * plane's flags (`allowOverrides`).
   */
  readonly flagsFile?: string | null;
  /** Whether both `flagsFile` and `url` may be given. */
  readonly allowOverrides?: boolean;
  /**
   * The VIN for which flags are evaluated where there is no control plane. Where it is null, no rollout and no
   * whitelist matches.
   */
  readonly vin?: string | null;
  /**
   * The keys to trust. Where it is null, the agent trusts the keys in its database, and before it has any, the keys
   * that the control plane serves at the first contact.
   */
  readonly keys?: PinnedKeys | null;
  /** The certificates (PEM) of the only authorities that `wss://` trusts; null for those that Node.js trusts. */
  readonly ca?: string | null;
  /** The proxy for all connections (HTTP CONNECT), as `http://[user:password@]host:port`; null for none. */
  readonly proxy?: string | null;
  readonly vehicle?: VehicleFacts;
  readonly log?: Log;
  readonly timings?: Partial<AgentTimings>;
  /** The clock, in milliseconds since 1970. */
  readonly now?: () => number;
  /** A source of random numbers, uniform in [0, 1). */
  readonly random?: () => number;
  readonly files?: FileSystem;
  /** Called after each write of the database, when there is most garbage to collect. */
  readonly afterWrite?: () => void;
  /** Gives the number of log lines that could not be written, for the status. */
  readonly lostLogLines?: () => number;
  /** Emits an event for each evaluation (OpenTelemetry's `feature_flag.evaluation`); null for none. */
  readonly evaluationEvents?: EvaluationEventOptions | null;
}

/** The options of an agent, with all defaults filled in. */
export type CompleteAgentOptions = Required<Omit<FleetFlagAgentOptions, 'timings'>> & {
  readonly timings: AgentTimings;
};

/** Gives the facts without the blanks around them, and without facts that are blank. */
function enteredFacts({ model, swVersion, region }: VehicleFacts): VehicleFacts {
  return {
    model: enteredName(model) ?? undefined,
    swVersion: enteredName(swVersion) ?? undefined,
    region: enteredName(region) ?? undefined,
  };
}

/**
 * Fills in the defaults of `options`. Where there is only a file of flags, `url`, `tokenFile` and `databaseFile` are
 * empty.
 *
 * @throws FleetFlagError BAD_USER_INPUT where the options do not say where flags come from
 */
export function completeOptions(options: FleetFlagAgentOptions): CompleteAgentOptions {
  const { url, tokenFile, databaseFile, flagsFile = null, vin = null } = options;
  const isFileAlone = flagsFile !== null && url === undefined;
  const missing = Object.entries({ url, tokenFile, databaseFile }).find(([, value]) => value === undefined);
  if (!isFileAlone && missing !== undefined) {
    throw badInput(missing[0], 'An agent requires url, tokenFile and databaseFile, or a flagsFile alone.');
  }
  if (flagsFile !== null && url !== undefined && options.allowOverrides !== true) {
    throw badInput(
      'flagsFile',
      'With url set, a flagsFile replaces values of the control plane, kill switches included; set allowOverrides to allow this.',
    );
  }
  if (vin !== null && !VIN_PATTERN.test(vin))
    throw badInput('vin', 'A VIN must have 17 characters: digits and capital letters except I, O and Q.');
  return {
    url: '',
    tokenFile: '',
    databaseFile: '',
    flagsFile: null,
    allowOverrides: false,
    vin: null,
    keys: null,
    ca: null,
    proxy: null,
    log: () => undefined,
    now: Date.now,
    random: Math.random,
    files: nodeFileSystem,
    afterWrite: () => undefined,
    lostLogLines: () => 0,
    evaluationEvents: null,
    ...options,
    ...(databaseFile !== undefined && { databaseFile: databasePlace(databaseFile) }),
    vehicle: enteredFacts(options.vehicle ?? {}),
    timings: { ...DEFAULT_TIMINGS, ...options.timings },
  };
}
