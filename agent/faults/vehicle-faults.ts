/**
 * The faults of a vehicle under its flags: what the agent itself sees, and what programs report to it. Each is kept on
 * disk until the control plane has it. Source: releases.md, "The health gate".
 */
import { CoalescedRefresh } from '../../core/async/coalesce.ts';
import { unattended } from '../../core/last-handler/unattended.ts';
import {
  faultMessage,
  isCausedByPrograms,
  type FaultKind,
  type FaultSeverity,
  type FlagFault,
} from '../../core/wire/vehicle/fault.ts';
import { activeFlags } from '../activation/active-flags.ts';
import type { EvaluatedFlag } from '../evaluate/flag-evaluator.ts';
import { describeError, type Log } from '../log.ts';
import type { ReturnCause, VehicleIdentity, VehicleState } from '../state.ts';
import type { FileSystem } from '../store/files/durable-file.ts';
import type { AgeingClock } from '../trust/ageing-clock.ts';
import { watchedContent } from './watched-content.ts';
import { FaultFile } from './fault-file.ts';
import { FaultLog, MAX_KEPT_FAULTS, MAX_PROGRAM_FAULTS, type KeptFault } from './fault-log.ts';
import { readFaultMessage } from './fault-message.ts';
import { FAULTY_STARTS, withChange, withStart, type WatchedChange } from './restart-watch.ts';

/** The options of a vehicle's faults. */
export interface VehicleFaultsOptions {
  /** The path of the vehicle's database, beside which the faults are stored. */
  readonly databaseFile: string;
  readonly files: FileSystem;
  readonly log: Log;
  readonly ageingClock: Pick<AgeingClock, 'seconds' | 'runningMs'>;
  /** The milliseconds until a failed write is tried again. */
  readonly retryMs: number;
  /** Called with each fault under a definition that may be active, and the cause for which its flag has to go back. */
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

/** The kinds of the faults that take a flag back to its last known good. */
const CAUSE_KINDS = { fatal: 'reported_by_program', restarts: 'restarts' } as const satisfies Record<
  ReturnCause,
  FaultKind
>;
/** The beginning of the message of a return. */
const HAS_GONE_BACK = /^This vehicle has gone back to revision \d+\./;
/** The faults that the status shows. */
const SHOWN_FAULTS = 10;
/**
 * The time, in milliseconds, in which at most `MAX_KEPT_FAULTS` new faults are taken, so that flash does not wear out, and
 * of those that programs cause at most `MAX_PROGRAM_FAULTS`.
 */
const ADMISSION_MS = 600_000;

/** Gives what is counted of the new faults that come within `ADMISSION_MS` of a time. */
const admissionFrom = (fromMs: number) => ({
  fromMs,
  /** The faults that were taken, and those of them that programs have caused. */
  ...{ all: 0, ofPrograms: 0 },
  /** The flags of which one was taken although there was no room. */
  beyond: new Set<string>(),
  /** Whether the log has said that faults are only counted. */
  isRefusalLogged: false,
});

/** Collects, keeps and hands out the faults of a vehicle. */
export class VehicleFaults {
  readonly #options: VehicleFaultsOptions;
  readonly #log = new FaultLog((fault) => this.#isInRelease(fault));
  readonly #file: FaultFile;
  readonly #writes = new CoalescedRefresh(() => this.#write());
  #identity: VehicleIdentity | null = null;
  #state: VehicleState | null = null;
  #changes: readonly WatchedChange[] = [];
  #seenRevision = 0;
  #admission = admissionFrom(-Infinity);
  #refused = 0;
  #writeFault: string | null = null;
  #retry: NodeJS.Timeout | undefined;
  #isDirty = false;
  #saving: Promise<void> = Promise.resolve();
  #isClosed = false;
  #notify: () => void = () => undefined;

  constructor(options: VehicleFaultsOptions) {
    this.#options = options;
    this.#file = new FaultFile(options.databaseFile, options.files, options.log);
  }

