/**
 * A relay between gateway and vehicle that has no key, and does at random what it can without one: it drops, keeps
 * back, repeats and reorders messages, takes entries out of them and puts old ones in, changes what is not signed, and
 * answers with what it has seen before.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { emptyState, heldRevision, isStale, type VehicleState } from '../state.ts';
import { TestControlPlane, type ChangeMessage, type SyncMessage } from '../testing/control-plane.ts';
import { eventually } from '../../core/testing/eventually.ts';
import { AgeingClock } from '../trust/ageing-clock.ts';
import { Freshness } from '../trust/freshness.ts';
import { PinnedKeys } from '../trust/pinned-keys.ts';
import { Backoff } from '../../core/async/backoff.ts';
import type { GraphqlResult, LinkEnding } from '../link/gateway-link.ts';
import { PROOF_QUERY, type SignedFlag } from '../link/operations.ts';
import { SyncHistory } from './sync-history.ts';
import { SyncSession } from './sync-session.ts';
import { KILL } from '../testing/rules.ts';

const DAY_MS = 86_400_000;
const NEVER_MS = 1_000_000_000;
const RUNS = 60;

/** Draws of the relay. */
type Draw = (max: number) => number;

class Relay {
  honest = false;
  /** Lets nothing new pass. */
  deaf = false;
  meddled = 0;
  readonly #seenFlags: SignedFlag[] = [];
  readonly #seenProofs: string[] = [];
  readonly #seenAnswers: SyncMessage[] = [];
  #kept: ChangeMessage[] = [];

  constructor(private readonly draw: Draw) {}

  change(change: ChangeMessage): ChangeMessage[] {
    this.#seenFlags.push(change.signed);
    this.#seenProofs.push(change.proof);
    if (this.honest) return [change];
    if (this.deaf) return [];
    const what = this.draw(8);
    this.meddled += what > 2 ? 1 : 0;
    if (what === 3) return [];
    if (what === 4) {
      this.#kept.push(change);
      return [];
    }
    const late = this.#kept.reverse();
    this.#kept = [];
    if (what === 5) return [change, ...late, change];
    if (what === 6) return [{ ...change, previousRevision: Math.max(0, change.revision - 1 - this.draw(5)) }, ...late];
    if (what === 7) return [{ ...change, proof: this.proof(change.proof) }];
    return [change, ...late];
  }

  answer(answer: SyncMessage): SyncMessage {
    this.#seenAnswers.push(answer);
    this.#seenFlags.push(...answer.flags);
    this.#seenProofs.push(answer.proof);
    if (this.honest) return answer;
    if (this.deaf) return this.#seenAnswers[0]!;
    const what = this.draw(7);
    this.meddled += what > 1 ? 1 : 0;
    if (what === 2) return { ...answer, flags: answer.flags.filter(() => this.draw(3) > 0) };
    if (what === 3) return { ...answer, flags: [...answer.flags, ...this.#seenFlags.slice(-1 - this.draw(10))] };
    if (what === 4) return { ...answer, revision: answer.revision + this.draw(3), full: !answer.full };
    if (what === 5) return this.#seenAnswers[this.draw(this.#seenAnswers.length)]!;
    if (what === 6) return { ...answer, proof: this.proof(answer.proof) };
    return answer;
  }

  proof(proof: string): string {
    this.#seenProofs.push(proof);
    if (this.deaf && !this.honest) return this.#seenProofs[0]!;
    return this.honest || this.draw(2) === 0 ? proof : this.#seenProofs[this.draw(this.#seenProofs.length)]!;
  }
}

class Vehicle {
  state: VehicleState = emptyState({ vin: 'KMHL14JA5PA000001', environment: 'production' });
  readonly clock: AgeingClock;
  readonly #freshness: Freshness;
  readonly #history: SyncHistory;
  #session: { readonly sync: SyncSession; readonly over: Promise<void>; readonly cut: () => void } | null = null;
  #listener: ((change: ChangeMessage) => void) | null = null;

  constructor(
    private readonly plane: TestControlPlane,
    private readonly keys: PinnedKeys,
    private readonly relay: Relay,
    private readonly truth: () => number,
    private readonly check: (state: VehicleState) => void,
  ) {
    this.clock = new AgeingClock(truth, truth);
    this.#freshness = new Freshness({ clock: this.clock, random: () => 0.5, unanswered: backoff() });
    this.#history = new SyncHistory({
      backoff: backoff(),
      newLinkMs: 0,
      belowMs: NEVER_MS,
      runningMs: () => performance.now(),
    });
  }

