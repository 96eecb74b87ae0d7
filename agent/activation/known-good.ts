/**
 * Knows which content of each flag has proven itself in this vehicle, and takes flags back to it. Source: releases.md,
 * "Last known good".
 */
import {
  afterFault,
  afterServing,
  atDriveEnd,
  atDriveStart,
  contentInVehicle,
  isStopped,
  returnRefusal,
  standingUnder,
  type ContentInVehicle,
  type ReturnRefusal,
  type ContentStanding,
} from '../../core/activation/last-known-good.ts';
import type { EvaluationContext, FlagDefinition } from '../../core/model.ts';
import type { Log } from '../log.ts';
import { NO_RETURNS, type GoodReturn, type GoodReturns, type HeldFlag, type ReturnCause } from '../state.ts';
import type { VehicleState } from '../state.ts';
import { haveRoom, storedKnownGood } from '../store/rows/known-good-row.ts';
import { boundPartition, isIn } from '../trust/binding.ts';
import { activeFlags } from './active-flags.ts';
import { returnedFlag, servedSignature } from './returned-flag.ts';

/** The standing of a flag in a vehicle. */
export type FlagStanding = ContentStanding<HeldFlag>;

/** The standings of flags, as a restart has to know them. */
export interface KnownGoodCopy {
  readonly standings: ReadonlyMap<string, FlagStanding>;
  /** Whether a program has said of the present drive that the vehicle is driven. */
  readonly isDriven: boolean;
}

/** The parts by which standings are kept. */
export interface KnownGoodOptions {
  /** Gives the context of a vehicle: its VIN and its own facts. */
  readonly contextOf: (vin: string) => EvaluationContext;
  /** The Unix seconds by the ageing clock. */
  readonly seconds: () => number;
  /** The monotonic clock, in milliseconds. */
  readonly runningMs: () => number;
  readonly log: Log;
}

/** The status of the last known goods. */
export interface KnownGoodStatus {
  /** The number of flags that have one. `flags` is the member of the status that counts all flags. */
  readonly kept: number;
  /** The keys of those for which there was no room. */
  readonly dropped: readonly string[];
  /** The flags that serve their last known good now, or will when the vehicle is parked. */
  readonly returned: readonly {
    readonly key: string;
    /** The revision of the last known good. */
    readonly revision: number;
    /** The revision that was left. */
    readonly leftRevision: number;
    readonly cause: ReturnCause;
    /** The time in ISO 8601, by the control plane's clock. */
    readonly at: string;
  }[];
}

const WHY_NOT: Readonly<Record<ReturnRefusal | 'NO_ROOM', string>> = {
  STOPPED: 'it is killed or disabled',
  NO_GOOD: 'there is none',
  SAME_CONTENT: 'this content is the last known good itself',
  OTHER_TYPE: 'that is of another type',
  BELOW: 'the control plane has ruled that out',
  TOO_OLD: 'that is past its TTL',
  NO_ROOM: 'there is no room on disk for another return',
};

/** Keeps the standings of a vehicle's flags. */
export class KnownGood {
  readonly #options: KnownGoodOptions;
  #standings = new Map<string, FlagStanding>();
  /** Whether a program has said of the present drive that the vehicle is driven. Only such a drive proves anything. */
  #isDriven = false;
  /** The reading of the monotonic clock up to which the time of serving is counted. */
  #servedUntilMs: number;
  /** The keys of the flags whose last known goods were dropped because there was no room. */
  #dropped: readonly string[] = [];
  /** The last line of the log about each flag that cannot go back. */
  readonly #refusals = new Map<string, string>();
  /** The contents by their definitions, each with the context, as text, in which it is the vehicle's content. */
  readonly #contents = new WeakMap<
    FlagDefinition,
    { readonly contextText: string; readonly content: ContentInVehicle }
  >();

  constructor(options: KnownGoodOptions) {
    this.#options = options;
    this.#servedUntilMs = options.runningMs();
  }

