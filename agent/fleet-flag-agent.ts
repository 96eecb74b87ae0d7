/**
 * The agent: FleetFlag in a vehicle. It loads its flags from disk, stays connected to the control plane, and evaluates
 * flags whether or not there is a connection.
 */
import { randomUUID } from 'node:crypto';
import { FleetFlagError, badInput } from '../core/errors.ts';
import { membersOf } from '../core/json/json-value.ts';
import type { JsonValue } from '../core/model.ts';
import { validateMeasured, validateMetricName } from '../core/wire/metric.ts';
import { FACT_NAMES } from '../core/wire/vehicle-facts.ts';
import { AgentEvents, type FlagChange } from './agent-events.ts';
import { completeOptions, type CompleteAgentOptions, type FleetFlagAgentOptions } from './agent-options.ts';
import {
  NOT_READY_MESSAGE,
  evaluatedValue,
  evaluationDetails,
  type EvaluationDetails,
  type ValueType,
} from './api/evaluation-details.ts';
import type { AgentStatus } from './api/agent-status.ts';
import {
  FlagEvaluator,
  type EvaluatedFlag,
  type ProgramContext,
  type UncheckedContext,
} from './evaluate/flag-evaluator.ts';
import { FactsRefresher } from './facts/facts-refresher.ts';
import { KnownFacts, type VerifiedFacts } from './facts/known-facts.ts';
import { verifyFacts } from './facts/verify-facts.ts';
import { changedKeys, type LocalFlags } from './local-flags/local-flags.ts';
import type { FlagsFileReader } from './local-flags/flags-file-reader.ts';
import { HeartbeatSender } from './telemetry/heartbeat/heartbeat-sender.ts';
import { describeError } from './log.ts';
import { MetricQueue } from './telemetry/metrics/metric-queue.ts';
import { MetricRecorder, type TrackOptions } from './telemetry/metrics/metric-recorder.ts';
import { MetricSender } from './telemetry/metrics/metric-sender.ts';
import { fileKindFault } from '../core/files/regular-file.ts';
import { heldRevision, isStale, type VehicleIdentity, type VehicleState } from './state.ts';
import { DatabaseLock } from './store/files/database-lock.ts';
import { VehicleStore } from './store/vehicle-store.ts';
import { lastContact } from './sync/apply.ts';
import { Backoff } from '../core/async/backoff.ts';
import { GatewayConnection } from './link/gateway-connection.ts';
import type { GatewayLink } from './link/gateway-link.ts';
import { Route } from './link/route.ts';
import { SyncHistory } from './sync/sync-history.ts';
import { SyncSession } from './sync/sync-session.ts';
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
  #flagsFile: FlagsFileReader | null = null;
  #unfitOverrides: readonly string[] = [];
  #inTouch = false;
  #state: VehicleState | null = null;
  #keys: PinnedKeys | null;

  constructor(options: FleetFlagAgentOptions) {
    this.#options = completeOptions(options);
    const { timings, log, now, random, files, vehicle, afterWrite } = this.#options;
    this.#events = new AgentEvents(log);
    this.#keys = this.#options.keys;
    this.#ready = new Promise((resolve) => (this.#becomeReady = resolve));
    this.#ageingClock = new AgeingClock(now);
    this.#freshness = new Freshness({ clock: this.#ageingClock, random, unanswered: this.#patience() });
    this.#history = new SyncHistory({
      backoff: this.#patience(),
      newLinkMs: timings.patienceMs,
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
    this.#recorder = new MetricRecorder({
      queue: this.#queue,
      // No measurement can be older than the newest proof. That bounds its time where the clock starts in 1970.
      now: () => Math.max(now(), this.#lastContact() * 1000),
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
    const { databaseFile, log, tokenFile, url } = this.#options;
    if (this.#isClosed) throw closed();
    await this.#followFlagsFile();
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
      this.#become(loaded.state);
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
    await this.#flagsFile?.close();
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
    // A measurement of a local flag is checked, so that tests find faults, and dropped: it says nothing about the
    // fleet.
    validateMetricName(metric, 'metric');
    validateMeasured(
      {
        flagKey: options.flagKey,
        variant: evaluated.evaluation.variant,
        metricName: metric,
        value,
        tags: options.tags,
      },
      '',
    );
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
    const { bytes, persistedRevision, ...store } = this.#store.status();
    const state = this.#state;
    const seconds = this.#ageingClock.seconds();
    const flags = [...(state?.flags.values() ?? [])];
    const localFlags = this.#flagsFile?.status(this.#evaluator.unfitOverrides().map(({ key }) => key)) ?? null;
    return {
      version: AGENT_VERSION,
      vin: state?.identity.vin ?? this.#options.vin,
      environment: state?.identity.environment ?? null,
      ready: this.#isReady,
      connected: this.#connection.connected,
      connectionFault: this.#connection.fault,
      revision: persistedRevision,
      evaluatedRevision: state === null ? (localFlags?.revision ?? 0) : heldRevision(state),
      lastSyncAt: isoTime(state?.lastSyncAt),
      // Without flags, only the proof that there are none has an age.
      lastStatementAt: isoTime(flags.length === 0 ? state?.proof?.issuedAt : this.#lastContact()),
      proof: proofStatus(state),
      clockOffsetSeconds: this.#ageingClock.differenceSeconds,
      syncCount: state?.syncCount ?? 0,
      flags: localFlags === null ? flags.length : this.#evaluator.keys().length,
      staleFlags: flags.filter((flag) => isStale(flag, seconds)).length,
      unservedFlags: flags.filter(({ held }) => held.fault !== null).map(({ key }) => key),
      vehicle: {
        ...this.#facts.facts,
        registeredAt: isoTime(Math.floor((this.#facts.confirmedAt ?? 0) / 1000)),
        differences: this.#facts.differences(),
      },
      cacheBytes: bytes,
      metrics: this.#queue.status(),
      memoryBytes: process.memoryUsage.rss(),
      pinnedKeys: this.#keys?.keys.map(({ kid }) => kid) ?? [],
      refusals: this.#refusals.totals(),
      lostLogLines: this.#options.lostLogLines(),
      store,
      localFlags,
    };
  }

  /** Makes a backoff for requests that must stay rare. */
  #patience(): Backoff {
    const { timings, random } = this.#options;
    return new Backoff({ baseMs: timings.patienceMs, capMs: timings.patienceCapMs, random });
  }

  #lastContact(): number {
    return this.#state === null ? 0 : lastContact(this.#state);
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

  async #followFlagsFile(): Promise<void> {
    const { flagsFile, vin, log, timings } = this.#options;
    if (flagsFile === null) return;
    const { FlagsFileReader } = await import('./local-flags/flags-file-reader.ts');
    let before: LocalFlags | null = null;
    const use = (flags: LocalFlags) => {
      this.#evaluator.useLocal(flags, vin);
      this.#tellUnfitOverrides();
      for (const key of before === null ? [] : changedKeys(before, flags)) {
        const now = this.#evaluator.evaluate(key);
        this.#events.changed({ key, revision: now?.evaluation.revision ?? 0, removed: now === undefined });
      }
      before = flags;
    };
    this.#flagsFile = await FlagsFileReader.open({ path: flagsFile, log, use, lookMs: timings.flagsFileMs });
  }

  readonly #refuse = (refusal: Refusal): void => {
    this.#refusals.add(refusal);
    this.#options.log('error', describeError(refusal), { reason: refusal.reason });
  };

  readonly #credential = async (): Promise<VehicleCredential> => {
    const credential = await readVehicleCredential(this.#options.tokenFile);
    const own: VehicleIdentity | undefined = this.#state?.identity;
    const { identity } = credential;
    if (own !== undefined && (own.vin !== identity.vin || own.environment !== identity.environment)) {
      throw new Error(`the token is now for ${identity.vin} in ${identity.environment}; restart the agent to use it`);
    }
    if (own === undefined) {
      const loaded = await this.#store.load(identity, this.#keys);
      if (loaded !== null) {
        this.#keys = loaded.keys;
        this.#become(loaded.state);
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
    const { log, now, random, timings } = this.#options;
    const backoff = () => new Backoff({ baseMs: timings.backoffMs, capMs: timings.backoffCapMs, random });
    const sender = new MetricSender({
      link,
      queue: this.#queue,
      flush: () => this.#recorder.flush(),
      save: () => this.#store.saveQueue(),
      sendDelay: () => timings.metricsIntervalMs * (1 + random() / 10),
      backoff: backoff(),
      random,
      log,
    });
    const heartbeat = new HeartbeatSender({
      link,
      facts: () => {
        const { persistedRevision, bytes } = this.#store.status();
        const { swVersion } = this.#options.vehicle;
        const clockOffsetSeconds = this.#ageingClock.differenceSeconds;
        return {
          ...(swVersion !== undefined && { swVersion }),
          agentVersion: AGENT_VERSION,
          // A revision is reported only where a proof has named its set.
          ...(this.#state!.proof?.set != null && this.#state!.complete && { appliedRevision: persistedRevision }),
          cacheBytes: bytes,
          ...(clockOffsetSeconds !== null && { clockOffsetSeconds }),
          refusals: this.#refusals.totals(),
          complete: this.#state!.complete,
        };
      },
      environment: this.#state!.identity.environment,
      proof: (jws, askedAtMs) => session.prove(jws, askedAtMs),
      intervalMs: timings.heartbeatMs,
      spreadMs: timings.heartbeatSpreadMs,
      random,
      log,
    });
    const session = new SyncSession({
      link,
      keys: this.#keys!,
      log,
      now,
      ageingClock: this.#ageingClock,
      freshness: this.#freshness,
      history: this.#history,
      aheadMs: timings.aheadMs,
      staleCheckMs: timings.staleCheckMs,
      staleBackoff: this.#patience(),
      state: () => this.#state!,
      commit: async (next) => {
        await this.#store.save(next, this.#keys!);
        heartbeat.persisted();
        this.#become(next);
      },
      refuse: this.#refuse,
      synced: () => this.#setReady(),
      touched: (inTouch) => this.#setInTouch(inTouch),
      resyncDelay: () => timings.resyncMs * (1 + random() / 10),
      backoff: backoff(),
    });
    const facts = new FactsRefresher({
      link,
      urgent: () => this.#facts.unconfirmed,
      verify: (jws, nonce) => verifyFacts(jws, this.#state!.identity.vin, nonce, this.#keys!),
      learn: this.#learn,
      refuse: this.#refuse,
      intervalMs: () => timings.resyncMs * (1 + random() / 10),
      spreadMs: timings.heartbeatSpreadMs,
      random,
      log,
    });
    await Promise.all([session.run(), sender.run(), heartbeat.run(), facts.run()]);
    this.#setInTouch(false);
  };

  /** Evaluates by the registered facts from now on, and tells listeners which flags change by that. */
  readonly #learn = async (registered: VerifiedFacts): Promise<void> => {
    const known = this.#facts.registered?.facts;
    const before = this.#outcomes();
    this.#facts.learn(registered, this.#options.now());
    if (known !== undefined && FACT_NAMES.every((name) => known[name] === registered.facts[name])) return;
    for (const { fact, own, registered: there } of this.#facts.differences()) {
      this.#options.log(
        'warn',
        `${fact} is ${JSON.stringify(own)} in this vehicle's settings but ${JSON.stringify(there)} in the registry; using the settings`,
      );
    }
    await this.#store.saveFacts();
    this.#evaluator.useFacts(this.#facts.facts);
    for (const [key, { outcome, revision }] of this.#outcomes()) {
      if (before.get(key)?.outcome !== outcome) this.#events.changed({ key, revision, removed: false });
    }
  };

  /** Gives the result of each flag for a program that adds nothing to the vehicle's facts. */
  #outcomes(): Map<string, { readonly outcome: string; readonly revision: number }> {
    const evaluated = this.#evaluator.keys().map((key) => [key, this.#evaluator.evaluate(key)!.evaluation] as const);
    return new Map(
      evaluated.map(([key, evaluation]) => [
        key,
        { outcome: JSON.stringify([evaluation.value, evaluation.variant]), revision: evaluation.revision },
      ]),
    );
  }

  /** Evaluates from `next` from now on, and tells listeners which flags change by that. */
  #become(next: VehicleState): void {
    const before = this.#state;
    this.#state = next;
    this.#evaluator.useFacts(this.#facts.facts);
    this.#evaluator.replace(next);
    this.#tellUnfitOverrides();
    if (before === null) return;
    for (const [key, { served }] of next.flags) {
      if (served !== null && before.flags.get(key)?.served?.id !== served.id)
        this.#events.changed({ key, revision: served.revision, removed: false });
    }
    for (const [key, { served }] of before.flags) {
      if (served !== null && !next.flags.get(key)?.served)
        this.#events.changed({ key, revision: next.revision, removed: true });
    }
  }

  /** Logs each override that no longer fits its flag, because its author believes that it is in effect. */
  #tellUnfitOverrides(): void {
    const unfit = this.#evaluator.unfitOverrides().map(({ key, type }) => `${key} (${type})`);
    const news = unfit.filter((flag) => !this.#unfitOverrides.includes(flag));
    this.#unfitOverrides = unfit;
    if (news.length > 0)
      this.#options.log('error', `ignoring overrides whose type is not that of their flag: ${news.join(', ')}`);
  }

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

/** Gives the name that another agent sees when it finds this agent's database locked. */
function ownerName(identity: VehicleIdentity | null): string {
  const vehicle = identity === null ? '' : ` of ${identity.vin}`;
  return `the FleetFlag agent${vehicle} with process id ${process.pid}, started at ${new Date().toISOString()}`;
}

function proofStatus(state: VehicleState | null): AgentStatus['proof'] {
  const proof = state?.proof ?? null;
  return proof === null
    ? null
    : {
        revision: proof.revision,
        issuedAt: new Date(proof.issuedAt * 1000).toISOString(),
        set: proof.set,
        held: state!.complete,
      };
}

function isoTime(seconds: number | undefined): string | null {
  return seconds === undefined || seconds === 0 ? null : new Date(seconds * 1000).toISOString();
}
