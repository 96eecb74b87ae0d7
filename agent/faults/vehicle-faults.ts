/**
 * The faults of a vehicle under its flags: what the agent itself sees, and what programs report to it. Each is kept on
 * disk until the control plane has it. Source: releases.md, "The health gate".
 */
import { withTimeout } from '../../core/async/timeout.ts';
import { faultMessage, type FaultKind, type FaultSeverity, type FlagFault } from '../../core/wire/vehicle/fault.ts';
import { activeFlags } from '../activation/active-flags.ts';
import type { EvaluatedFlag } from '../evaluate/flag-evaluator.ts';
import { DISK_WAIT_MS } from '../store/disk-wait.ts';
import type { Log } from '../log.ts';
import type { ReturnCause, VehicleIdentity, VehicleState } from '../state.ts';
import type { FileSystem } from '../store/files/durable-file.ts';
import type { AgeingClock } from '../trust/ageing-clock.ts';
import { FaultAdmission } from './fault-admission.ts';
import { FaultFile, type FaultFileContent } from './fault-file.ts';
import { FaultLog, type KeptFault } from './fault-log.ts';
import { readFaultMessage } from './fault-message.ts';
import { FaultWriter } from './fault-writer.ts';
import { FAULTY_STARTS } from './restart-watch.ts';
import { WatchedChanges } from './watched-changes.ts';

/** The options of a vehicle's faults. */
export interface VehicleFaultsOptions {
  /** The path of the vehicle's database, beside which the faults are stored. */
  readonly databaseFile: string;
  readonly files: FileSystem;
  readonly log: Log;
  readonly ageingClock: Pick<AgeingClock, 'seconds' | 'runningMs'>;
  /** The milliseconds until a failed write is retried. */
  readonly retryMs: number;
  /**
   * Called with each fault under a definition that may be active, and with the cause for which the flag has to go back
   * to its last known good; null for a fault that is no such cause.
   */
  readonly happened: (flagKey: string, revision: number, cause: ReturnCause | null) => void;
}

/** The status of a vehicle's faults. */
export interface FaultStatus {
  /** The number of faults that the control plane does not have yet. */
  readonly waiting: number;
  /** The number of faults since the start that were dropped for lack of room, or were refused. */
  readonly dropped: number;
  /** The newest faults, the newest first. `at` is the first time in ISO 8601, by the control plane's clock. */
  readonly latest: readonly (Omit<KeptFault, 'at'> & { readonly at: string })[];
}

/** The kind of the faults by which a flag goes back to its last known good, for each cause of a return. */
const CAUSE_KINDS = { fatal: 'reported_by_program', restarts: 'restarts' } as const satisfies Record<
  ReturnCause,
  FaultKind
>;
/** The beginning of the message of a fault of the kind `returned`. */
const HAS_GONE_BACK = /^This vehicle has gone back to revision \d+\./;
/** The most faults that the status shows. */
const SHOWN_FAULTS = 10;

/** Collects the faults of a vehicle, and keeps them until they are sent. */
export class VehicleFaults {
  readonly #options: VehicleFaultsOptions;
  readonly #log = new FaultLog((fault) => this.#isInRelease(fault));
  readonly #admission: FaultAdmission;
  readonly #watched = new WatchedChanges();
  readonly #file: FaultFile;
  readonly #writer: FaultWriter;
  #identity: VehicleIdentity | null = null;
  #state: VehicleState | null = null;
  #notify: () => void = () => undefined;

