/**
 * The agent: FleetFlag in a vehicle. It loads its flags from disk, stays connected to the control plane, and evaluates
 * flags whether or not there is a connection.
 */
import { randomUUID } from 'node:crypto';
import type { VehicleStateReport } from '../../core/activation/drive.ts';
import { badInput } from '../../core/errors.ts';
import type { JsonValue } from '../../core/model.ts';
import type { FaultSeverity } from '../../core/wire/vehicle/fault.ts';
import { ChangeOver } from '../activation/change-over.ts';
import { AgentEvents, type FlagChange } from './agent-events.ts';
import { completeOptions, type CompleteAgentOptions, type FleetFlagAgentOptions } from './agent-options.ts';
import {
  evaluatedValue,
  evaluationDetails,
  type EvaluationDetails,
  type ValueType,
} from '../api/evaluation-details.ts';
import { composeStatus, type AgentStatus } from '../api/agent-status.ts';
import {
  FlagEvaluator,
  type EvaluatedFlag,
  type ProgramContext,
  type UncheckedContext,
} from '../evaluate/flag-evaluator.ts';
import { PresentFlags } from '../evaluate/present-flags.ts';
import { TypedValues } from '../evaluate/typed-values.ts';
import { agentBackups } from '../backup/agent-backups.ts';
import type { VehicleBackups } from '../backup/vehicle-backups.ts';
import { VehicleFaults } from '../faults/vehicle-faults.ts';
import { KnownFacts } from '../facts/known-facts.ts';
import { describeError } from '../log.ts';
import { LifetimeCounts } from '../telemetry/lifetime-counts.ts';
import { MetricQueue } from '../telemetry/metrics/metric-queue.ts';
import { EvaluationEvents } from '../telemetry/evaluation-events.ts';
import { MetricRecorder, type TrackOptions } from '../telemetry/metrics/metric-recorder.ts';
import { fileKindFault } from '../../core/files/regular-file.ts';
import { ProgramReports } from './program-reports.ts';
import { OwnVehicle } from './own-vehicle.ts';
import { AgentReadiness } from './agent-readiness.ts';
import { DatabaseLock, ownerName } from '../store/files/database-lock.ts';
import { VehicleStore } from '../store/vehicle-store.ts';
import { Backoff } from '../../core/async/backoff.ts';
import { runLinkTasks, syncMemory, type SyncMemory } from './link-tasks.ts';
import { GatewayConnection } from '../link/gateway-connection.ts';
import type { GatewayLink } from '../link/gateway-link.ts';
import { Route } from '../link/route.ts';
import { AgeingClock } from '../trust/ageing-clock.ts';
import { RefusalCounter, type Refusal } from '../trust/refusals.ts';
import { AGENT_VERSION } from '../version.ts';