  connect(): void {
    let cut: () => void = () => undefined;
    const ended = new Promise<LinkEnding>((resolve) => (cut = () => resolve({ code: 1006, reason: '' })));
    const sync = new SyncSession({
      link: {
        ended,
        subscribe: (_query: string, _variables: Record<string, unknown>, onResult: (result: GraphqlResult) => void) => {
          const listener = (change: ChangeMessage) => {
            for (const message of this.relay.change(change)) onResult({ data: { flagChanges: message } });
          };
          this.#listener = listener;
          this.plane.listeners.add(listener);
        },
        request: async (query: string, { since, nonce }: Record<string, unknown>) => {
          if (query === PROOF_QUERY) return { flagProof: this.relay.proof(await this.plane.proof()) };
          return {
            flagSync: this.relay.answer(await this.plane.sync(since as number, (nonce as string | undefined) ?? null)),
          };
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
      resyncDelay: () => NEVER_MS,
      aheadMs: 1,
      staleCheckMs: 5,
      backoff: backoff(),
      staleBackoff: backoff(),
    });
    this.#session = { sync, over: sync.run(), cut };
  }

  /** Delivers a proof as if it came with a heartbeat. */
  async prove(): Promise<void> {
    this.#session?.sync.prove(this.relay.proof(await this.plane.proof()), this.truth());
  }

  async disconnect(): Promise<void> {
    this.#session?.cut();
    await this.#session?.over;
    if (this.#listener !== null) this.plane.listeners.delete(this.#listener);
    this.#session = null;
  }
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
);

let meddled = 0;
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
        /** What each revision consisted of, and until when, in Unix seconds, the control plane stood there. */
        const sets = new Map<number, ReadonlyMap<string, string>>([[0, new Map()]]);
        const left = new Map<number, number>();
        plane.listeners.add(() => undefined);
        const note = (before: number) => {
          for (let revision = before; revision < plane.revision; revision++) left.set(revision, Math.floor(now / 1000));
          sets.set(plane.revision, plane.signedSet());
        };
        const change = async (key: string, how: string) => {
          const before = plane.revision;
          if (how === 'remove') await plane.remove(key);
          else
            await plane.put(key, {
              enabled: how !== 'off',
              defaultValue: false,
              rules: how === 'kill' ? [KILL] : how === 'odd' ? [{ ...KILL, type: 'lunar_phase' as never }] : [],
            });
          note(before);
        };
        const relay = new Relay((max) => draws.next().value % max);
        const vehicle = new Vehicle(
          plane,
          await PinnedKeys.parse(plane.keySet),
          relay,
          () => now,
          (next) => {
            expect(next.revision).toBeGreaterThanOrEqual(vehicle.state.revision);
            if (!next.complete) return;
            expect(new Map([...next.flags].map(([key, { held }]) => [key, held.jws]))).toEqual(
              sets.get(heldRevision(next)),
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
                for (const [index, key] of it.keys.entries()) {
                  const before = plane.revision;
                  await plane.put(key, { enabled: index % 2 === 0 });
                  // A sync that is answered in the middle of the look gives a set of its own, and a true one.
                  note(before);
                }
              });
            } else if (it.do === 'prove') await vehicle.prove();
            else if (it.do === 'deafen') relay.deaf = true;
            else if (it.do === 'pass') now += it.hours * 3_600_000;
            else {
              await vehicle.disconnect();
              vehicle.connect();
            }
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
          if (reconnects) {
            await vehicle.disconnect();
            vehicle.connect();
          } else await vehicle.prove();
          const isRight = () =>
            vehicle.state.complete && vehicle.state.revision === plane.revision && vehicle.state.proof !== null;
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
  // Without these the property would hold of nothing.
  expect(meddled).toBeGreaterThan(RUNS);
  expect(stale).toBeGreaterThan(0);
}, 120_000);
