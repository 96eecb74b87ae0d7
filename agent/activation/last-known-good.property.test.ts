/**
 * The laws of the last known good, on random sequences of edits, faults, drives, restarts and passing time. What has
 * proven itself is followed here by what the vehicle serves, and not by how the agent keeps it.
 */
import { setImmediate as turn } from 'node:timers/promises';
import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import type { FlagDefinition, KillActivation, RuleDefinition } from '../../core/model.ts';
import { rounds } from '../../core/testing/rounds.ts';
import { AgentEvents } from '../assembly/agent-events.ts';
import { FlagEvaluator } from '../evaluate/flag-evaluator.ts';
import { PresentFlags } from '../evaluate/present-flags.ts';
import { KnownFacts } from '../facts/known-facts.ts';
import { emptyState, type VehicleState } from '../state.ts';
import { heldFlag } from '../sync/apply.ts';
import { testFlag } from '../testing/held-flags.ts';
import { KILL, ON } from '../testing/rules.ts';
import { AgeingClock, type KeptTime } from '../trust/ageing-clock.ts';
import { PinnedKeys } from '../trust/pinned-keys.ts';
import { ChangeOver } from './change-over.ts';
import type { KeptDrive } from './kept-drive.ts';
import type { KnownGoodCopy } from './known-good.ts';

const DAY_SECONDS = 86_400;
const TTL_SECONDS = 7 * DAY_SECONDS;
const IDENTITY = { vin: 'KMHK281HGNU000001', environment: 'production' } as const;
const DRIVING = { ignition: 'on', moving: true } as const;
const PARKED = { ignition: 'off', moving: false } as const;

const FLAGS: Readonly<Record<string, Partial<FlagDefinition>>> = {
  free: {},
  drive: { activation: 'NEXT_DRIVE' },
  careful: { activation: 'PARKED', killActivation: 'PARKED' },
};
const KEYS = Object.keys(FLAGS);
const killActivationOfKey = (key: string): KillActivation => FLAGS[key]?.killActivation ?? 'IMMEDIATE';

interface Edit {
  readonly key: string;
  /** The value that the flag serves, by which its content is known. */
  readonly value: number;
  readonly state: 'enabled' | 'killed' | 'disabled';
  /** Whether this edit rules out every return to a revision before it. */
  readonly bars: boolean;
}

type Step =
  | { readonly kind: 'sync'; readonly edits: readonly Edit[] }
  | { readonly kind: 'drive' | 'park' | 'restart' }
  | { readonly kind: 'fault'; readonly key: string; readonly isFatal: boolean; readonly isInSync: boolean }
  | { readonly kind: 'pass'; readonly seconds: number };

const key = fc.constantFrom(...KEYS);
const edit: fc.Arbitrary<Edit> = fc.record({
  key,
  value: fc.constantFrom(1, 2, 3),
  state: fc.constantFrom('enabled', 'enabled', 'enabled', 'enabled', 'enabled', 'killed', 'disabled' as const),
  bars: fc.constantFrom(false, false, false, false, true),
});
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('sync' as const), edits: fc.array(edit, { maxLength: 2 }) }) },
  { weight: 4, arbitrary: fc.record({ kind: fc.constantFrom('drive', 'park', 'drive', 'park', 'restart' as const) }) },
  {
    weight: 3,
    arbitrary: fc.record({ kind: fc.constant('fault' as const), key, isFatal: fc.boolean(), isInSync: fc.boolean() }),
  },
  fc.record({ kind: fc.constant('pass' as const), seconds: fc.constantFrom(60, DAY_SECONDS, 6 * DAY_SECONDS) }),
);

/** The content of the vehicle's file after one write. */
interface Disk {
  readonly state: VehicleState;
  readonly drive: KeptDrive;
  readonly knownGood: KnownGoodCopy;
  readonly time: KeptTime;
}

/** The content that a flag serves. */
interface Served {
  readonly value: unknown;
  readonly revision: number;
  readonly reason: string;
}

