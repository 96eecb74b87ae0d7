/**
 * The agent: FleetFlag in a vehicle. It loads its flags from disk, stays connected to the control plane, and evaluates
 * flags whether or not there is a connection.
 */
import { randomUUID } from 'node:crypto';
import { FleetFlagError, badInput } from '../core/errors.ts';
import { membersOf } from '../core/json/json-value.ts';
import type { JsonValue } from '../core/model.ts';
import { AgentEvents, type FlagChange } from './agent-events.ts';
import { completeOptions, type CompleteAgentOptions, type FleetFlagAgentOptions } from './agent-options.ts';
import {
  NOT_READY_MESSAGE,
  evaluatedValue,
  evaluationDetails,
  type EvaluationDetails,
  type ValueType,
} from './api/evaluation-details.ts';
import { composeStatus, type AgentStatus } from './api/agent-status.ts';
import {
  FlagEvaluator,
  type EvaluatedFlag,
  type ProgramContext,
  type UncheckedContext,
} from './evaluate/flag-evaluator.ts';
import { PresentFlags } from './evaluate/present-flags.ts';
import { KnownFacts } from './facts/known-facts.ts';
import { describeError } from './log.ts';
import { MetricQueue } from './telemetry/metrics/metric-queue.ts';
import { MetricRecorder, checkMeasurement, type TrackOptions } from './telemetry/metrics/metric-recorder.ts';
import { fileKindFault } from '../core/files/regular-file.ts';
import type { VehicleIdentity } from './state.ts';
import { DatabaseLock, ownerName } from './store/files/database-lock.ts';
import { VehicleStore } from './store/vehicle-store.ts';
import { Backoff } from '../core/async/backoff.ts';
import { rareBackoff, runLinkTasks } from './link-tasks.ts';
import { GatewayConnection } from './link/gateway-connection.ts';
import type { GatewayLink } from './link/gateway-link.ts';
import { Route } from './link/route.ts';
import { SyncHistory } from './sync/sync-history.ts';
import { readVehicleCredential, type VehicleCredential } from './link/vehicle-credential.ts';
import { AgeingClock } from './trust/ageing-clock.ts';
import { Freshness } from './trust/freshness.ts';
import { fetchPinnedKeys, keySetAddress, type PinnedKeys } from './trust/pinned-keys.ts';
import { RefusalCounter, type Refusal } from './trust/refusals.ts';
import { AGENT_VERSION } from './version.ts';

/** Evaluates flags in a vehicle and keeps them up to date. */
export class FleetFlagAgent {
  readonly #options: CompleteAgentOptions;
  readonly #evaluator: FlagEvaluator;
  readonly #flags: PresentFlags;
  readonly #store: VehicleStore;
  readonly #queue = new MetricQueue(randomUUID());
  readonly #recorder: MetricRecorder;
  readonly #route: Route;
  readonly #ageingClock: AgeingClock;
  readonly #facts: KnownFacts;
  readonly #freshness: Freshness;
  readonly #history: SyncHistory;
  readonly #connection: GatewayConnection;
  readonly #refusals = new RefusalCounter();
  readonly #events: AgentEvents;
  readonly #ready: Promise<void>;
  #becomeReady!: () => void;
  #isReady = false;
  #lock: DatabaseLock | null = null;
  #isClosed = false;
  #inTouch = false;
  #keys: PinnedKeys | null;

