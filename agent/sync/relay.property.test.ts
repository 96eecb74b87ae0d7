/**
 * A relay between gateway and vehicle that has no key (testing/meddling-relay.ts) can delay a change for as long as it
 * cuts the vehicle off. It never makes the vehicle hold anything else than its partition at a revision.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { emptyState, heldRevision, isStale, type VehicleState } from '../state.ts';
import { TEST_MODEL, TEST_VIN, TestControlPlane } from '../testing/control-plane.ts';
import type { ChangeMessage } from '../testing/wire-messages.ts';
import { MeddlingRelay } from '../testing/meddling-relay.ts';
import { eventually } from '../../core/testing/eventually.ts';
import { AgeingClock } from '../trust/ageing-clock.ts';
import { Freshness } from '../trust/freshness.ts';
import { PinnedKeys } from '../trust/pinned-keys.ts';
import { Backoff } from '../../core/async/backoff.ts';
import { rounds } from '../../core/testing/rounds.ts';
import type { GraphqlResult, LinkEnding } from '../link/gateway-link.ts';
import { OPERATIONS } from '../link/operations.ts';
import type { SyncSessionOptions } from './sync-session-options.ts';
import { SyncHistory } from './sync-history.ts';
import { SyncSession } from './sync-session.ts';
import { KILL } from '../testing/rules.ts';

const DAY_MS = 86_400_000;
const NEVER_MS = 1_000_000_000;
const RUNS = rounds(20, 60);
/** All partitions that the models of the test can get. */
const PARTITIONS = ['*', 'EV6', 'Kona', TEST_MODEL];

class Vehicle {
  state: VehicleState = emptyState({ vin: TEST_VIN, environment: 'production' });
  readonly clock: AgeingClock;
  /** The nonce of its last question. */
  lastNonce: string | null = null;
  #freshness: Freshness;
  #history: SyncHistory;
  #session: {
    readonly sync: SyncSession;
    readonly over: Promise<void>;
    readonly cut: () => void;
    readonly isCut: () => boolean;
  } | null = null;
  #unfollow: () => void = () => undefined;

  constructor(
    private readonly plane: TestControlPlane,
    private readonly keys: PinnedKeys,
    private readonly relay: MeddlingRelay,
    private readonly truth: () => number,
    private readonly check: (state: VehicleState) => void,
  ) {
    // Waits of milliseconds end by themselves; whole hours pass when the test says so.
    this.clock = new AgeingClock(truth, () => truth() + performance.now());
    [this.#freshness, this.#history] = this.#begin();
  }

  /** Makes what lives as long as the process. */
  #begin(): [Freshness, SyncHistory] {
    const { clock } = this;
    const random = () => 0.5;
    return [
      new Freshness({ clock, random, unanswered: backoff(), reassignments: backoff(), assignmentSpreadMs: 2 }),
      new SyncHistory({ backoff: backoff(), newLinkMs: 0, belowMs: NEVER_MS, runningMs: () => performance.now() }),
    ];
  }

  /** Ends the process and starts another with what is stored. */
  async restart(): Promise<void> {
    await this.disconnect();
    [this.#freshness, this.#history] = this.#begin();
    this.connect();
  }

  /** Follows the stream of the partition that the vehicle has now, until the gateway ends it. */
  #subscribe(
    onResult: (result: GraphqlResult) => void,
    onEnd: Parameters<SyncSessionOptions['link']['subscribe']>[3],
    cut: () => void,
  ): void {
    const { plane, relay } = this;
    const partition = plane.partitionOf();
    const listener = (change: ChangeMessage, of: string) => {
      if (of !== partition) return relay.seesForeign({ change, proof: change.proof });
      for (const message of relay.change(change)) onResult({ data: { flagChanges: message } });
    };
    const ended = () => {
      this.#unfollow();
      if (relay.passesEnd && onEnd?.(null) !== true) cut();
    };
    plane.listeners.add(listener);
    plane.endListeners.add(ended);
    this.#unfollow = () => {
      plane.listeners.delete(listener);
      plane.endListeners.delete(ended);
    };
  }

  /** Whether the connection has ended by itself. */
  get isCut(): boolean {
    return this.#session === null || this.#session.isCut();
  }

  connect(): void {
    let isCut = false;
    let cut: () => void = () => undefined;
    const ended = new Promise<LinkEnding>(
      (resolve) =>
        (cut = () => {
          isCut = true;
          resolve({ code: 1006, reason: '' });
        }),
    );
    const { plane, relay } = this;
    const sync = new SyncSession({
      link: {
        ended,
        subscribe: (_query, _variables, onResult, onEnd) => this.#subscribe(onResult, onEnd, cut),
        request: async (query: string, { since, nonce }: Record<string, unknown>) => {
          if (this.state.assignment !== null) relay.refuse();
          if (query === OPERATIONS.proof) return { flagProof: relay.proof(await plane.proof()) };
          const asked = typeof nonce === 'string' ? nonce : null;
          this.lastNonce = asked ?? this.lastNonce;
          return { flagSync: relay.answer(await plane.sync(Number(since), asked)) };
        },
      },
      keys: this.keys,
      log: () => undefined,
      now: this.truth,
      ageingClock: this.clock,
      freshness: this.#freshness,
      history: this.#history,
      state: () => this.state,
      commit: async (next) => {
        this.check(next);
        this.state = next;
      },
      refuse: () => undefined,
      synced: () => undefined,
      touched: () => undefined,
      resyncDelayMs: () => NEVER_MS,
      random: () => 0.5,
      aheadMs: 1,
      staleCheckMs: 5,
      backoff: backoff(),
      staleBackoff: backoff(),
    });
    this.#session = { sync, over: sync.run(), cut, isCut: () => isCut };
  }

  /** Delivers a proof as if it came with a heartbeat. */
  async prove(): Promise<void> {
    this.#session?.sync.prove(this.relay.proof(await this.plane.proof()), this.clock.runningMs);
  }

  async disconnect(): Promise<void> {
    this.#session?.cut();
    await this.#session?.over;
    this.#unfollow();
    this.#session = null;
  }
}