  /**
   * Goes on from the file, for a vehicle whose state was loaded from disk, and counts this start. Resolves when that is
   * on disk, so that a program which fails at once is counted as well. Never rejects.
   *
   * @param waiting the keys of the flags whose changes waited for the end of the drive before this start
   */
  async load(state: VehicleState, waiting: readonly string[]): Promise<void> {
    this.#identity = state.identity;
    const stored = await this.#file.read();
    const { vin, environment } = state.identity;
    const isOwn = stored?.vin === vin && stored.environment === environment;
    const served = servedRevision(state);
    const before = this.#state;
    // The faults by which a release decides have room before others, those of the file and of this start, too.
    this.#state = state;
    if (isOwn) {
      this.#log.restore(stored.faults);
      this.#changes = stored.changes;
    }
    const seen = isOwn ? stored.seenRevision : served;
    const seconds = this.#options.ageingClock.seconds();
    // The agent may have ended before a change was written here, by the very fault that the change has caused.
    for (const [flagKey, { served }] of activeFlags(state)) {
      if (served === null) continue;
      const { revision } = served;
      const hasBegun = waiting.includes(flagKey) && !state.latches.has(flagKey) && !this.#watches(flagKey, revision);
      if (revision > seen || hasBegun) this.#changes = withChange(this.#changes, { flagKey, revision }, seconds);
    }
    this.#countStart(seconds);
    this.#isDirty ||= this.#changes.length > 0 || seen !== served;
    this.#seenRevision = Math.max(seen, served);
    this.#noteUnserved(before, state);
    if (this.#isDirty) this.#saveSoon();
    // A write that began for a fault of this start may be under way, after which nothing is left to write.
    await this.#saving;
  }

  #watches(flagKey: string, revision: number): boolean {
    return this.#changes.some((change) => change.flagKey === flagKey && change.revision === revision);
  }

  #countStart(seconds: number): void {
    const { changes, faulty } = withStart(this.#changes, seconds);
    this.#changes = changes;
    for (const { flagKey, revision } of faulty)
      this.add({
        flagKey,
        revision,
        kind: 'restarts',
        message: `The agent has started ${FAULTY_STARTS} times within ten minutes of this change.`,
      });
    for (const { flagKey, revision } of faulty) this.#options.happened(flagKey, revision, 'restarts');
  }

  /** Watches what changes with a new state that has taken effect. */
  replaced(next: VehicleState): void {
    const before = this.#state;
    this.#identity = next.identity;
    // The first set of a vehicle changes nothing.
    if (before !== null && before.lastSyncAt > 0) this.#watchChanges(before, next);
    const served = servedRevision(next);
    if (served > this.#seenRevision || before === null) this.#isDirty = true;
    this.#seenRevision = Math.max(this.#seenRevision, served);
    this.#noteUnserved(before, next);
    this.#state = next;
    if (this.#isDirty) this.#saveSoon();
  }

  #watchChanges(before: VehicleState, next: VehicleState): void {
    const seconds = this.#options.ageingClock.seconds();
    const active = activeFlags(before);
    for (const [flagKey, { served }] of activeFlags(next)) {
      const known = active.get(flagKey)?.served ?? null;
      if (served === null || served.id === known?.id) continue;
      if (known !== null && watchedContent(known.definition) === watchedContent(served.definition)) continue;
      this.#changes = withChange(this.#changes, { flagKey, revision: served.revision }, seconds);
      this.#isDirty = true;
    }
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

  /** Adds the fault of a flag that has gone back to its last known good, with the message of the one that has caused it. */
  returned(flagKey: string, revision: number, goodRevision: number, cause: ReturnCause): void {
    const kind = CAUSE_KINDS[cause];
    const why = this.#log.faults.find(
      (kept) => kept.flagKey === flagKey && kept.revision === revision && kept.kind === kind,
    );
    const message = `This vehicle has gone back to revision ${goodRevision}. ${why?.message ?? ''}`;
    this.add({ flagKey, revision, kind: 'returned', message });
  }

  /** Adds the fault of an evaluation that has ended in an error. Never throws; it is called while flags are evaluated. */
  evaluationFailed({ definition, evaluation, local }: EvaluatedFlag, message: string): void {
    if (local === true) return;
    const [flagKey, { revision }] = [definition.key, evaluation];
    this.add({ flagKey, revision, kind: 'evaluation_error', message });
    this.#options.happened(flagKey, revision, null);
  }

  /** Adds a fault, or counts it where it is known. */
  add(fault: FlagFault): void {
    const known = this.#log.has(fault);
    if (!known && !this.#admits(fault)) {
      this.#refused += 1;
      // A flood must not fill the log as well; what it names is the first that is lost.
      if (!this.#admission.isRefusalLogged)
        this.#options.log(
          'warn',
          `too many new faults within ten minutes; this one and further ones are only counted: ${fault.flagKey} at revision ${fault.revision}: ${faultMessage(fault.message)}`,
          { kind: fault.kind },
        );
      this.#admission.isRefusalLogged = true;
      return;
    }
    const message = faultMessage(fault.message);
    this.#log.add({ ...fault, message }, this.#options.ageingClock.seconds());
    if (known) return;
    this.#options.log('warn', `fault of ${fault.flagKey} at revision ${fault.revision}: ${message}`, {
      kind: fault.kind,
    });
    this.#saveSoon();
    this.#notify();
  }