  /** The standings, as the store keeps them. */
  get kept(): KnownGoodCopy {
    return { standings: this.#standings, isDriven: this.#isDriven };
  }

  /** Goes on from what the store has kept. */
  resume({ standings, isDriven }: KnownGoodCopy, goesOn: boolean): void {
    this.#standings = new Map(standings);
    this.#isDriven = goesOn && isDriven;
  }

  /** Gives the status; null stands for a vehicle without a state. */
  status(state: VehicleState | null): KnownGoodStatus {
    const { returns, flags } = state ?? { returns: NO_RETURNS, flags: new Map<string, HeldFlag>() };
    return {
      kept: [...this.#standings.values()].filter(({ good }) => good !== null).length,
      dropped: this.#dropped,
      returned: Array.from(returns, ([key, { flag, cause, at }]) => ({
        key,
        revision: flag.served?.revision ?? 0,
        leftRevision: flags.get(key)?.served?.revision ?? 0,
        cause,
        at: new Date(at * 1_000).toISOString(),
      })),
    };
  }

  /** Gives those returns that go on with the flags of `next`: where its content is the one that was left. */
  returnsIn(next: VehicleState): GoodReturns {
    const kept = new Map<string, GoodReturn>();
    for (const [key, before] of next.returns) {
      const held = next.flags.get(key);
      const good = before.flag.from?.good;
      if (held?.served == null || good === undefined) continue;
      const { digest, isNext } = this.#contentOf(held.served.definition, next.identity.vin);
      // Past its TTL a last known good gives its safe default, and what was left does not come back.
      const refusal = this.#refusal(next, held, held.served.definition, { content: '', kept: good }, digest);
      if (digest !== before.content || (refusal !== null && refusal !== 'TOO_OLD')) continue;
      const flag = returnedFlag(good, servedSignature(held), isNext);
      kept.set(key, flag.served?.id === before.flag.served?.id ? before : { ...before, flag });
    }
    return kept.size === 0 ? NO_RETURNS : kept;
  }

  /** Follows what is active from now on. What has served until then has been counted before. */
  follow(state: VehicleState): void {
    const standings = new Map<string, FlagStanding>();
    for (const [key, flag] of activeFlags(state)) {
      const before = this.#standings.get(key);
      const newest = state.flags.get(key)?.served?.definition;
      // No way leads back past a kill switch or a disabling.
      if (flag.served === null || isStopped(flag.served.definition) || (newest && isStopped(newest))) continue;
      // What a drive holds from before a kill switch, though that has been released since, proves nothing.
      if (before === undefined && state.latches.has(key)) continue;
      const { digest } = this.#contentOf(flag.served.definition, state.identity.vin);
      const standing = flag.from === undefined ? standingUnder(before, digest, flag) : before;
      if (standing !== undefined) standings.set(key, standing);
    }
    this.#standings = standings;
    this.#dropForRoom(state);
  }

  /** Counts the time for which the active flags have served since the last call. */
  serve(state: VehicleState, drivesAreReported: boolean): void {
    const seconds = this.#uncountedSeconds;
    this.#servedUntilMs = this.#options.runningMs();
    this.#update(state, (standing, flag) => afterServing(standing, seconds, drivesAreReported, flag));
  }

  /** Begins a drive: what is active now may prove itself in it. */
  driveBegan(state: VehicleState): void {
    this.#update(state, (standing) => atDriveStart(standing));
  }

  /** Takes a report that the vehicle is driven, so that its present drive is one. */
  driven(): void {
    this.#isDriven = true;
  }

  /** Ends a drive. A standstill of which the vehicle knew nothing proves nothing. */
  driveEnded(state: VehicleState): void {
    if (this.#isDriven) this.#update(state, (standing, flag) => atDriveEnd(standing, flag));
    this.#isDriven = false;
    this.#dropForRoom(state);
  }

  /**
   * Records a fault of a flag under the definition that is active. Gives whether that has changed the standing of the
   * flag's content, which must then be stored. It is called while flags are evaluated, and touches this flag alone.
   */
  faulty(active: HeldFlag, drivesAreReported: boolean): boolean {
    const { key } = active;
    const before = this.#standings.get(key);
    if (before === undefined) return false;
    const seconds = this.#uncountedSeconds;
    this.#standings.set(
      key,
      afterFault(afterServing(before, seconds, drivesAreReported, active), drivesAreReported ? 0 : seconds),
    );
    return before.isWhole;
  }

  get #uncountedSeconds(): number {
    return Math.max(0, this.#options.runningMs() - this.#servedUntilMs) / 1_000;
  }

  /**
   * Gives the return of a flag from its active definition to its last known good, or the reason why there is none.
   *
   * @param active the flag as it is active; it may be older than what the vehicle holds
   */
  returnOf(state: VehicleState, active: HeldFlag, cause: ReturnCause): GoodReturn | ReturnRefusal | 'NO_ROOM' {
    const held = state.flags.get(active.key);
    const good = this.#standings.get(active.key)?.good ?? null;
    if (held === undefined || active.served === null) return 'NO_GOOD';
    const { digest: content, isNext } = this.#contentOf(active.served.definition, state.identity.vin);
    const refusal = this.#refusal(state, held, active.served.definition, good, content);
    if (refusal !== null || good === null) return refusal ?? 'NO_GOOD';
    const flag = returnedFlag(good.kept, servedSignature(active), isNext);
    const found: GoodReturn = { flag, content, cause, at: this.#options.seconds() };
    return haveRoom(new Map(state.returns).set(active.key, found)) ? found : 'NO_ROOM';
  }

  /** Logs why a flag cannot go back. Programs may report the same faults again and again: each line is written once. */
  refused(key: string, leftRevision: number, refusal: ReturnRefusal | 'NO_ROOM'): void {
    const line = `${key} of revision ${leftRevision} cannot go back to a last known good: ${WHY_NOT[refusal]}`;
    if (this.#refusals.get(key) !== line) this.#options.log('warn', line);
    this.#refusals.set(key, line);
  }

  #refusal(
    state: VehicleState,
    held: HeldFlag,
    faulty: FlagDefinition,
    good: FlagStanding['good'],
    content: string,
  ): ReturnRefusal | null {
    const definition = good?.kept.served?.definition;
    // A vehicle that is another model now has not the definitions of before.
    if (good === null || definition === undefined || !isIn(good.kept.held, boundPartition(state))) return 'NO_GOOD';
    const { cachedAt, ttlSeconds } = good.kept;
    const newest = held.served?.definition;
    return returnRefusal({
      held: newest !== undefined && isStopped(newest) ? newest : held.held.definition,
      faulty,
      content,
      good: { content: good.content, definition, cachedAt, ttlSeconds },
      seconds: this.#options.seconds(),
    });
  }

  #update(state: VehicleState, change: (standing: FlagStanding, flag: HeldFlag) => FlagStanding): void {
    for (const [key, flag] of activeFlags(state)) {
      const standing = this.#standings.get(key);
      // A definition that a return leaves proves nothing, neither while it waits for that nor afterwards.
      const isLeft = flag.from !== undefined || state.returns.has(key);
      if (standing !== undefined && !isLeft) this.#standings.set(key, change(standing, flag));
    }
  }

  #contentOf(definition: FlagDefinition, vin: string): ContentInVehicle {
    const context = this.#options.contextOf(vin);
    // Only a release gives vehicles different contents.
    const contextText = definition.release == null ? '' : JSON.stringify(context);
    const known = this.#contents.get(definition);
    if (known?.contextText === contextText) return known.content;
    const content = contentInVehicle(definition, context);
    this.#contents.set(definition, { contextText, content });
    return content;
  }

  /** Drops the last known goods for which there is no room, in memory as well, so that a restart changes nothing. */
  #dropForRoom(state: VehicleState): void {
    const { dropped } = storedKnownGood(this.kept, state);
    for (const key of dropped) {
      const standing = this.#standings.get(key);
      if (standing !== undefined) this.#standings.set(key, { ...standing, good: null });
    }
    const added = dropped.filter((key) => !this.#dropped.includes(key));
    this.#dropped = [...this.#dropped.filter((key) => this.#standings.get(key)?.good === null), ...added];
    if (added.length > 0)
      this.#options.log('warn', `there is no room on disk for the last known goods of ${added.join(', ')}`);
  }
}
