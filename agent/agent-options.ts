/**
 * What an agent is made with: who to ask, where to keep, whom to trust, and how patient to be.
 */
import { badInput } from '../core/errors.ts';
import { enteredName } from '../core/evaluation/context.ts';
import { VIN_PATTERN } from '../core/model.ts';
import type { VehicleFacts } from './facts/known-facts.ts';
import type { Log } from './log.ts';
import { nodeFileSystem, type FileSystem } from './store/durable-file.ts';
import { databasePlace } from './store/database-place.ts';
import type { LinkTimings } from './link/gateway-link.ts';
import type { PinnedKeys } from './trust/pinned-keys.ts';

/** All in milliseconds. */
export interface AgentTimings extends LinkTimings {
  /** Bound of the first wait before connecting again. */
  readonly backoffMs: number;
  /** No wait is longer. */
  readonly backoffCapMs: number;
  /** Between two syncs of an idle connection; up to a tenth is added at random. */
  readonly resyncMs: number;
  /** From a proof of a later revision until its changes are asked for: they may be on their way. */
  readonly aheadMs: number;
  /** The time that a revision below the own must last before it is reported. */
  readonly belowMs: number;
  /** Bound of the first wait between two times of asking for everything in vain, or for flags that stay stale. */
  readonly patienceMs: number;
  /** No such wait is longer, but for a quarter at random. */
  readonly patienceCapMs: number;
  /** Between two looks at whether flags have gone stale. */
  readonly staleCheckMs: number;
  /** Until a database that could not be written is tried again. */
  readonly storeRetryMs: number;
  /** That a measurement may wait until its write begins; with the write itself it is to be less than a second. */
  readonly metricsWriteMs: number;
  /** Over which evaluations are counted together, and between two sendings; up to a tenth is added at random. */
  readonly metricsIntervalMs: number;
  /** Between two heartbeats; up to a tenth is added at random. */
  readonly heartbeatMs: number;
  /** The longest, at random, between a connection or a persisted revision and the heartbeat that tells of it. */
  readonly heartbeatSpreadMs: number;
  /** Between two looks at a file of flags. */
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
  patienceMs: 60_000,
  patienceCapMs: 3_600_000,
  staleCheckMs: 1000,
  storeRetryMs: 5000,
  metricsWriteMs: 750,
  metricsIntervalMs: 60_000,
  heartbeatMs: 60_000,
  heartbeatSpreadMs: 5_000,
  flagsFileMs: 200,
};

export interface FleetFlagAgentOptions {
  /** The gateway's websocket: `ws://host:4000/graphql`. Needed, as the next two are, unless there is a `flagsFile`. */
  readonly url?: string;
  readonly tokenFile?: string;
  readonly databaseFile?: string;
  /**
   * A file of flags and overrides, for tests: alone, in the place of a control plane, or before what it says
   * (`allowOverrides`).
   */
  readonly flagsFile?: string | null;
  /** Whether `flagsFile` may stand beside `url`. */
  readonly allowOverrides?: boolean;
  /**
   * Whose VIN flags are evaluated for where there is no control plane; null: nobody's, whom no rollout and no whitelist
   * reaches.
   */
  readonly vin?: string | null;
  /**
   * The keys to trust; null: those kept from before, and at the very first contact those that the control plane serves.
   */
  readonly keys?: PinnedKeys | null;
  /** Certificates (PEM) of the only authorities that `wss://` trusts; null: those that Node.js brings along. */
  readonly ca?: string | null;
  /** `http://[user:password@]host:port` of a proxy for everything (HTTP CONNECT); null: none. */
  readonly proxy?: string | null;
  readonly vehicle?: VehicleFacts;
  readonly log?: Log;
  readonly timings?: Partial<AgentTimings>;
  /** Milliseconds since 1970. */
  readonly now?: () => number;
  /** Uniform in [0, 1). */
  readonly random?: () => number;
  readonly files?: FileSystem;
  /** Called after each write of the database, when there is more garbage than at any other time. */
  readonly afterWrite?: () => void;
  /** How many lines of the log could not be written, for the status. */
  readonly lostLogLines?: () => number;
}

/** The options with every default filled in. */
export type CompleteAgentOptions = Required<Omit<FleetFlagAgentOptions, 'timings'>> & {
  readonly timings: AgentTimings;
};

/** The facts as they count: without the blanks around them, and without those that are blanks alone. */
function enteredFacts({ model, swVersion, region }: VehicleFacts): VehicleFacts {
  return {
    model: enteredName(model) ?? undefined,
    swVersion: enteredName(swVersion) ?? undefined,
    region: enteredName(region) ?? undefined,
  };
}

/**
 * Fills in what `options` leave out; where a file of flags stands alone, `url`, `tokenFile` and `databaseFile` are
 * empty.
 *
 * @throws FleetFlagError BAD_USER_INPUT where they do not say where flags come from
 */
export function completeOptions(options: FleetFlagAgentOptions): CompleteAgentOptions {
  const { url, tokenFile, databaseFile, flagsFile = null, vin = null } = options;
  if (flagsFile === null && (url === undefined || tokenFile === undefined || databaseFile === undefined)) {
    throw badInput('url', 'An agent needs url, tokenFile and databaseFile, or a flagsFile alone.');
  }
  if (flagsFile !== null && url !== undefined && options.allowOverrides !== true) {
    throw badInput(
      'flagsFile',
      'A flagsFile beside a url would put values in the place of the control plane’s, kill switches too; set allowOverrides if that is meant.',
    );
  }
  if (vin !== null && !VIN_PATTERN.test(vin))
    throw badInput('vin', 'A VIN has 17 digits and capitals without I, O and Q.');
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
    ...options,
    ...(databaseFile !== undefined && { databaseFile: databasePlace(databaseFile) }),
    vehicle: enteredFacts(options.vehicle ?? {}),
    timings: { ...DEFAULT_TIMINGS, ...options.timings },
  };
}