  #admits(fault: FlagFault): boolean {
    const now = this.#options.ageingClock.runningMs;
    if (now - this.#admission.fromMs >= ADMISSION_MS) this.#admission = admissionFrom(now);
    const admission = this.#admission;
    const isOfProgram = isCausedByPrograms(fault.kind);
    if (admission.all < MAX_KEPT_FAULTS && !(isOfProgram && admission.ofPrograms >= MAX_PROGRAM_FAULTS)) {
      admission.all += 1;
      if (isOfProgram) admission.ofPrograms += 1;
      return true;
    }
    // The faults of other flags must not hide from a release the first one of its own flag.
    if (admission.beyond.has(fault.flagKey) || !this.#isInRelease(fault)) return false;
    admission.beyond.add(fault.flagKey);
    return true;
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
    this.#saveSoon();
  }

  /**
   * Drops a fault that the control plane will never accept. One that does not know returns gets them in the messages of the
   * faults that have caused them.
   */
  discard(fault: FlagFault): void {
    const said = fault.kind === 'returned' ? HAS_GONE_BACK.exec(fault.message)?.[0] : undefined;
    if (said !== undefined)
      for (const kind of Object.values(CAUSE_KINDS))
        this.#log.amend({ ...fault, kind }, (message) => faultMessage(`${said} ${message}`));
    this.#log.discard(fault);
    this.#saveSoon();
  }

  /** Calls `listener` for each new fault from now on, in place of the listener of before. */
  onNewFault(listener: () => void): void {
    this.#notify = listener;
  }

  /** Gives the status of the faults. */
  status(): FaultStatus {
    return {
      waiting: this.#log.waiting.length,
      dropped: this.#log.dropped + this.#refused,
      latest: this.#log.faults
        .slice(-SHOWN_FAULTS)
        .reverse()
        .map((fault) => ({ ...fault, at: new Date(fault.at * 1_000).toISOString() })),
    };
  }

  /** Resolves when the faults so far are on disk, or their write has failed and will be tried again. */
  written(): Promise<void> {
    return this.#saving;
  }

  #saveSoon(): void {
    this.#isDirty = true;
    this.#saving = this.#save();
    unattended(this.#saving, 'Writing the faults');
  }

  /** Resolves when the faults are on disk, or the write has failed and will be tried again. */
  async #save(): Promise<void> {
    if (this.#isDirty && !this.#isClosed) await this.#writes.refresh();
  }

  async #write(): Promise<void> {
    // Before a state names the vehicle, there is nothing to go on from.
    if (this.#identity === null || this.#options.databaseFile === '') return;
    clearTimeout(this.#retry);
    this.#isDirty = false;
    try {
      const { vin, environment } = this.#identity;
      const [faults, changes, seenRevision] = [this.#log.faults, this.#changes, this.#seenRevision];
      await this.#file.write({ vin, environment, faults, changes, seenRevision });
      this.#writeFault = null;
    } catch (error) {
      this.#isDirty = true;
      const fault = describeError(error);
      if (fault !== this.#writeFault) this.#options.log('error', `cannot write the faults; trying again: ${fault}`);
      this.#writeFault = fault;
      if (!this.#isClosed)
        this.#retry = setTimeout(
          () => unattended(this.#save(), 'Writing the faults again'),
          this.#options.retryMs,
        ).unref();
    }
  }

  /** Writes what is not on disk yet, with one attempt. */
  async close(): Promise<void> {
    this.#isClosed = true;
    await this.#writes.close();
    if (this.#isDirty) await this.#write();
    clearTimeout(this.#retry);
  }
}

/** Gives the highest revision of a served definition; 0 where none is served. */
function servedRevision(state: VehicleState): number {
  return Math.max(0, ...Array.from(activeFlags(state).values(), ({ served }) => served?.revision ?? 0));
}
