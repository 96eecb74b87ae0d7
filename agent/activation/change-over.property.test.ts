/**
 * The law of a drive: what a flag with an activation serves does not change between its start and its end, whatever
 * changes, restarts, damaged files and clock jumps there are, but for kill switches with `IMMEDIATE`.
 */
import { setImmediate as turn } from 'node:timers/promises';
import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { driveAtStart, type VehicleStateReport } from '../../core/activation/drive.ts';
import type { FlagDefinition, RuleDefinition } from '../../core/model.ts';
import { rounds } from '../../core/testing/rounds.ts';
import { AgentEvents } from '../assembly/agent-events.ts';
import { FlagEvaluator } from '../evaluate/flag-evaluator.ts';
import { PresentFlags } from '../evaluate/present-flags.ts';
import { KnownFacts } from '../facts/known-facts.ts';
import { NO_LATCHES, emptyState, type VehicleState } from '../state.ts';
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
const OFF = '[false,"control"]';

/** The part of each flag that never changes. `named` takes the activation of `drive`, which requires it. */
const FLAGS: Readonly<Record<string, Partial<FlagDefinition>>> = {
  free: {},
  parked: { activation: 'PARKED' },
  drive: { activation: 'NEXT_DRIVE', requires: [{ flag: 'named' }] },
  named: {},
  careful: { activation: 'NEXT_DRIVE', killActivation: 'PARKED' },
};
const KEYS = Object.keys(FLAGS);

const RANDOM: RuleDefinition = {
  id: 'random',
  type: 'percentage_rollout',
  priority: 1,
  enabled: true,
  conditions: { rollout_percentage: 50, sticky: false },
};
const BY_REGION: RuleDefinition = { ...ON, id: 'region', type: 'vehicle_target', conditions: { regions: ['EU'] } };

interface Edit {
  readonly key: string;
  readonly rules: readonly RuleDefinition[];
  readonly state: 'enabled' | 'killed' | 'disabled' | 'removed';
}

type Step =
  | { readonly kind: 'sync'; readonly edits: readonly Edit[] }
  | { readonly kind: 'report'; readonly report: VehicleStateReport }
  | { readonly kind: 'pass'; readonly seconds: number }
  | { readonly kind: 'jump'; readonly seconds: number }
  | { readonly kind: 'restart'; readonly region: string; readonly isDamaged: boolean };

const edit: fc.Arbitrary<Edit> = fc.record({
  key: fc.constantFrom(...KEYS),
  rules: fc.constantFrom([ON], [], [RANDOM], [BY_REGION]),
  state: fc.constantFrom('enabled', 'enabled', 'enabled', 'killed', 'disabled', 'removed' as const),
});
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 5, arbitrary: fc.record({ kind: fc.constant('sync' as const), edits: fc.array(edit, { maxLength: 3 }) }) },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant('report' as const),
      report: fc.record({
        ignition: fc.constantFrom('on', 'off' as const),
        moving: fc.boolean(),
        validForSeconds: fc.constantFrom(null, null, 60),
      }),
    }),
  },
  fc.record({ kind: fc.constant('pass' as const), seconds: fc.constantFrom(1, 59, 61, DAY_SECONDS, TTL_SECONDS) }),
  fc.record({ kind: fc.constant('jump' as const), seconds: fc.constantFrom(-3600, 3600, -900 * DAY_SECONDS, 100) }),
  fc.record({
    kind: fc.constant('restart' as const),
    region: fc.constantFrom('EU', 'KR'),
    isDamaged: fc.boolean(),
  }),
);

/** The content of the vehicle's file after one write. */
interface Generation {
  readonly state: VehicleState;
  readonly drive: KeptDrive;
  readonly knownGood: KnownGoodCopy;
  readonly time: KeptTime;
}

function valuesBy(evaluator: FlagEvaluator): Map<string, string> {
  const valueOf = (key: string) => {
    const evaluation = evaluator.evaluate(key)?.evaluation;
    return evaluation === undefined ? '' : JSON.stringify([evaluation.value, evaluation.variant]);
  };
  return new Map(KEYS.map((key) => [key, valueOf(key)]));
}

/** A vehicle whose disk outlives its agent. */
class Vehicle {
  nowMs = Date.UTC(2026, 0, 1);
  runningMs = 0;
  #generations: Generation[] = [];
  #definitions = new Map<string, FlagDefinition>(KEYS.map((key) => [key, testFlag(key, FLAGS[key])]));
  #revision = 1;
  #contact = 0;
  #clock!: AgeingClock;
  #flags!: PresentFlags;
  #evaluator!: FlagEvaluator;
  changeOver!: ChangeOver;
  #region = '';

  constructor(private readonly keys: PinnedKeys) {}

