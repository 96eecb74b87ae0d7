/**
 * A vehicle in virtual time: the agent's own sync and store, over a network and on a disk that fail. It is checked
 * whenever it takes a state.
 */
import { randomUUID } from 'node:crypto';
import { FlagEvaluator } from '../../agent/evaluate/flag-evaluator.ts';
import { KnownFacts } from '../../agent/facts/known-facts.ts';
import type { GraphqlResult, LinkEnding } from '../../agent/link/gateway-link.ts';
import { emptyState, heldRevision, type VehicleIdentity, type VehicleState } from '../../agent/state.ts';
import { VehicleStore } from '../../agent/store/vehicle-store.ts';
import type { LoadedState } from '../../agent/store/vehicle-store-options.ts';
import { SyncHistory } from '../../agent/sync/sync-history.ts';
import { SyncSession } from '../../agent/sync/sync-session.ts';
import { LifetimeCounts } from '../../agent/telemetry/lifetime-counts.ts';
import { MetricQueue } from '../../agent/telemetry/metrics/metric-queue.ts';
import { AgeingClock, type KeptTime } from '../../agent/trust/ageing-clock.ts';
import { Freshness } from '../../agent/trust/freshness.ts';
import type { PinnedKeys } from '../../agent/trust/pinned-keys.ts';
import type { RefusalReason } from '../../agent/trust/refusals.ts';
import { Backoff } from '../../core/async/backoff.ts';
import { CrashingDisk } from './crashing-disk.ts';
import type { SimulatedInstance } from './simulated-control-plane.ts';
import type { VirtualWorld } from './virtual-time.ts';

const HEARTBEAT_MS = 60_000;
const REQUEST_MS = 30_000;

/** Messages of one direction: they arrive in the order in which they were sent. */
class Lane {
  #lastAtMs = 0;

  constructor(private readonly latencyMs: () => number) {}

  send(arrive: () => void): void {
    this.#lastAtMs = Math.max(this.#lastAtMs, Date.now() + this.latencyMs());
    setTimeout(arrive, this.#lastAtMs - Date.now());
  }
}

/** The part of a store that a vehicle needs. */
type Store = Pick<VehicleStore, 'load' | 'save' | 'close'> & { readonly status: () => { persistedRevision: number } };

/** A store that is quicker than SQLite: it keeps the last state that was saved whole, and the time with it. */
class QuickStore implements Store {
  #persistedRevision = 0;

  constructor(
    private readonly world: VirtualWorld,
    private readonly clock: AgeingClock,
    private readonly kept: { last: { state: VehicleState; time: KeptTime } | null },
  ) {}

  async load(identity: VehicleIdentity | null, keys: PinnedKeys | null): Promise<LoadedState | null> {
    const { last } = this.kept;
    if (last === null)
      return identity === null ? null : { state: emptyState(identity), drive: null, knownGood: null, keys };
    this.clock.resume(last.time);
    this.#persistedRevision = heldRevision(last.state);
    return { state: last.state, drive: null, knownGood: null, keys };
  }

  async save(state: VehicleState): Promise<boolean> {
    await this.world.wait(this.world.random.whole(1, 12));
    this.kept.last = { state, time: this.clock.keep() };
    this.#persistedRevision = heldRevision(state);
    return true;
  }

  async close(): Promise<void> {
    // Nothing that is under way is kept when the power goes.
    this.save = async () => false;
  }

  status() {
    return { persistedRevision: this.#persistedRevision };
  }
}

interface Life {
  readonly store: Store;
  readonly clock: AgeingClock;
  readonly freshness: Freshness;
  readonly history: SyncHistory;
  isOver: boolean;
}

export class NetworkVehicle {
  state: VehicleState;
  /** The milliseconds by which its clock is wrong. */
  offsetMs = 0;
  /** The milliseconds that the network holds each message up, beside its ordinary latency. */
  stallMs = 0;
  /** Null where the vehicle has a store that is quicker than SQLite. */
  readonly #disk: CrashingDisk | null;
  readonly #kept: { last: { state: VehicleState; time: KeptTime } | null } = { last: null };
  readonly refusals: RefusalReason[] = [];
  /** The revision that it has reported as stored. */
  reported = 0;
  #life: Life | null = null;
  #cut: (() => void) | null = null;
  readonly #backoff: Backoff;