/** A vehicle whose disk outlives its agent. */
class Vehicle {
  nowMs = Date.UTC(2026, 0, 1);
  runningMs = 0;
  contact = 0;
  readonly definitions = new Map<string, FlagDefinition>();
  #disk: Disk | null = null;
  #revision = 0;
  #clock!: AgeingClock;
  #flags!: PresentFlags;
  #evaluator!: FlagEvaluator;
  changeOver!: ChangeOver;

  constructor(private readonly keys: PinnedKeys) {
    for (const key of KEYS) this.#edit({ key, value: 1, state: 'enabled', bars: false });
  }

  get seconds(): number {
    return this.#clock.seconds();
  }

  start(): void {
    const disk = this.#disk;
    this.#clock = new AgeingClock(
      () => this.nowMs,
      () => this.runningMs,
    );
    if (disk !== null) this.#clock.resume(disk.time);
    const facts = new KnownFacts({});
    this.#evaluator = new FlagEvaluator({}, this.#clock);
    this.#flags = new PresentFlags({
      ...{ evaluator: this.#evaluator, facts, events: new AgentEvents(() => undefined), log: () => undefined },
      now: () => this.nowMs,
      saveFacts: () => Promise.resolve(),
    });
    const save = (state: VehicleState) => {
      const { kept: drive, knownGood } = this.changeOver;
      this.#disk = { state, drive, knownGood, time: this.#clock.keep() };
      return Promise.resolve(true);
    };
    this.changeOver = new ChangeOver({
      ...{ store: { save, saveWhole: save }, flags: this.#flags, keys: () => this.keys, log: () => undefined },
      ...{ activated: () => undefined, returned: () => undefined, ageingClock: this.#clock, now: () => this.nowMs },
    });
    const { state = emptyState(IDENTITY), drive = null, knownGood = null } = disk ?? {};
    this.changeOver.resume({ state, drive, knownGood });
  }

  #edit({ key, value, state, bars }: Edit): void {
    this.#revision += 1;
    const revision = this.#revision;
    const rule: RuleDefinition = { ...ON, value };
    const bound = bars ? revision : (this.definitions.get(key)?.noReturnBelow ?? 0);
    const rules = state === 'killed' ? [rule, KILL] : [rule];
    const own = { type: 'number', defaultValue: 0, revision, enabled: state !== 'disabled', rules } as const;
    this.definitions.set(key, testFlag(key, { ...FLAGS[key], ...own, noReturnBelow: bound }));
  }

  async sync(edits: readonly Edit[]): Promise<void> {
    for (const each of edits) this.#edit(each);
    this.contact = this.seconds;
    const flags = [...this.definitions].map(([key, definition]) => {
      const { revision } = definition;
      const signed = { definition, settled: this.isStopped(key), digest: '', fault: null, outsideContract: false };
      const held = { ...signed, revision, jws: `${key} ${revision}`, scope: null };
      return [key, heldFlag(key, held, null, null, this.contact, TTL_SECONDS)] as const;
    });
    const state = this.#flags.state ?? emptyState(IDENTITY);
    const next = {
      ...state,
      revision: this.#revision,
      complete: true,
      flags: new Map(flags),
      lastSyncAt: this.contact,
    };
    await this.changeOver.commit(next, this.keys, () => undefined);
  }

  /**
   * Takes a fault of a flag, and what it causes.
   *
   * @param isInSync whether a sync that brings nothing has been made from the state of before, and comes after it
   */
  async fault(key: string, revision: number, isFatal: boolean, isInSync: boolean): Promise<void> {
    const { state } = this.#flags;
    this.changeOver.fault(key, revision, isFatal ? 'fatal' : null);
    if (isInSync && state !== null) await this.changeOver.commit(state, this.keys, () => undefined);
    await this.changeOver.settled();
  }

  async restart(): Promise<void> {
    await this.changeOver.close();
    this.start();
  }

  isStopped(key: string): boolean {
    const { enabled, rules } = this.definitions.get(key)!;
    return !enabled || rules.includes(KILL);
  }

  /** Gives what a flag holds: the value that its newest definition has a rule for. */
  heldValue(key: string): unknown {
    return this.definitions.get(key)!.rules[0]?.value;
  }

  served(): Map<string, Served> {
    return new Map(KEYS.map((key) => [key, this.#evaluator.evaluate(key)!.evaluation]));
  }
}

/** The contents that have proven themselves. */
interface Good {
  readonly value: unknown;
  readonly revision: number;
  readonly contact: number;
}

/** Follows the standing of one flag, by the content that it serves. */
class StandingModel {
  #served: Served;
  #isWhole: boolean;
  #servedSeconds = 0;
  /** The revision of the last kill switch or disabling. What a drive holds from before it proves nothing. */
  #stoppedAt = 0;
  good: Good | null = null;
  /** The content that the vehicle left by a return that is in force, or waits; null without one. */
  left: unknown = null;
  /** Whether other content has come since, with which the return ends, though a drive may put that off. */
  hasOtherCome = false;

  constructor(
    private readonly vehicle: Vehicle,
    readonly key: string,
    served: Served,
  ) {
    this.#served = served;
    this.#isWhole = true;
  }

  /** Whether what is served may prove itself. */
  get #isOnTrial(): boolean {
    return this.left === null && this.#served.revision > this.#stoppedAt;
  }

  passed(seconds: number, isReported: boolean): void {
    if (!this.#isOnTrial || this.vehicle.isStopped(this.key) || this.#served.reason === 'DISABLED') return;
    if (isReported) return;
    this.#servedSeconds += seconds;
    if (this.#servedSeconds >= DAY_SECONDS) this.#prove();
  }

  began(): void {
    this.#isWhole = true;
  }

  ended(isDriven: boolean): void {
    if (isDriven && this.#isWhole && this.#isOnTrial && this.#served.reason !== 'DISABLED') this.#prove();
    if (isDriven) this.#isWhole = false;
  }

  faulty(): void {
    this.#isWhole = false;
    this.#servedSeconds = 0;
  }

  #prove(): void {
    if (this.vehicle.isStopped(this.key)) return;
    this.good = { value: this.#content, revision: this.#served.revision, contact: this.vehicle.contact };
  }

  /** The content that is active, though it may be too old to be served. */
  #content: unknown = 1;

  /** The content that is active. */
  get content(): unknown {
    return this.#content;
  }

  /** Follows what is served after a step. */
  follow(served: Served): void {
    const { vehicle, key } = this;
    const content = served.reason === 'STALE' ? this.#content : served.value;
    const isOther = content !== this.#content || served.reason === 'DISABLED';
    const returned = this.left !== null && served.value !== this.left;
    if (isOther && !returned) [this.#isWhole, this.#servedSeconds] = [false, 0];
    this.#content = content;
    this.#served = served;
    if (vehicle.isStopped(key)) {
      this.good = null;
      [this.#isWhole, this.#servedSeconds] = [false, 0];
      this.#stoppedAt = vehicle.definitions.get(key)!.revision;
    }
    if (!returned && this.good?.value === content && this.#isOnTrial)
      this.good = { value: content, revision: served.revision, contact: vehicle.contact };
  }

  /** Whether a fatal fault has to take the flag back. */
  get mayGoBack(): boolean {
    const { good, vehicle, key } = this;
    if (good === null || this.left !== null || vehicle.isStopped(key) || good.value === this.#content) return false;
    const bound = vehicle.definitions.get(key)?.noReturnBelow ?? 0;
    return good.revision >= bound && vehicle.seconds - good.contact <= TTL_SECONDS;
  }
}

async function run(keys: PinnedKeys, steps: readonly Step[]): Promise<void> {
  const vehicle = new Vehicle(keys);
  vehicle.start();
  await vehicle.sync([]);
  const followers = new Map(
    [...vehicle.served()].map(([key, served]) => [key, new StandingModel(vehicle, key, served)]),
  );
  const all = [...followers.values()];
  let [isParked, isReported, isDriven] = [false, false, false];
  for (const step of steps) {
    const before = vehicle.served();
    let faulty: string | null = null;
    let mayGoBack = false;
    let isHeld = !isParked;
    switch (step.kind) {
      case 'sync':
        await vehicle.sync(step.edits);
        break;
      case 'drive':
        if (isParked) for (const each of all) each.began();
        await vehicle.changeOver.report(DRIVING);
        [isParked, isReported, isDriven] = [false, true, true];
        break;
      case 'park':
        if (!isParked) for (const each of all) each.ended(isDriven);
        await vehicle.changeOver.report(PARKED);
        [isParked, isReported, isDriven, isHeld] = [true, true, false, false];
        break;
      case 'restart': {
        const goesOn = isReported && !isParked;
        // A state that is not on disk is lost, and proves nothing. A sync that changes something would have written it.
        await vehicle.sync([]);
        await turn();
        for (const each of all) each.follow(vehicle.served().get(each.key)!);
        await vehicle.restart();
        if (goesOn) break;
        [isParked, isReported, isDriven, isHeld] = [false, false, false, false];
        await turn();
        for (const each of all) {
          each.follow(vehicle.served().get(each.key)!);
          each.began();
        }
        break;
      }
      case 'pass':
        vehicle.nowMs += step.seconds * 1000;
        vehicle.runningMs += step.seconds * 1000;
        for (const each of all) each.passed(step.seconds, isReported);
        break;
      case 'fault': {
        const follower = followers.get(step.key)!;
        const { revision } = before.get(step.key)!;
        await vehicle.fault(step.key, revision, step.isFatal, step.isInSync);
        if (follower.left === null) follower.faulty();
        if (!step.isFatal) break;
        faulty = step.key;
        ({ mayGoBack } = follower);
      }
    }
    // The ageing clock is read once in each run of the event loop.
    await turn();
    const after = vehicle.served();
    for (const follower of all) {
      const { key } = follower;
      const [was, is] = [before.get(key)!, after.get(key)!];
      const isImmediate = killActivationOfKey(key) === 'IMMEDIATE';
      const bound = vehicle.definitions.get(key)?.noReturnBelow ?? 0;
      const isStopped = vehicle.isStopped(key);
      // A kill switch and a disabling win, whatever return there is.
      if (isStopped && (isImmediate || isParked)) expect(is.reason).toBe('DISABLED');
      if (key === faulty && mayGoBack) {
        const isPending = vehicle.heldValue(key) !== was.value && was.reason !== 'STALE';
        if (isImmediate || isParked) expect(is).toMatchObject({ value: follower.good?.value });
        else expect(is).toEqual(was);
        // Where other content waits already, the return ends with it.
        if (isImmediate || isParked || !isPending) [follower.left, follower.hasOtherCome] = [follower.content, false];
      } else if (key === faulty) {
        expect(is).toEqual(was);
      } else if (isHeld && !isParked && key !== 'free' && was.reason !== 'STALE' && is.reason !== 'STALE') {
        // Nothing else changes in a drive.
        if (!(isStopped && isImmediate)) expect(is.value).toEqual(was.value);
      }
      const good = follower.good;
      if (vehicle.heldValue(key) !== follower.left) follower.hasOtherCome = true;
      const mayGoOn = !isStopped && good !== null && !follower.hasOtherCome && good.revision >= bound;
      if (follower.left !== null && !mayGoOn && (isParked || key === 'free' || is.value !== good?.value))
        follower.left = null;
      if (follower.left !== null && mayGoOn && (isParked || isImmediate)) {
        const isOld = vehicle.seconds - good.contact > TTL_SECONDS;
        expect(is).toMatchObject(isOld ? {} : { value: good.value });
      }
      // Without a return, a vehicle that is parked serves what it holds.
      if (follower.left === null && isParked && !isStopped && is.reason !== 'STALE')
        expect(is.value).toBe(vehicle.heldValue(key));
      follower.follow(is);
    }
  }
  await vehicle.changeOver.close();
}

test('a flag goes back to what has proven itself, only then, and until other content comes', async () => {
  const keys = await PinnedKeys.parse({
    keys: [{ kty: 'OKP', crv: 'Ed25519', kid: 'k', x: '11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo' }],
  });
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 60, size: 'max' }), (steps) => run(keys, steps)),
    { numRuns: rounds(100, 1_500) },
  );
}, 1_800_000);