  constructor(options: FleetFlagAgentOptions) {
    this.#options = completeOptions(options);
    const { timings, log, now, random, files, vehicle, afterWrite } = this.#options;
    this.#events = new AgentEvents(log);
    this.#keys = this.#options.keys;
    this.#ready = new Promise((resolve) => (this.#becomeReady = resolve));
    this.#ageingClock = new AgeingClock(now);
    this.#freshness = new Freshness({ clock: this.#ageingClock, random, unanswered: rareBackoff(this.#options) });
    this.#history = new SyncHistory({
      backoff: rareBackoff(this.#options),
      newLinkMs: timings.rareBackoffMs,
      belowMs: timings.belowMs,
      runningMs: () => this.#ageingClock.runningMs,
    });
    this.#facts = new KnownFacts(vehicle);
    this.#evaluator = new FlagEvaluator(vehicle, this.#ageingClock);
    this.#store = new VehicleStore({
      path: this.#options.databaseFile,
      files,
      log,
      now,
      refuse: this.#refuse,
      random,
      variantOf: (flag, vin) => this.#evaluator.storedVariant(flag, vin),
      agentVersion: AGENT_VERSION,
      retryMs: timings.storeRetryMs,
      afterWrite,
      queue: this.#queue,
      facts: this.#facts,
      ageingClock: this.#ageingClock,
    });
    this.#flags = new PresentFlags({
      evaluator: this.#evaluator,
      facts: this.#facts,
      events: this.#events,
      log,
      now,
      saveFacts: () => this.#store.saveFacts(),
    });
    this.#recorder = new MetricRecorder({
      queue: this.#queue,
      // No measurement can be older than the newest proof. That bounds its time where the clock starts in 1970.
      now: () => Math.max(now(), this.#flags.lastContactSeconds * 1000),
      writeMs: timings.metricsWriteMs,
      // While there is a connection, the sender flushes first, so that counts are written once, with their batch.
      intervalMs: timings.metricsIntervalMs * 1.2,
      save: () => this.#store.saveQueue(),
    });
    this.#route = new Route(this.#options);
    this.#connection = new GatewayConnection({
      url: this.#options.url,
      route: this.#route,
      timings,
      backoff: new Backoff({ baseMs: timings.backoffMs, capMs: timings.backoffCapMs, random }),
      random,
      stableMs: timings.backoffMs * 5,
      log,
      now,
      credential: this.#credential,
      use: this.#useLink,
    });
  }

  /**
   * Loads the database and begins to connect. Resolves when loading is done, whether or not there were flags to load;
   * see `ready()`. A damaged database or a missing network does not make it reject.
   *
   * @throws FleetFlagError CONFLICT where another agent has the database, because each would overwrite the other's
   *   measurements; BAD_USER_INPUT where the file of flags has faults or the database is not a regular file;
   *   SERVICE_UNAVAILABLE where the agent is closed
   */
  async start(): Promise<void> {
    const { databaseFile, flagsFile, log, timings, tokenFile, url, vin } = this.#options;
    if (this.#isClosed) throw closed();
    if (flagsFile !== null) await this.#flags.followFile(flagsFile, vin, timings.flagsFileMs);
    if (url === '') {
      // Without a control plane, the agent counts as in touch.
      this.#setInTouch(true);
      return this.#setReady();
    }
    const fault = await fileKindFault(databaseFile);
    if (fault !== null) throw badInput('databaseFile', fault);
    const identity = await readVehicleCredential(tokenFile).then(
      ({ identity, openFault }) => {
        if (openFault !== null) log('warn', `vehicle token file: ${openFault}`);
        return identity;
      },
      (error: unknown) => {
        log('error', `cannot read the vehicle token: ${describeError(error)}`);
        return null;
      },
    );
    this.#lock = await DatabaseLock.take(databaseFile, ownerName(identity), log);
    const loaded = await this.#store.load(identity, this.#keys);
    if (loaded !== null) {
      this.#keys = loaded.keys;
      this.#flags.replace(loaded.state);
      if (loaded.state.lastSyncAt > 0) this.#setReady();
    }
    this.#connection.start();
  }

  /**
   * Closes the connection, writes everything that was applied, and closes the database. From now on there are no flags,
   * because a closed agent would not hear of a kill switch.
   */
  async close(): Promise<void> {
    this.#isReady = false;
    this.#isClosed = true;
    this.#events.closed();
    await this.#flags.close();
    await this.#connection.close();
    this.#recorder.close();
    await this.#store.close();
    await this.#lock?.release();
    this.#lock = null;
    this.#events.end();
  }

  /** Resolves when flags can be evaluated: they are loaded from disk, or the first sync is done. */
  ready(): Promise<void> {
    return this.#ready;
  }

  /** Whether flags can be evaluated. They cannot before they are loaded or synced, nor after `close()`. */
  get isReady(): boolean {
    return this.#isReady;
  }

  /** Gives the value of a boolean flag, or `defaultValue` where there is no such flag. Never throws. */
  booleanValue(key: string, defaultValue: boolean, context?: ProgramContext): boolean {
    return this.#value(key, 'boolean', defaultValue, context);
  }

  /** Gives the value of a string flag, or `defaultValue` where there is no such flag. Never throws. */
  stringValue(key: string, defaultValue: string, context?: ProgramContext): string {
    return this.#value(key, 'string', defaultValue, context);
  }

  /** Gives the value of a number flag, or `defaultValue` where there is no such flag. Never throws. */
  numberValue(key: string, defaultValue: number, context?: ProgramContext): number {
    return this.#value(key, 'number', defaultValue, context);
  }

  /** Gives the value of a JSON flag, or `defaultValue` where there is no such flag. Never throws. */
  jsonValue(key: string, defaultValue: JsonValue, context?: ProgramContext): JsonValue {
    return this.#value(key, 'json', defaultValue, context);
  }

  /**
   * Gives the value, variant and reason of a boolean flag. Where there is no such flag, or it is of another type, gives
   * `defaultValue` with an error code. Never throws.
   */
  booleanDetails(key: string, defaultValue: boolean, context?: ProgramContext): EvaluationDetails<boolean> {
    return this.#details(key, 'boolean', defaultValue, context);
  }

  /** Gives the details of a string flag, like `booleanDetails`. */
  stringDetails(key: string, defaultValue: string, context?: ProgramContext): EvaluationDetails<string> {
    return this.#details(key, 'string', defaultValue, context);
  }

  /** Gives the details of a number flag, like `booleanDetails`. */
  numberDetails(key: string, defaultValue: number, context?: ProgramContext): EvaluationDetails<number> {
    return this.#details(key, 'number', defaultValue, context);
  }

  /** Gives the details of a JSON flag, like `booleanDetails`. */
  jsonDetails(key: string, defaultValue: JsonValue, context?: ProgramContext): EvaluationDetails<JsonValue> {
    return this.#details(key, 'json', defaultValue, context);
  }

  /** Evaluates a flag of any type; undefined where there is no such flag, or the agent is closed. Never throws. */
  evaluate(key: string, context?: UncheckedContext | null): EvaluatedFlag | undefined {
    if (this.#isClosed) return undefined;
    const evaluated = this.#evaluator.evaluate(key, context);
    if (evaluated !== undefined && evaluated.local !== true) this.#recorder.count(evaluated);
    return evaluated;
  }

  /**
   * Records a measurement of a flag's effect, under the vehicle's variant. It is on disk within a second, and is sent
   * when there is a connection.
   *
   * @param metric the metric's name: 1 to 100 characters that do not begin with `$`
   * @param value a finite number
   * @throws FleetFlagError BAD_USER_INPUT for an invalid argument, NOT_FOUND where there is no such flag,
   *   SERVICE_UNAVAILABLE while the agent is not ready and after it was closed, because the measurement would be lost
   */
  track(metric: string, value: number, options: TrackOptions): void {
    // Programs in JavaScript may leave out arguments that TypeScript requires.
    if (typeof membersOf(options).flagKey !== 'string')
      throw badInput('flagKey', 'A measurement requires the flag that it is about: track(metric, value, { flagKey }).');
    if (this.#isClosed) throw closed();
    if (!this.#isReady) throw new FleetFlagError('SERVICE_UNAVAILABLE', NOT_READY_MESSAGE);
    const evaluated = this.#evaluator.evaluate(options.flagKey);
    if (evaluated?.local !== true) return this.#recorder.track(metric, value, options, evaluated);
    // It is checked, so that tests find faults, and dropped: it says nothing about the fleet.
    checkMeasurement(metric, value, options, evaluated);
  }

  /** Gives the keys of all flags, in order. */
  flagKeys(): string[] {
    return this.#evaluator.keys();
  }

  /**
   * Calls `listener` for each flag that changes from now on, when the change is persisted and evaluated. Returns a
   * function that removes the listener.
   */
  onChange(listener: (change: FlagChange) => void): () => void {
    return this.#events.onChange(listener);
  }

  /** Whether the vehicle holds the set that the control plane has just proved, over the present connection. */
  get inTouch(): boolean {
    return this.#inTouch;
  }

  /** Calls `listener` with `inTouch` whenever that changes. Returns a function that removes the listener. */
  onContact(listener: (inTouch: boolean) => void): () => void {
    return this.#events.onContact(listener);
  }

  /** Whether `close()` was called. */
  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** Calls `listener` when the agent is closed. Returns a function that removes the listener. */
  onClose(listener: () => void): () => void {
    return this.#events.onClose(listener);
  }

  /** Gives the agent's present status. */
  status(): AgentStatus {
    return composeStatus({
      options: this.#options,
      state: this.#flags.state,
      keys: this.#keys,
      isReady: this.#isReady,
      connection: this.#connection,
      store: this.#store.status(),
      localFlags: this.#flags.fileStatus(),
      flagCount: this.#evaluator.keys().length,
      facts: this.#facts,
      ageingClock: this.#ageingClock,
      metrics: this.#queue.status(),
      refusals: this.#refusals.totals(),
    });
  }

  #value<T extends JsonValue>(key: string, type: ValueType, defaultValue: T, context?: ProgramContext): T {
    return evaluatedValue(type, defaultValue, this.evaluate(key, context), this.#isReady);
  }

  #details<T extends JsonValue>(
    key: string,
    type: ValueType,
    defaultValue: T,
    context?: ProgramContext,
  ): EvaluationDetails<T> {
    return evaluationDetails(key, type, defaultValue, this.evaluate(key, context), this.#isReady);
  }

  readonly #refuse = (refusal: Refusal): void => {
    this.#refusals.add(refusal);
    this.#options.log('error', describeError(refusal), { reason: refusal.reason });
  };

  readonly #credential = async (): Promise<VehicleCredential> => {
    const credential = await readVehicleCredential(this.#options.tokenFile);
    const own: VehicleIdentity | undefined = this.#flags.state?.identity;
    const { identity } = credential;
    if (own !== undefined && (own.vin !== identity.vin || own.environment !== identity.environment)) {
      throw new Error(`the token is now for ${identity.vin} in ${identity.environment}; restart the agent to use it`);
    }
    if (own === undefined) {
      const loaded = await this.#store.load(identity, this.#keys);
      if (loaded !== null) {
        this.#keys = loaded.keys;
        this.#flags.replace(loaded.state);
      }
    }
    if (this.#keys === null) {
      const address = keySetAddress(this.#options.url);
      this.#keys = await fetchPinnedKeys(address, this.#options.timings.openMs, this.#route);
      const names = this.#keys.keys.map(({ kid }) => kid).join(', ');
      this.#options.log('warn', `no keys are pinned; trusting those that ${address} serves from now on: ${names}`);
    }
    return credential;
  };

  readonly #useLink = async (link: GatewayLink): Promise<void> => {
    await runLinkTasks(link, {
      options: this.#options,
      flags: this.#flags,
      keys: this.#keys!,
      store: this.#store,
      queue: this.#queue,
      recorder: this.#recorder,
      facts: this.#facts,
      ageingClock: this.#ageingClock,
      freshness: this.#freshness,
      history: this.#history,
      refusals: this.#refusals,
      refuse: this.#refuse,
      synced: () => this.#setReady(),
      touched: (inTouch) => this.#setInTouch(inTouch),
    });
    this.#setInTouch(false);
  };

  #setInTouch(inTouch: boolean): void {
    if (this.#inTouch === inTouch) return;
    this.#inTouch = inTouch;
    this.#events.contact(inTouch);
  }

  #setReady(): void {
    if (this.#isReady || this.#isClosed) return;
    this.#isReady = true;
    this.#becomeReady();
  }
}

function closed(): FleetFlagError {
  return new FleetFlagError('SERVICE_UNAVAILABLE', 'This agent has been closed; create a new one.');
}