function claimsOf(jws: string): unknown {
  return JSON.parse(Buffer.from(jws.split('.')[1]!, 'base64url').toString());
}

const backoff = () => new Backoff({ baseMs: 2, capMs: 8, random: () => 0.5 });

const step = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant('change' as const),
      key: fc.constantFrom('a', 'b', 'c', 'd'),
      how: fc.constantFrom('on', 'off', 'kill', 'remove', 'odd'),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant('look' as const),
      keys: fc.array(fc.constantFrom('a', 'b', 'c', 'd'), { minLength: 2, maxLength: 4 }),
    }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('prove' as const) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('reconnect' as const) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('pass' as const), hours: fc.integer({ min: 1, max: 120 }) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('deafen' as const) }) },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant('scope' as const),
      key: fc.constantFrom('a', 'b', 'c', 'd'),
      scope: fc.constantFrom(null, ['EV6'], ['Kona'], ['EV6', 'Kona'], [TEST_MODEL, 'Kona']),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constant('move' as const), model: fc.constantFrom('EV6', 'Kona', TEST_MODEL) }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('end' as const) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('restart' as const) }) },
);

let meddled = 0;
let mixed = 0;
let moves = 0;
let stale = 0;

test('whatever it does, a vehicle reports no revision whose set it does not hold, its flags go stale on time, and it is right again at the first honest contact', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(step, { minLength: 5, maxLength: 30, size: 'max' }),
      fc.infiniteStream(fc.nat(1_000_000)),
      fc.boolean(),
      async (steps, draws, reconnects) => {
        const plane = await TestControlPlane.silent();
        let now = Date.UTC(2026, 5, 15);
        plane.now = () => now;
        // The set of each revision, and the Unix seconds until which the control plane stood at it.
        const sets = new Map<string, ReadonlyMap<string, string>>();
        const left = new Map<number, number>();
        const note = (before: number) => {
          for (let revision = before; revision < plane.revision; revision++) left.set(revision, Math.floor(now / 1000));
          for (const partition of PARTITIONS) sets.set(`${plane.revision} ${partition}`, plane.signedSet(partition));
        };
        const change = async (key: string, how: string) => {
          if (how === 'remove') await plane.remove(key);
          else
            await plane.put(key, {
              enabled: how !== 'off',
              defaultValue: false,
              rules: how === 'kill' ? [KILL] : how === 'odd' ? [{ ...KILL, type: 'lunar_phase' as never }] : [],
            });
        };
        note(0);
        // A sync can give a revision to the vehicle before its change is announced.
        plane.onRevision = note;
        /** Lets the relay see what vehicles of other partitions get. */
        const eavesdrop = async () => {
          for (const [place, model] of ['EV6', 'Kona', 'Niro'].entries()) {
            const vin = `KMHL14JA5PA00001${place}`;
            plane.register(model, vin);
            const nonce = place % 2 === 0 ? null : `${'A'.repeat(21)}${place}`;
            const answer = await plane.sync(0, nonce, vin);
            relay.seesForeign({ answer, proof: answer.proof });
          }
        };
        const scope = (key: string, models: readonly string[] | null) => plane.put(key, { scope: models });
        const relay = new MeddlingRelay((max) => draws.next().value % max);
        const vehicle = new Vehicle(
          plane,
          await PinnedKeys.parse(plane.keySet),
          relay,
          () => now,
          (next) => {
            expect(next.revision).toBeGreaterThanOrEqual(vehicle.state.revision);
            const { assignment } = vehicle.state;
            // An assignment is the answer to the last question of this vehicle, and to no other.
            if (next.assignment !== null && next.assignment.jws !== assignment?.jws)
              expect(claimsOf(next.assignment.jws)).toMatchObject({ vin: TEST_VIN, nonce: vehicle.lastNonce });
            if (!next.complete) return;
            // Never before a partition is proven.
            const partition = next.assignment!.partition;
            if (partition !== assignment?.partition) moves += 1;
            expect(new Map([...next.flags].map(([key, { held }]) => [key, held.jws]))).toEqual(
              sets.get(`${heldRevision(next)} ${partition}`),
            );
            for (const { cachedAt } of next.flags.values())
              expect(cachedAt).toBeLessThanOrEqual(left.get(next.revision) ?? Math.floor(now / 1000));
          },
        );
        try {
          vehicle.connect();
          for (const it of steps) {
            if (it.do === 'change') await change(it.key, it.how);
            else if (it.do === 'look') {
              await plane.inOneLook(async () => {
                // A sync that is answered in the middle of the look gives a set of its own, and a true one.
                for (const [index, key] of it.keys.entries()) await plane.put(key, { enabled: index % 2 === 0 });
              });
            } else if (it.do === 'prove') await vehicle.prove();
            else if (it.do === 'deafen') relay.deaf = true;
            else if (it.do === 'scope') await scope(it.key, it.scope);
            else if (it.do === 'move') plane.register(it.model);
            else if (it.do === 'end') plane.endStreams();
            else if (it.do === 'restart') await vehicle.restart();
            else if (it.do === 'pass') now += it.hours * 3_600_000;
            else {
              await vehicle.disconnect();
              vehicle.connect();
            }
            await eavesdrop();
            await pause(1);
          }
          const { state } = vehicle;
          const since = left.get(state.revision);
          if (since !== undefined && now / 1000 - since > 7 * 86_400) {
            stale += 1;
            for (const flag of state.flags.values()) expect(isStale(flag, vehicle.clock.seconds())).toBe(true);
          }
          relay.honest = true;
          meddled += relay.meddled;
          mixed += relay.mixed;
          if (reconnects || vehicle.isCut) {
            await vehicle.disconnect();
            vehicle.connect();
          } else await vehicle.prove();
          const isRight = () =>
            vehicle.state.complete &&
            vehicle.state.revision === plane.revision &&
            vehicle.state.assignment?.partition === plane.partitionOf();
          await eventually(
            () =>
              isRight() && ![...vehicle.state.flags.values()].some((flag) => isStale(flag, vehicle.clock.seconds())),
            'it holds what there is, and that is fresh',
            5_000,
          );
          expect(new Map([...vehicle.state.flags].map(([key, { held }]) => [key, held.jws]))).toEqual(
            plane.signedSet(),
          );
          for (const flag of vehicle.state.flags.values()) expect(flag.ahead).toBeNull();
          now += 8 * DAY_MS;
          for (const flag of vehicle.state.flags.values()) expect(isStale(flag, vehicle.clock.seconds())).toBe(true);
        } finally {
          await vehicle.disconnect();
        }
      },
    ),
    { numRuns: RUNS },
  );
  // A run without these would show nothing.
  expect(meddled).toBeGreaterThan(RUNS);
  expect(mixed).toBeGreaterThan(RUNS);
  expect(moves).toBeGreaterThan(RUNS);
  expect(stale).toBeGreaterThan(0);
}, 120_000);