  constructor(options: VehicleFaultsOptions) {
    this.#options = options;
    const { databaseFile, files, log, ageingClock, retryMs } = options;
    this.#admission = new FaultAdmission({
      runningMs: () => ageingClock.runningMs,
      isInRelease: (fault) => this.#isInRelease(fault),
    });
    this.#file = new FaultFile(databaseFile, files, log);
    this.#writer = new FaultWriter({ file: this.#file, content: () => this.#content(), retryMs, log });
  }

  /**
   * Goes on from the file, for a vehicle whose state was loaded from disk, and counts this start. Resolves when that is
   * on disk, so that a program which fails at once is counted as well, or after two seconds where the disk does not
   * answer. Never rejects.
   *
   * @param waiting the keys of the flags whose changes waited for the end of the drive before this start
   */
  async load(state: VehicleState, waiting: readonly string[]): Promise<void> {
    this.#identity = state.identity;
    const stored = await this.#file.read();
    const { vin, environment } = state.identity;
    const own = stored?.vin === vin && stored.environment === environment ? stored : null;
    const before = this.#state;
    // The log and the admission must know of releases before the first fault, those of the file and of this start
    // included.
    this.#state = state;
    if (own !== null) this.#log.restore(own.faults);
    const seconds = this.#options.ageingClock.seconds();
    const hasOtherRevision = this.#watched.resume(own, state, waiting, seconds);
    this.#countStart(seconds);
    const hasChanged = hasOtherRevision || this.#watched.changes.length > 0;
    this.#noteUnserved(before, state);
    await withTimeout(DISK_WAIT_MS, 'The faults are not on disk yet.', () => this.#writer.save(hasChanged)).catch(
      () => undefined,
    );
  }

  #countStart(seconds: number): void {
    const faulty = this.#watched.countStart(seconds);
    for (const { flagKey, revision } of faulty)
      this.add({
        flagKey,
        revision,
        kind: 'restarts',
        message: `The agent has started ${FAULTY_STARTS} times within ten minutes of this change.`,
      });
    for (const { flagKey, revision } of faulty) this.#options.happened(flagKey, revision, 'restarts');
  }

  /** Follows a new state that has taken effect. */
  replaced(next: VehicleState): void {
    const before = this.#state;
    this.#identity = next.identity;
    const hasChanged = this.#watched.follow(before, next, this.#options.ageingClock.seconds());
    this.#noteUnserved(before, next);
    this.#state = next;
    this.#writer.saveSoon(hasChanged);
  }

  /** Adds a fault for each held definition that cannot be served, and that the vehicle did not hold before. */
  #noteUnserved(before: VehicleState | null, next: VehicleState): void {
    for (const [flagKey, { held }] of next.flags) {
      if (held.fault === null || before?.flags.get(flagKey)?.held.jws === held.jws) continue;
      const kind = held.outsideContract ? 'outside_contract' : 'not_servable';
      const fault = { flagKey, revision: held.revision, kind, message: held.fault } as const;
      // At each start the same definitions are read again.
      if (!this.#log.has(fault)) this.add(fault);
    }
  }

  /**
   * Adds a fault that a program reports about a flag.
   *
   * @param evaluated the flag's present evaluation, which names the definition
   * @throws FleetFlagError BAD_USER_INPUT for a message that is blank or no text
   */
  report({ definition, evaluation }: EvaluatedFlag, message: unknown, severity: FaultSeverity): void {
    const text = readFaultMessage(message);
    const [flagKey, { revision }] = [definition.key, evaluation];
    this.add({ flagKey, revision, kind: 'reported_by_program', message: text });
    this.#options.happened(flagKey, revision, severity === 'fatal' ? 'fatal' : null);
  }

  /**
   * Adds the fault of a flag that has gone back to its last known good, with the message of the one that has caused it.
   */
  returned(flagKey: string, revision: number, goodRevision: number, cause: ReturnCause): void {
    const kind = CAUSE_KINDS[cause];
    const why = this.#log.faults.find(
      (kept) => kept.flagKey === flagKey && kept.revision === revision && kept.kind === kind,
    );
    const message = `This vehicle has gone back to revision ${goodRevision}. ${why?.message ?? ''}`;
    this.add({ flagKey, revision, kind: 'returned', message });
  }

  /**
   * Adds the fault of an evaluation that has ended in an error. Never throws; it is called while flags are evaluated.
   */
  evaluationFailed({ definition, evaluation, local }: EvaluatedFlag, message: string): void {
    if (local === true) return;
    const [flagKey, { revision }] = [definition.key, evaluation];
    this.add({ flagKey, revision, kind: 'evaluation_error', message });
    this.#options.happened(flagKey, revision, null);
  }

  /** Adds a fault, or counts it where it is known. */
  add(fault: FlagFault): void {
    const isKnown = this.#log.has(fault);
    const message = faultMessage(fault.message);
    const about = `${fault.flagKey} at revision ${fault.revision}: ${message}`;
    const { log, ageingClock } = this.#options;
    const admission = isKnown ? 'admitted' : this.#admission.admit(fault);
    if (admission !== 'admitted') {
      // A flood must not fill the agent's log as well. The line names the first fault that is lost.
      if (admission === 'first-refusal')
        log('warn', `too many new faults within ten minutes; this one and further ones are only counted: ${about}`, {
          kind: fault.kind,
        });
      return;
    }
    this.#log.add({ ...fault, message }, ageingClock.seconds());
    if (isKnown) return;
    log('warn', `fault of ${about}`, { kind: fault.kind });
    this.#writer.saveSoon();
    this.#notify();
  }

  /** Whether a fault happened under the active definition of a flag that has a release under way. */
  #isInRelease({ flagKey, revision }: FlagFault): boolean {
    if (this.#state === null) return false;
    const served = activeFlags(this.#state).get(flagKey)?.served ?? null;
    return served?.revision === revision && (served.definition.release ?? null) !== null;
  }

  /** The faults that the control plane does not have yet, oldest first. */
  get waiting(): readonly KeptFault[] {
    return this.#log.waiting;
  }

  /** Records that the control plane has these faults. */
  sent(faults: readonly FlagFault[]): void {
    this.#log.sent(faults);
    this.#writer.saveSoon();
  }

  /**
   * Drops a fault that the control plane will never accept. One that does not know returns gets them in the messages of
   * the faults that have caused them.
   */
  discard(fault: FlagFault): void {
    const said = fault.kind === 'returned' ? HAS_GONE_BACK.exec(fault.message)?.[0] : undefined;
    if (said !== undefined)
      for (const kind of Object.values(CAUSE_KINDS))
        this.#log.amend({ ...fault, kind }, (message) => faultMessage(`${said} ${message}`));
    this.#log.discard(fault);
    this.#writer.saveSoon();
  }

  /** Calls `listener` for each new fault from now on, in place of the listener of before. */
  onNewFault(listener: () => void): void {
    this.#notify = listener;
  }

  /** Gives the status of the faults. */
  status(): FaultStatus {
    return {
      waiting: this.#log.waiting.length,
      dropped: this.#log.dropped + this.#admission.refused,
      latest: this.#log.faults
        .slice(-SHOWN_FAULTS)
        .reverse()
        .map((fault) => ({ ...fault, at: new Date(fault.at * 1_000).toISOString() })),
    };
  }

  /** Resolves when the faults so far are on disk, or their write has failed and will be retried. */
  written(): Promise<void> {
    return this.#writer.written();
  }

  /** Writes what is not on disk yet, with one attempt. */
  close(): Promise<void> {
    return this.#writer.close();
  }

  /** Gives the content of the file; null where there is none, or before a state names the vehicle. */
  #content(): FaultFileContent | null {
    if (this.#identity === null || this.#options.databaseFile === '') return null;
    const { vin, environment } = this.#identity;
    const { changes, seenRevision } = this.#watched;
    return { vin, environment, faults: this.#log.faults, changes, seenRevision };
  }
}