  constructor(
    private readonly world: VirtualWorld,
    readonly vin: string,
    private readonly keys: PinnedKeys,
    /** The instances that a new connection may get. */
    private readonly route: () => { readonly stream: SimulatedInstance; readonly queries: SimulatedInstance } | null,
    /** Checks a state that it is about to report. */
    private readonly check: (vehicle: NetworkVehicle, next: VehicleState) => void,
    hasDisk: boolean,
  ) {
    this.#disk = hasDisk ? new CrashingDisk(world) : null;
    this.state = emptyState(this.#identity);
    this.#backoff = this.#waits(1_000, 30_000);
  }

  get #identity() {
    return { vin: this.vin, environment: 'production' } as const;
  }

  get isOn(): boolean {
    return this.#life !== null;
  }

  #waits(baseMs: number, capMs: number): Backoff {
    return new Backoff({ baseMs, capMs, random: () => this.world.random.next() });
  }

  /** Starts the agent: it loads what its disk has, and connects for as long as it lives. */
  async start(): Promise<void> {
    const { random } = this.world;
    const now = () => Date.now() + this.offsetMs;
    const clock = new AgeingClock(now, () => performance.now());
    const life: Life = {
      clock,
      freshness: new Freshness({
        clock,
        random: () => random.next(),
        unanswered: this.#waits(60_000, 3_600_000),
        reassignments: this.#waits(60_000, 3_600_000),
        assignmentSpreadMs: 5_000,
      }),
      history: new SyncHistory({
        backoff: this.#waits(60_000, 3_600_000),
        newLinkMs: 60_000,
        belowMs: 10_000,
        runningMs: () => performance.now(),
      }),
      store: this.#store(clock, now),
      isOver: false,
    };
    this.#life = life;
    const loaded = await life.store.load(this.#identity, this.keys).catch(() => null);
    if (life.isOver || loaded === null) return;
    this.check(this, loaded.state);
    this.state = loaded.state;
    for (;;) {
      await this.world.wait(this.#backoff.next());
      if (life.isOver) return;
      await this.#connection(life);
    }
  }

  #store(ageingClock: AgeingClock, now: () => number): Store {
    const { random } = this.world;
    if (this.#disk === null) return new QuickStore(this.world, ageingClock, this.#kept);
    const evaluator = new FlagEvaluator({}, ageingClock);
    return new VehicleStore({
      path: '/vehicle/agent.db',
      files: this.#disk,
      log: () => undefined,
      now,
      refuse: ({ reason }) => this.refusals.push(reason),
      random: () => random.next(),
      variantOf: (flag, state) => evaluator.storedVariant(flag, state),
      agentVersion: '1.0.0',
      retryMs: 5_000,
      afterWrite: () => undefined,
      queue: new MetricQueue(randomUUID()),
      facts: new KnownFacts({}),
      lifetime: new LifetimeCounts(() => ({ refusals: {}, dropped: { evaluations: 0, measurements: 0 } })),
      drive: () => null,
      knownGood: () => ({ standings: new Map(), isDriven: false }),
      ageingClock,
    });
  }

  /** The power goes. */
  crash(): void {
    const life = this.#life;
    if (life === null) return;
    life.isOver = true;
    this.#life = null;
    this.#cut?.();
    this.#disk?.crash();
    // Frees its memory; nothing of it reaches the disk.
    void life.store.close();
  }

  /** Drops the connection, where there is one. */
  cut(): void {
    this.#cut?.();
  }

  /** Is connected until the connection ends. */
  async #connection(life: Life): Promise<void> {
    const route = this.route();
    if (route === null || !route.stream.isUp) return;
    const { random } = this.world;
    let isOpen = true;
    const abandon = new Set<(error: Error) => void>();
    let unfollow: () => void = () => undefined;
    let end!: (ending: LinkEnding) => void;
    const ended = new Promise<LinkEnding>((resolve) => (end = resolve));
    const close = () => {
      if (!isOpen) return;
      isOpen = false;
      unfollow();
      for (const reject of abandon) reject(new Error('the connection ended'));
      end({ code: 1006, reason: '' });
    };
    this.#cut = close;
    const delay = () => this.world.latencyMs() + this.stallMs;
    const outward = new Lane(delay);
    const inward = new Lane(delay);
    /** The gateway's own connection to the instance of the stream. */
    const upstream = new Lane(() => random.whole(1, 30));
    const arrives = (message: () => void) => inward.send(() => void (isOpen && message()));

    let following!: () => void;
    const isFollowing = new Promise<void>((resolve) => (following = resolve));
    const request = (answer: (instance: SimulatedInstance) => Promise<unknown>): Promise<unknown> =>
      new Promise((resolve, reject) => {
        abandon.add(reject);
        setTimeout(() => {
          if (isOpen && abandon.has(reject)) close();
        }, REQUEST_MS);
        const done = (settle: () => void) => {
          abandon.delete(reject);
          settle();
        };
        outward.send(() => {
          // As the gateway does: a query waits for the subscription before it.
          void isFollowing
            .then(async () => {
              if (!route.queries.isUp) throw new Error('SERVICE_UNAVAILABLE');
              await this.world.wait(random.whole(1, 30));
              const data = await answer(route.queries);
              await this.world.wait(random.whole(1, 30));
              arrives(() => done(() => resolve(data)));
            })
            .catch(() => arrives(() => done(() => reject(new Error('refused')))));
        });
      });
    const session = new SyncSession({
      link: {
        ended,
        subscribe: (_query: string, _variables: Record<string, unknown>, onResult: (result: GraphqlResult) => void) =>
          outward.send(() => {
            if (!isOpen || !route.stream.isUp) return close();
            unfollow = route.stream.follow(
              (change) => upstream.send(() => arrives(() => onResult({ data: { flagChanges: change } }))),
              close,
            );
            following();
          }),
        request: (_query: string, { since, nonce }: Record<string, unknown>) =>
          request(async (instance) => ({
            flagSync: await instance.sync(this.vin, since as number, (nonce as string | undefined) ?? null),
          })),
      },
      keys: this.keys,
      log: () => undefined,
      now: () => Date.now() + this.offsetMs,
      ageingClock: life.clock,
      freshness: life.freshness,
      history: life.history,
      state: () => this.state,
      commit: async (next) => {
        if (life.isOver) return;
        const isStored = await life.store.save(next, this.keys);
        if (life.isOver) return;
        this.check(this, next);
        this.state = next;
        if (isStored) this.reported = life.store.status().persistedRevision;
      },
      refuse: ({ reason }) => void (life.isOver || this.refusals.push(reason)),
      synced: () => this.#backoff.reset(),
      touched: () => undefined,
      resyncDelayMs: () => 600_000,
      random: () => random.next(),
      aheadMs: 2_000,
      staleCheckMs: 60_000,
      backoff: this.#waits(1_000, 30_000),
      staleBackoff: this.#waits(60_000, 3_600_000),
    });
    const heartbeat = setInterval(() => {
      const askedAtMs = performance.now();
      void request((instance) => instance.proof())
        .then((jws) => session.prove(jws as string, askedAtMs))
        .catch(() => undefined);
    }, HEARTBEAT_MS);
    await session.run();
    clearInterval(heartbeat);
    close();
  }
}