  start(region: string, isDamaged = false): void {
    // A damaged file makes a start go back by one generation, where there is one.
    if (isDamaged && this.#generations.length > 1) this.#generations.shift();
    const [last] = this.#generations;
    this.#clock = new AgeingClock(
      () => this.nowMs,
      () => this.runningMs,
    );
    if (last !== undefined) this.#clock.resume(last.time);
    this.#region = region;
    const facts = new KnownFacts({ region });
    const events = new AgentEvents(() => undefined);
    this.#evaluator = new FlagEvaluator(facts.facts, this.#clock);
    this.#flags = new PresentFlags({
      ...{ evaluator: this.#evaluator, facts, events, log: () => undefined, now: () => this.nowMs },
      saveFacts: () => Promise.resolve(),
    });
    const save = (state: VehicleState) => {
      const { kept: drive, knownGood } = this.changeOver;
      this.#generations = [{ state, drive, knownGood, time: this.#clock.keep() }, ...this.#generations];
      this.#generations.length = Math.min(2, this.#generations.length);
      return Promise.resolve(true);
    };
    this.changeOver = new ChangeOver({
      ...{
        store: { save, saveWhole: save },
        flags: this.#flags,
        activated: () => undefined,
        keys: () => this.keys,
        log: () => undefined,
      },
      ...{ now: () => this.nowMs, ageingClock: this.#clock, returned: () => undefined },
    });
    const [state, drive, knownGood] = [
      last?.state ?? emptyState(IDENTITY),
      last?.drive ?? null,
      last?.knownGood ?? null,
    ];
    this.changeOver.resume({ state, drive, knownGood });
  }