/** Evaluates flags in a vehicle and keeps them up to date. */
export class FleetFlagAgent extends TypedValues {
  readonly #options: CompleteAgentOptions;
  readonly #evaluator: FlagEvaluator;
  readonly #flags: PresentFlags;
  readonly #store: VehicleStore;
  readonly #queue = new MetricQueue(randomUUID());
  readonly #changeOver: ChangeOver;
  readonly #recorder: MetricRecorder;
  readonly #ageingClock: AgeingClock;
  readonly #facts: KnownFacts;
  readonly #syncMemory: SyncMemory;
  readonly #reports: ProgramReports;
  readonly #vehicle: OwnVehicle;
  readonly #connection: GatewayConnection;
  readonly #refusals = new RefusalCounter();
  readonly #lifetime = new LifetimeCounts(() => ({
    refusals: this.#refusals.totals(),
    dropped: this.#queue.status().dropped,
  }));
  readonly #backups: VehicleBackups;
  readonly #faults: VehicleFaults;
  readonly #events: AgentEvents;
  readonly #evaluationEvents: EvaluationEvents | null;
  readonly #readiness = new AgentReadiness();
  #lock: DatabaseLock | null = null;
  #starting: Promise<void> = Promise.resolve();
  #inTouch = false;

  constructor(options: FleetFlagAgentOptions) {
    super();
    this.#options = completeOptions(options);
    const { timings, log, now, random, files, vehicle, afterWrite } = this.#options;
    this.#events = new AgentEvents(log);
    const { evaluationEvents } = this.#options;
    this.#evaluationEvents = evaluationEvents === null ? null : new EvaluationEvents(evaluationEvents, now, log);
    this.#ageingClock = new AgeingClock(now);
    this.#syncMemory = syncMemory(this.#options, this.#ageingClock);
    this.#facts = new KnownFacts(vehicle);
    this.#evaluator = new FlagEvaluator(vehicle, this.#ageingClock);
    this.#store = new VehicleStore({
      ...{ path: this.#options.databaseFile, files, log, now, random, afterWrite },
      refuse: this.#refuse,
      variantOf: (flag, state) => this.#evaluator.storedVariant(flag, state),
      agentVersion: AGENT_VERSION,
      retryMs: timings.storeRetryMs,
      ...{ queue: this.#queue, facts: this.#facts, lifetime: this.#lifetime },
      drive: () => this.#changeOver.kept,
      knownGood: () => this.#changeOver.knownGood,
      ageingClock: this.#ageingClock,
    });
    this.#flags = new PresentFlags({
      ...{ evaluator: this.#evaluator, facts: this.#facts, events: this.#events, log, now },
      saveFacts: () => this.#store.saveFacts(),
    });
    this.#changeOver = new ChangeOver({
      store: this.#store,
      flags: this.#flags,
      activated: (state) => this.#faults.replaced(state),
      returned: (...about) => this.#faults.returned(...about),
      ...{ keys: () => this.#vehicle.keys, now, ageingClock: this.#ageingClock, log },
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
    this.#backups = agentBackups({
      ...{
        options: this.#options,
        flags: this.#flags,
        store: this.#store,
        queue: this.#queue,
        lifetime: this.#lifetime,
      },
      keys: () => this.#vehicle.keys!,
      ageingClock: this.#ageingClock,
      refuse: this.#refuse,
    });
    const route = new Route(this.#options);
    this.#faults = new VehicleFaults({
      ...{ databaseFile: this.#options.databaseFile, files, log, ageingClock: this.#ageingClock },
      retryMs: timings.storeRetryMs,
      happened: (...about) => this.#changeOver.fault(...about),
    });
    this.#reports = new ProgramReports({
      ...{ evaluator: this.#evaluator, flags: this.#flags, recorder: this.#recorder, faults: this.#faults },
      ...{ changeOver: this.#changeOver, readiness: this.#readiness },
    });
    this.#vehicle = new OwnVehicle({
      ...{ options: this.#options, store: this.#store, flags: this.#flags, faults: this.#faults },
      ...{ changeOver: this.#changeOver, route },
    });
    this.#connection = new GatewayConnection({
      ...{ url: this.#options.url, route, timings, random, log, now },
      backoff: new Backoff({ baseMs: timings.backoffMs, capMs: timings.backoffCapMs, random }),
      stableMs: timings.backoffMs * 5,
      credential: this.#vehicle.credential,
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
  start(): Promise<void> {
    return (this.#starting = this.#start());
  }

  async #start(): Promise<void> {
    const { databaseFile, flagsFile, log, timings, url, vin } = this.#options;
    this.#readiness.refuseClosed();
    if (flagsFile !== null) await this.#flags.followFile(flagsFile, vin, timings.flagsFileMs);
    this.#readiness.refuseClosed();
    if (url === '') {
      // Without a control plane, the agent counts as in touch.
      this.#setInTouch(true);
      return this.#readiness.begin();
    }
    const fault = await fileKindFault(databaseFile);
    if (fault !== null) throw badInput('databaseFile', fault);
    const identity = await this.#vehicle.readIdentity();
    this.#readiness.refuseClosed();
    this.#lock = await DatabaseLock.take(databaseFile, ownerName(identity), log);
    this.#readiness.refuseClosed();
    if (await this.#vehicle.load(identity)) this.#readiness.begin();
    this.#readiness.refuseClosed();
    this.#connection.start();
  }

  /**
   * Closes the connection, writes everything that was applied, and closes the database. From now on there are no flags,
   * because a closed agent would not hear of a kill switch. A start that is under way rejects.
   */
  async close(): Promise<void> {
    this.#readiness.end();
    this.#events.closed();
    // What a start acquires after this would stay acquired.
    await this.#starting.catch(() => undefined);
    await this.#flags.close();
    await this.#connection.close();
    this.#recorder.close();
    await this.#faults.close();
    await this.#changeOver.close();
    await this.#store.close();
    await this.#lock?.release();
    this.#lock = null;
    this.#events.end();
  }

  /** Resolves when flags can be evaluated: they are loaded from disk, or the first sync is done. */
  ready(): Promise<void> {
    return this.#readiness.begun;
  }

  /** Whether flags can be evaluated. They cannot before they are loaded or synced, nor after `close()`. */
  get isReady(): boolean {
    return this.#readiness.isReady;
  }

  /** Evaluates a flag of any type; undefined where there is no such flag, or the agent is closed. Never throws. */
  evaluate(key: string, context?: UncheckedContext | null): EvaluatedFlag | undefined {
    const evaluated = this.#counted(key, context);
    this.#evaluationEvents?.evaluated(key, evaluated, this.#readiness.isReady ? null : 'PROVIDER_NOT_READY');
    return evaluated;
  }

  #counted(key: string, context: UncheckedContext | null | undefined): EvaluatedFlag | undefined {
    if (this.#readiness.hasEnded) return undefined;
    const evaluated = this.#evaluator.evaluate(key, context);
    if (evaluated !== undefined) this.#reports.evaluated(evaluated);
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
    this.#reports.track(metric, value, options);
  }

  /**
   * Reports that something is wrong under a flag's present definition. The control plane has it within 5 s where there
   * is a connection, and otherwise when there is one. Each flag, definition and kind of fault is reported once.
   *
   * @param message the fault in words; its first 300 characters count, in one line
   * @param severity `fatal` takes the flag back to its last known good in this vehicle, by its `killActivation`
   * @throws FleetFlagError BAD_USER_INPUT for a message that is blank or no text and for another severity, NOT_FOUND
   *   where there is no such flag, SERVICE_UNAVAILABLE while the agent is not ready and after it was closed
   */
  reportFault(flagKey: string, message: string, severity: FaultSeverity = 'error'): void {
    this.#reports.fault(flagKey, message, severity);
  }

  /** Resolves when reported faults, and the returns that they cause, are on disk, or the write will be tried again. */
  faultsWritten(): Promise<void> {
    return this.#reports.faultsWritten();
  }

  /**
   * Reports the state of the vehicle, by which flags with an activation change over. Resolves when it is on disk, and
   * the flags have changed over.
   *
   * @param state whether the ignition is on and the vehicle moves, and for how many seconds that may count
   * @throws FleetFlagError BAD_USER_INPUT for an invalid member, SERVICE_UNAVAILABLE after the agent was closed
   */
  setVehicleState(state: VehicleStateReport): Promise<void> {
    return this.#reports.vehicleState(state);
  }

  /**
   * Reports as a fault that an evaluation has ended in an error. The values and details of this class do so by
   * themselves; a provider that checks types itself calls it. Never throws.
   *
   * @param evaluated the evaluation; undefined where there is no such flag, which is no fault of a flag
   * @param message the fault in words; undefined for none
   */
  evaluationFailed(evaluated: EvaluatedFlag | undefined, message: string | undefined): void {
    if (evaluated !== undefined && message !== undefined && this.#readiness.isReady)
      this.#faults.evaluationFailed(evaluated, message);
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
    return this.#readiness.hasEnded;
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
      keys: this.#vehicle.keys,
      isReady: this.#readiness.isReady,
      connection: this.#connection,
      store: this.#store.status(),
      localFlags: this.#flags.fileStatus(),
      changeOver: this.#changeOver,
      staleFlags: this.#evaluator.staleKeys().length,
      flagCount: this.#evaluator.keys().length,
      facts: this.#facts,
      ageingClock: this.#ageingClock,
      metrics: this.#queue.status(),
      refusals: this.#refusals.totals(),
      droppedEvaluationEvents: this.#evaluationEvents?.dropped ?? 0,
      lifetime: this.#lifetime.totals(),
      faults: this.#faults.status(),
    });
  }

  protected valueOf<T extends JsonValue>(key: string, type: ValueType, defaultValue: T, context?: ProgramContext): T {
    if (this.#evaluationEvents !== null) return this.detailsOf(key, type, defaultValue, context).value;
    const evaluated = this.#counted(key, context);
    // The details say what is wrong.
    if (evaluated !== undefined && evaluated.definition.type !== type)
      this.evaluationFailed(evaluated, evaluationDetails(key, type, defaultValue, evaluated, true).errorMessage);
    return evaluatedValue(type, defaultValue, evaluated, this.#readiness.isReady);
  }

  protected detailsOf<T extends JsonValue>(
    key: string,
    type: ValueType,
    defaultValue: T,
    context?: ProgramContext,
  ): EvaluationDetails<T> {
    const evaluated = this.#counted(key, context);
    const details = evaluationDetails(key, type, defaultValue, evaluated, this.#readiness.isReady);
    this.evaluationFailed(evaluated, details.errorMessage);
    this.#evaluationEvents?.evaluated(key, evaluated, details.errorCode ?? null);
    return details;
  }

  readonly #refuse = (refusal: Refusal): void => {
    this.#refusals.add(refusal);
    this.#options.log('error', describeError(refusal), { reason: refusal.reason });
  };

  readonly #useLink = async (link: GatewayLink): Promise<void> => {
    await runLinkTasks(link, {
      options: this.#options,
      flags: this.#flags,
      keys: this.#vehicle.keys!,
      store: this.#store,
      changeOver: this.#changeOver,
      queue: this.#queue,
      recorder: this.#recorder,
      facts: this.#facts,
      ageingClock: this.#ageingClock,
      ...this.#syncMemory,
      backups: this.#backups,
      faults: this.#faults,
      refusals: this.#refusals,
      refuse: this.#refuse,
      synced: () => this.#readiness.begin(),
      touched: (inTouch) => this.#setInTouch(inTouch),
    });
    this.#setInTouch(false);
  };

  #setInTouch(inTouch: boolean): void {
    if (this.#inTouch === inTouch) return;
    this.#inTouch = inTouch;
    this.#events.contact(inTouch);
  }
}
