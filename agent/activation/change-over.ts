/**
 * Decides when the vehicle changes over: it follows the state of the vehicle, holds back changes during a drive, and
 * keeps what a drive holds on disk. Changes of the flags and of the vehicle's state take turns. Source: releases.md,
 * "Activation".
 */
import { killActivationOf } from '../../core/activation/activation.ts';
import {
  driveAfter,
  driveAtStart,
  driveUnknown,
  type Drive,
  type VehicleStateReport,
} from '../../core/activation/drive.ts';
import { withTimeout } from '../../core/async/timeout.ts';
import { unattended } from '../../core/last-handler/unattended.ts';
import { describeError } from '../log.ts';
import { NO_LATCHES, type GoodReturn, type HeldFlag, type Latches, type ReturnCause } from '../state.ts';
import type { VehicleState } from '../state.ts';
import { DISK_WAIT_MS } from '../store/disk-wait.ts';
import { storedLatches } from '../store/rows/activation-row.ts';
import type { LoadedState } from '../store/vehicle-store-options.ts';
import type { PinnedKeys } from '../trust/pinned-keys.ts';
import { pendingFlags } from './active-flags.ts';
import type { ChangeOverOptions, DriveStatus } from './change-over-options.ts';
import { latchesIn } from './latches.ts';
import type { DriveValues, KeptDrive } from './kept-drive.ts';
import { Standstills } from './standstills.ts';
import { WaitingFaults } from './waiting-faults.ts';
import { KnownGood, type KnownGoodCopy, type KnownGoodStatus } from './known-good.ts';

/**
 * The time, in milliseconds, after which a reported drive from before the start no longer outlives the next restart,
 * where nobody has reported anything since. The program that did is gone.
 */
const FORGOTTEN_AFTER_MS = 86_400_000;

/** A report, with the time at which it came by both clocks, in milliseconds. */
interface Received {
  readonly report: VehicleStateReport;
  readonly atMs: number;
  readonly runningAtMs: number;
}

/** Changes the vehicle over to new definitions, at once or at the end of the drive. */
export class ChangeOver {
  readonly #options: ChangeOverOptions;
  readonly #good: KnownGood;
  #drive: Drive = driveAtStart(null);
  /** The last report; null before the first, and after it has expired. */
  #received: Received | null = null;
  /** The time since which the vehicle is parked or in its drive, in milliseconds since 1970 by its clock. */
  #sinceMs: number;
  /** Settles when the task that was added last is done. The next one waits for that. */
  #turn: Promise<void> = Promise.resolve();
  /** The timer until the last report expires. */
  #expiry: NodeJS.Timeout | undefined;
  /** The timer until a reported drive from before the start no longer counts as reported. */
  #forgetting: NodeJS.Timeout | undefined;
  readonly #standstills = new Standstills();
  /** The timer of a standstill that begins later, because too many have begun; undefined for none. */
  #lateStandstill: NodeJS.Timeout | undefined;
  #isClosed = false;
  /** Whether a write has taken longer than `DISK_WAIT_MS`, and none has ended since. */
  #diskHangs = false;
  readonly #faults = new WaitingFaults();