  async sync(edits: readonly Edit[]): Promise<void> {
    for (const { key, rules, state } of edits) {
      this.#revision += 1;
      if (state === 'removed') this.#definitions.delete(key);
      else
        this.#definitions.set(
          key,
          testFlag(key, {
            ...{ ...FLAGS[key], revision: this.#revision, enabled: state !== 'disabled' },
            rules: state === 'killed' ? [...rules, KILL] : rules,
          }),
        );
    }
    const seconds = this.#clock.seconds();
    this.#contact = seconds;
    const flags = [...this.#definitions].map(([key, definition]) => {
      const settled = !definition.enabled || definition.rules.includes(KILL);
      const jws = `${key} ${definition.revision}`;
      const signed = { jws, definition, settled, digest: '', fault: null, outsideContract: false, scope: null };
      return [
        key,
        heldFlag(key, { ...signed, revision: definition.revision }, null, null, seconds, TTL_SECONDS),
      ] as const;
    });
    const next = {
      ...this.#state,
      revision: this.#revision,
      complete: true,
      flags: new Map(flags),
      lastSyncAt: seconds,
    };
    await this.changeOver.commit(next, this.keys, () => undefined);
  }

  get #state(): VehicleState {
    return this.#flags.state ?? emptyState(IDENTITY);
  }

  /** Lets what has expired take its turn. */
  settle(): Promise<void> {
    return this.changeOver.commit(this.#state, this.keys, () => undefined);
  }

  /** Gives the values and variants of all flags; '' for a flag that is not there. */
  values(): Map<string, string> {
    return valuesBy(this.#evaluator);
  }

  /** Gives the values as they would be without any latch. */
  valuesOfNewest(): Map<string, string> {
    const evaluator = new FlagEvaluator({ region: this.#region }, this.#clock);
    Object.defineProperty(evaluator, 'nonce', { value: this.#evaluator.nonce });
    evaluator.replace({ ...this.#state, latches: NO_LATCHES });
    return valuesBy(evaluator);
  }

  /** The age of the flags, in seconds. */
  get age(): number {
    return this.#clock.seconds() - this.#contact;
  }

  has(key: string): boolean {
    return this.#definitions.has(key);
  }

  /** The keys whose definition stops them at once. */
  stoppedAtOnce(): string[] {
    const stopped = [...this.#definitions.values()].filter(
      ({ enabled, rules, killActivation }) => killActivation !== 'PARKED' && (!enabled || rules.includes(KILL)),
    );
    return stopped.map(({ key }) => key);
  }
}

/** A model of what a vehicle must serve. It is computed from what happens to the vehicle, without the agent's code. */
class Law {
  #report: (VehicleStateReport & { readonly atMs: number; readonly runningAtMs: number }) | null = null;
  #drive = driveAtStart(null);
  #expected = new Map<string, string>();
  #wasStale = false;
  #wasNamed = true;

  constructor(private readonly vehicle: Vehicle) {
    this.#begin();
  }

  #begin(): void {
    this.#expected = this.vehicle.valuesOfNewest();
    this.#wasStale = this.vehicle.age > TTL_SECONDS;
  }

  reported(report: VehicleStateReport): void {
    const { nowMs, runningMs } = this.vehicle;
    this.#report = { ...report, atMs: nowMs, runningAtMs: runningMs };
    this.#become(report.ignition === 'off' && !report.moving, true);
  }

  #become(isParked: boolean, isReported: boolean): void {
    const begins = this.#drive.isParked && !isParked;
    this.#drive = { isParked, isReported };
    if (begins) this.#begin();
  }

  passed(): void {
    const { nowMs, runningMs } = this.vehicle;
    const { validForSeconds = null, atMs = 0, runningAtMs = 0 } = this.#report ?? {};
    const passedMs = Math.max(nowMs - atMs, runningMs - runningAtMs);
    if (validForSeconds === null || passedMs < validForSeconds * 1000) return;
    this.#report = null;
    this.#become(false, this.#drive.isReported);
  }

  synced(): void {
    for (const key of this.vehicle.stoppedAtOnce()) {
      this.#expected.set(key, OFF);
      if (key === 'named' && this.#expected.get('drive') !== '') this.#expected.set('drive', OFF);
    }
  }

  restarted(isDamaged: boolean): void {
    this.#report = null;
    const goesOn = this.#drive.isReported && !this.#drive.isParked;
    this.#drive = { isParked: false, isReported: goesOn };
    if (goesOn) return;
    // A file from before the standstill makes its drive go on, until the vehicle is parked again.
    this.#drive = { isParked: false, isReported: isDamaged && this.vehicle.changeOver.status().reported };
    this.#begin();
    if (!isDamaged) return;
    // What was stale when that drive began is among the values; nothing has become stale by the standstill after it.
    this.#expected = this.vehicle.values();
    this.#wasStale = false;
  }

  check(): void {
    const [values, newest] = [this.vehicle.values(), this.vehicle.valuesOfNewest()];
    if (this.#drive.isParked) return expect(values).toEqual(newest);
    const isNamed = this.#expected.get('drive') !== '';
    const isStale = this.#wasStale || this.vehicle.age > TTL_SECONDS + DAY_SECONDS;
    const expected = new Map(
      Array.from(this.#expected, ([key, value]) => [key, isStale && value !== '' ? OFF : value] as const),
    );
    expected.set('free', newest.get('free')!);
    // Nobody names it while `drive` stays away. What it serves then holds from when it is named on.
    if (!isNamed || !this.#wasNamed) {
      expected.set('named', values.get('named')!);
      this.#expected.set('named', values.get('named')!);
    }
    this.#wasNamed = isNamed;
    expect(values).toEqual(expected);
    return undefined;
  }
}

async function run(keys: PinnedKeys, steps: readonly Step[]): Promise<void> {
  const vehicle = new Vehicle(keys);
  vehicle.start('EU');
  await vehicle.sync([]);
  const law = new Law(vehicle);
  for (const step of steps) {
    switch (step.kind) {
      case 'pass':
      case 'jump':
        vehicle.nowMs += step.seconds * 1000;
        if (step.kind === 'pass') vehicle.runningMs += step.seconds * 1000;
        await vehicle.settle();
        law.passed();
        break;
      case 'report':
        await vehicle.changeOver.report(step.report);
        law.reported(step.report);
        break;
      case 'restart':
        await vehicle.changeOver.close();
        vehicle.start(step.region, step.isDamaged);
        law.restarted(step.isDamaged);
        if (!step.isDamaged) break;
        await vehicle.sync([]);
        law.synced();
        break;
      case 'sync':
        await vehicle.sync(step.edits);
        law.synced();
    }
    // The ageing clock is read once in each run of the event loop.
    await turn();
    law.check();
  }
  await vehicle.changeOver.close();
}

/** A flag that went stale in a drive, which a file from before the next standstill makes go on. */
const STALE_IN_DRIVE: readonly Step[] = [
  { kind: 'sync', edits: [{ key: 'careful', rules: [ON], state: 'enabled' }] },
  { kind: 'pass', seconds: TTL_SECONDS },
  { kind: 'report', report: { ignition: 'off', moving: false, validForSeconds: null } },
  { kind: 'report', report: { ignition: 'on', moving: false, validForSeconds: null } },
  { kind: 'pass', seconds: 1 },
  { kind: 'report', report: { ignition: 'off', moving: false, validForSeconds: null } },
  { kind: 'restart', region: 'EU', isDamaged: true },
];

test('what a flag with an activation serves holds during a drive, and follows at once when the vehicle is parked', async () => {
  const keys = await PinnedKeys.parse({
    keys: [{ kty: 'OKP', crv: 'Ed25519', kid: 'k', x: '11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo' }],
  });
  // Up to a million steps in the gate.
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 100, size: 'max' }), (steps) => run(keys, steps)),
    { numRuns: rounds(60, 2_000), examples: [[STALE_IN_DRIVE]] },
  );
}, 1_800_000);
