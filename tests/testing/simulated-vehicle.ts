/**
 * A vehicle that runs the agent's own sync over links to flags subgraphs in this process: links that can be cut and
 * events that can go astray.
 */
import type { SubgraphConnection } from '../../core/wire/subgraph/subgraph.ts';
import type { GraphqlResult, LinkEnding } from '../../agent/link/gateway-link.ts';
import { Backoff } from '../../core/async/backoff.ts';
import { SyncSession } from '../../agent/sync/sync-session.ts';
import type { SyncSessionOptions } from '../../agent/sync/sync-session-options.ts';
import { emptyState, type VehicleState } from '../../agent/state.ts';
import { SyncHistory } from '../../agent/sync/sync-history.ts';
import { AgeingClock } from '../../agent/trust/ageing-clock.ts';
import { Freshness } from '../../agent/trust/freshness.ts';
import type { PinnedKeys } from '../../agent/trust/pinned-keys.ts';
import type { RefusalReason } from '../../agent/trust/refusals.ts';
import type { Environment } from '../../core/model.ts';
import { identityOf } from '../../subgraphs/shared/testing/asking.ts';

/** The fate of one event on its way to the vehicle; one that is held arrives after the next. */
export type Fate = 'delivered' | 'lost' | 'doubled' | 'held';

/** The instances that serve a vehicle's stream and its queries, because gateways balance them over instances. */
export interface ServingInstances {
  readonly stream: SubgraphConnection;
  readonly queries: SubgraphConnection;
}

/** An interval so long that nothing converges by it within a test. */
const NEVER_MS = 3_600_000;

const never = () => new Backoff({ baseMs: NEVER_MS, capMs: NEVER_MS, random: () => 1 });

export class SimulatedVehicle {
  state: VehicleState;
  /** The revision after each commit. */
  readonly revisions: number[] = [];
  readonly refusals: RefusalReason[] = [];
  /** The number of syncs that were answered. */
  syncs = 0;
  readonly #ageingClock = new AgeingClock(Date.now);
  readonly #freshness = new Freshness({
    clock: this.#ageingClock,
    random: Math.random,
    unanswered: never(),
    reassignments: never(),
    assignmentSpreadMs: 0,
  });
  readonly #history = new SyncHistory({
    backoff: new Backoff({ baseMs: 5, capMs: 20, random: () => 1 }),
    newLinkMs: 0,
    belowMs: NEVER_MS,
    runningMs: () => performance.now(),
  });
  #session: { readonly over: Promise<void>; readonly cut: () => void } | undefined;

  constructor(
    vin: string,
    environment: Environment,
    private readonly keys: PinnedKeys,
    /** The fate of the next event. */
    private readonly fate: () => Fate,
  ) {
    this.state = emptyState({ vin, environment });
  }

  get connected(): boolean {
    return this.#session !== undefined;
  }

  connect(route: ServingInstances): void {
    if (this.#session !== undefined) return;
    let cut = () => undefined as void;
    const ended = new Promise<LinkEnding>((resolve) => (cut = () => resolve({ code: 1006, reason: '' })));
    const session = new SyncSession({
      link: this.#link(route, ended),
      keys: this.keys,
      log: () => undefined,
      now: Date.now,
      ageingClock: this.#ageingClock,
      freshness: this.#freshness,
      history: this.#history,
      aheadMs: 5,
      staleCheckMs: NEVER_MS,
      staleBackoff: never(),
      state: () => this.state,
      commit: async (next) => {
        this.state = next;
        this.revisions.push(next.revision);
      },
      refuse: ({ reason }) => this.refusals.push(reason),
      synced: () => this.syncs++,
      touched: () => undefined,
      resyncDelayMs: () => NEVER_MS,
      random: Math.random,
      backoff: new Backoff({ baseMs: 5, capMs: 20, random: () => 1 }),
    });
    this.#session = { over: session.run(), cut };
  }

  /** Cuts the link. Resolves when all its work has ended. */
  async disconnect(): Promise<void> {
    const session = this.#session;
    this.#session = undefined;
    session?.cut();
    await session?.over;
  }

  #link(route: ServingInstances, ended: Promise<LinkEnding>): SyncSessionOptions['link'] {
    const { vin, environment } = this.state.identity;
    const identity = identityOf({ kind: 'vehicle', vin, environment });
    let established: Promise<unknown> = Promise.resolve();
    return {
      ended,
      subscribe: (query: string, variables: Record<string, unknown>, onResult: (result: GraphqlResult) => void) => {
        const stream = route.stream.subscribe({ query, variables, identity });
        established = stream.established ?? established;
        let live = true;
        void ended.then(() => {
          live = false;
          return stream.return?.();
        });
        const held: GraphqlResult[] = [];
        const pump = async () => {
          for await (const result of stream) {
            if (!live) return;
            const event = JSON.parse(JSON.stringify(result)) as GraphqlResult;
            const fate = this.fate();
            if (fate === 'held') held.push(event);
            if (fate === 'delivered' || fate === 'doubled') onResult(event);
            if (fate === 'doubled') onResult(event);
            if (fate !== 'held') for (const late of held.splice(0)) onResult(late);
          }
        };
        void pump();
      },
      request: async (query: string, variables: Record<string, unknown>) => {
        // As the gateway does: a query waits for the subscription before it
        // (docs/decisions/streams/subscribe-before-sync.md).
        await established;
        const { data, errors } = await route.queries.execute({ query, variables, identity });
        if (errors !== undefined) throw new Error(errors[0]?.message);
        return JSON.parse(JSON.stringify(data)) as unknown;
      },
    };
  }
}