  constructor(options: ChangeOverOptions) {
    this.#options = options;
    this.#sinceMs = options.now();
    this.#good = new KnownGood({
      contextOf: (vin) => options.flags.contextOf(vin),
      seconds: () => options.ageingClock.seconds(),
      runningMs: () => options.ageingClock.runningMs,
      log: options.log,
    });
  }

  /** The drive, as the store keeps it. */
  get kept(): KeptDrive {
    return { drive: this.#drive, values: this.#options.flags.drive };
  }

  /** The last known goods, as the store keeps them. */
  get knownGood(): KnownGoodCopy {
    return this.#good.kept;
  }

  /** Gives the status of the last known goods. */
  knownGoodStatus(): KnownGoodStatus {
    return this.#good.status(this.#options.flags.state);
  }

  status(): DriveStatus {
    this.#expireSoon();
    const { state } = this.#options.flags;
    const { ignition = null, moving = null } = this.#received?.report ?? {};
    return {
      ...{ ignition, moving, parked: this.#drive.isParked, reported: this.#drive.isReported },
      since: new Date(this.#sinceMs).toISOString(),
      pending: state === null ? [] : pendingFlags(state),
    };
  }

  /** Evaluates from a loaded state. A drive that was reported goes on; a restart has ended any other. */
  resume({ state: loaded, drive: kept, knownGood }: Pick<LoadedState, 'state' | 'drive' | 'knownGood'>): void {
    const { flags } = this.#options;
    const atStart = driveAtStart(kept?.drive ?? null);
    const goesOn = kept !== null && atStart === kept.drive && !this.#drive.isParked;
    if (!this.#drive.isReported) this.#drive = atStart;
    if (knownGood !== null) this.#good.resume(knownGood, goesOn);
    const state = { ...loaded, returns: this.#good.returnsIn(loaded) };
    const latched = goesOn ? state : { ...state, latches: NO_LATCHES };
    if (goesOn) flags.replace(latched, kept.values);
    else flags.replace(latched);
    if (!this.#drive.isParked && flags.drive === null) flags.replace(latched, flags.driveBeginningNow());
    this.#good.follow(latched);
    if (!goesOn && !this.#drive.isParked) this.#good.driveBegan(latched);
    if (!goesOn || this.#received !== null) return;
    this.#forgetting = setTimeout(
      () => this.#unattended(() => this.#become({ isParked: false, isReported: false })),
      FORGOTTEN_AFTER_MS,
    ).unref();
  }

  /**
   * Takes `next` as the state that the vehicle holds. Changes that may not be active yet wait.
   *
   * @param saved called when the state is on disk: before it is evaluated, unless the disk takes long
   */
  commit(next: VehicleState, keys: PinnedKeys, saved: () => void): Promise<void> {
    return this.#inTurn(async () => {
      const { store, flags, activated } = this.#options;
      // A flag may have gone back since the sync made `next` of the state of then. Only turns make returns.
      const { returns } = flags.state ?? next;
      const settled = { ...next, returns: this.#good.returnsIn({ ...next, returns }) };
      const latched = { ...settled, latches: this.#latchesFor(settled) };
      const isFirst = flags.state === null || flags.state.lastSyncAt === 0;
      if (flags.state !== null) this.#good.serve(flags.state, this.#drive.isReported);
      this.#good.follow(latched);
      // Nothing was there before the first sync, so that its flags serve from the beginning of the drive.
      if (isFirst && !this.#drive.isParked) this.#good.driveBegan(latched);
      this.#log(flags.state?.latches ?? NO_LATCHES, latched);
      const saving = store.save(latched, keys).then(saved);
      await this.#written(() => saving);
      flags.replace(latched);
      activated(latched);
    });
  }

  /** Takes a report of the vehicle's state. Resolves when it is on disk, and the vehicle has changed over. */
  report(report: VehicleStateReport): Promise<void> {
    return this.#inTurn(async () => {
      clearTimeout(this.#forgetting);
      clearTimeout(this.#expiry);
      this.#received = { report, atMs: this.#options.now(), runningAtMs: this.#options.ageingClock.runningMs };
      const { validForSeconds = null } = report;
      if (validForSeconds !== null && !this.#isClosed)
        this.#expiry = setTimeout(() => this.#expireSoon(), validForSeconds * 1_000 + 1).unref();
      const drive = driveAfter(report);
      if (!drive.isParked) this.#good.driven();
      await this.#follow(drive);
    });
  }

  /**
   * Changes over to a reported drive. One standstill too many counts as an unknown state until there is room for it.
   */
  async #follow(drive: Drive): Promise<void> {
    const { ageingClock, log } = this.#options;
    const waitMs = drive.isParked && !this.#drive.isParked ? this.#standstills.waitMs(ageingClock.runningMs) : 0;
    if (waitMs === 0) return this.#become(drive);
    if (this.#lateStandstill === undefined)
      log(
        'warn',
        `the vehicle is reported to be parked too often; the next time counts in ${Math.ceil(waitMs / 1_000)} s`,
      );
    clearTimeout(this.#lateStandstill);
    if (!this.#isClosed) this.#lateStandstill = setTimeout(() => this.#expireSoon(), waitMs).unref();
    await this.#become(driveUnknown(drive));
  }

  /**
   * Takes a fault of a flag under the definition of `revision`. Where that is active it has not proven itself, and a
   * fatal fault takes the flag back to its last known good, by the flag's `killActivation`. Never throws.
   *
   * @param cause the cause for which the flag goes back; null where the fault is not fatal
   */
  fault(flagKey: string, revision: number, cause: ReturnCause | null): void {
    const faulty = this.#faultyFlag(flagKey, revision);
    if (faulty === null) return;
    const changesStanding = this.#good.faulty(faulty, this.#drive.isReported);
    if (cause === null && !changesStanding) return;
    if (this.#faults.add({ flagKey, revision, cause, changesStanding })) this.#unattended(() => this.#takeFaults());
  }

  async #takeFaults(): Promise<void> {
    const { flags, keys } = this.#options;
    let writes = 0;
    for (const { flagKey, revision, cause, changesStanding } of this.#faults.take()) {
      const active = this.#faultyFlag(flagKey, revision);
      if (active === null || flags.state === null) continue;
      // A damaged file makes the next start go back by one generation, which must know of a return, too.
      if (cause !== null && this.#goBack(flags.state, active, cause)) writes = 2;
      else if (changesStanding) writes = Math.max(writes, 1);
    }
    const trusted = keys();
    for (; writes > 0 && flags.state !== null && trusted !== null; writes--)
      await this.#saveWhole(flags.state, trusted);
  }

  /** Gives a flag that is active by the definition of `revision`, and not on its way back to its last known good. */
  #faultyFlag(key: string, revision: number): HeldFlag | null {
    const { state } = this.#options.flags;
    if (state === null || state.returns.has(key)) return null;
    const flag = state.latches.has(key) ? state.latches.get(key) : state.flags.get(key);
    return flag == null || flag.from !== undefined || flag.served?.revision !== revision ? null : flag;
  }

  /** Resolves when all that has begun is done. */
  async settled(): Promise<void> {
    await this.#turn;
  }

  /** Takes a flag back to its last known good. Gives whether it has one to which it may go back. */
  #goBack(state: VehicleState, active: HeldFlag, cause: ReturnCause): boolean {
    const { flags, activated, returned, log } = this.#options;
    const { key, served } = active;
    const found = this.#good.returnOf(state, active, cause);
    const leftRevision = served?.revision ?? 0;
    if (typeof found === 'string') {
      this.#good.refused(key, leftRevision, found);
      return false;
    }
    const next = this.#withReturn(state, key, found);
    if (next === null) return false;
    const goodRevision = found.flag.served?.revision ?? 0;
    log('warn', `${key} goes back from revision ${leftRevision} to its last known good of revision ${goodRevision}`);
    flags.replace(next);
    activated(next);
    returned(key, leftRevision, goodRevision, cause);
    return true;
  }

  /** Gives the state after a return; null where it would only begin when other content is active anyway. */
  #withReturn(state: VehicleState, key: string, found: GoodReturn): VehicleState | null {
    if (state.latches.has(key)) {
      const { served } = found.flag;
      if (served === null || killActivationOf(served.definition) !== 'IMMEDIATE') return null;
      return { ...state, latches: new Map(state.latches).set(key, found.flag) };
    }
    const next = { ...state, returns: new Map(state.returns).set(key, found) };
    return { ...next, latches: this.#latchesFor(next) };
  }

  /** Stops waiting for reports to expire. Resolves when what has begun is done. */
  async close(): Promise<void> {
    this.#isClosed = true;
    clearTimeout(this.#expiry);
    clearTimeout(this.#forgetting);
    clearTimeout(this.#lateStandstill);
    await this.#turn;
  }

  /** Gives the latches of the flags of `next` that keep what is active now. */
  #latchesFor(next: VehicleState): Latches {
    const { state } = this.#options.flags;
    return this.#drive.isParked || state === null ? NO_LATCHES : latchesIn(state, next);
  }

  /** Logs each flag whose change begins to wait, and those that a restart in mid-drive would not find as they are. */
  #log(before: Latches, next: VehicleState): void {
    const { log } = this.#options;
    for (const { key, revision } of pendingFlags(next))
      if (!before.has(key)) log('info', `${key} of revision ${revision} waits for the end of the drive`);
    if (next.latches.size === 0) return;
    const { dropped } = storedLatches(next.latches);
    if (dropped.length > 0)
      log('warn', `there is no room on disk for the active definitions of ${dropped.join(', ')} beside the new ones`);
  }

  async #become(drive: Drive): Promise<void> {
    const { flags, activated, keys, now, log } = this.#options;
    const before = this.#drive;
    if (before.isParked === drive.isParked && before.isReported === drive.isReported) return;
    this.#drive = drive;
    if (drive.isParked && !before.isParked) {
      clearTimeout(this.#lateStandstill);
      this.#lateStandstill = undefined;
      this.#standstills.begins(this.#options.ageingClock.runningMs);
    }
    if (before.isParked !== drive.isParked) {
      this.#sinceMs = now();
      log('info', drive.isParked ? 'the vehicle is parked' : 'a drive has begun');
    }
    const { state } = flags;
    if (state === null) return;
    const trusted = keys();
    this.#good.serve(state, before.isReported);
    if (before.isParked && !drive.isParked) this.#good.driveBegan(state);
    if (!before.isParked && drive.isParked) this.#good.driveEnded(state);
    if (!drive.isParked) {
      // The values hold from now on, and not only from when they are on disk.
      const values: DriveValues = flags.drive ?? flags.driveBeginningNow();
      flags.replace(state, values);
      if (trusted === null) return;
      // A damaged file makes the next start go back by one generation, which must know of the drive, too.
      await this.#saveWhole(state, trusted);
      await this.#saveWhole(state, trusted);
      return;
    }
    const changed = { ...state, latches: NO_LATCHES };
    this.#good.follow(changed);
    if (trusted !== null) await this.#saveWhole(changed, trusted);
    flags.replace(changed, null);
    activated(changed);
  }

  async #saveWhole(state: VehicleState, keys: PinnedKeys): Promise<void> {
    await this.#written(() => this.#options.store.saveWhole(state, keys));
  }

  /**
   * Waits for a write, but not for long: a disk that does not answer must not keep a kill switch from taking effect.
   */
  async #written(write: () => Promise<unknown>): Promise<void> {
    try {
      // Turns that wait one after the other would add up: after the first, none waits until a write has ended.
      const waitMs = this.#diskHangs ? 0 : DISK_WAIT_MS;
      await withTimeout(waitMs, `the disk has not answered for ${DISK_WAIT_MS / 1_000} s`, async () => {
        await write();
        this.#diskHangs = false;
      });
    } catch (error) {
      if (!this.#diskHangs) this.#options.log('error', `${describeError(error)}; going on from memory`);
      this.#diskHangs = true;
    }
  }

  /**
   * Has a report that no longer counts expire, and one count that came too soon after others. A clock that was set
   * forward, or a sleep of the computer, counts.
   */
  async #expire(): Promise<void> {
    const { now, ageingClock } = this.#options;
    if (this.#received === null) return;
    const { report, atMs, runningAtMs } = this.#received;
    const passedMs = Math.max(now() - atMs, ageingClock.runningMs - runningAtMs);
    if (report.validForSeconds == null || passedMs < report.validForSeconds * 1_000)
      return this.#follow(driveAfter(report));
    this.#received = null;
    await this.#become(driveUnknown(this.#drive));
  }

  #expireSoon(): void {
    this.#unattended(() => Promise.resolve());
  }

  #unattended(task: () => Promise<void>): void {
    if (!this.#isClosed) unattended(this.#inTurn(task), 'Following the state of the vehicle');
  }

  /** Runs a task after those before it, and after what has expired by then. */
  #inTurn(task: () => Promise<void>): Promise<void> {
    const done = this.#turn.then(async () => {
      await this.#expire();
      await task();
    });
    this.#turn = done.catch(() => undefined);
    return done;
  }
}
