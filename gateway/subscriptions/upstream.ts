/** An upstream: one subscription at a subgraph, which feeds any number of distinct operations and clients. */
import type { GraphQLFormattedError } from 'graphql';
import { unattended } from '../../core/last-handler/unattended.ts';
import { FleetFlagError } from '../../core/errors.ts';
import type {
  SubgraphConnection,
  SubgraphRequest,
  SubgraphResponse,
  SubgraphStream,
} from '../../core/wire/subgraph/subgraph.ts';

/** The end of an upstream: it completed, the subgraph refused it, or its connection was lost. */
export type UpstreamEnd =
  | { readonly kind: 'complete' }
  | { readonly kind: 'refused'; readonly errors: readonly GraphQLFormattedError[] }
  | { readonly kind: 'lost'; readonly cause: unknown };

/** The receiver of an upstream's events. */
export interface UpstreamListener {
  /** Called synchronously for each event, in order. */
  event(event: SubgraphResponse): void;
  /** Called at most once, and never after `stop`. */
  ended(end: UpstreamEnd): void;
}

/** The timings of an upstream, in milliseconds. */
export interface UpstreamTimes {
  /** The time after which an upstream that is not established counts as lost. */
  readonly establishmentTimeoutMs: number;
  /** The time after which an upstream counts as established where its connection cannot report it. */
  readonly establishmentGraceMs: number;
}

/** Reads a subscription and passes its events to a listener. */
export class Upstream {
  /**
   * Resolves when no later event can be missed, or when the upstream has ended; never rejects. The property is null
   * from then on. See docs/decisions/streams/subscribe-before-sync.md.
   */
  established: Promise<void> | null;
  private resolveEstablished!: () => void;
  private iterator: SubgraphStream | null = null;
  private timer: NodeJS.Timeout | undefined;
  private over = false;

  /** Opens the upstream. The iterator is created, and its first event requested, before this returns. */
  constructor(
    connection: SubgraphConnection,
    request: SubgraphRequest,
    private readonly listener: UpstreamListener,
    private readonly times: UpstreamTimes,
  ) {
    this.established = new Promise((resolve) => (this.resolveEstablished = resolve));
    unattended(this.run(connection, request), 'Following a subscription at a subgraph');
  }

  /** Ends the subscription at the subgraph. The listener gets no more events. */
  stop(): void {
    if (this.over) return;
    this.finish();
    // Nobody waits for an iterator that fails to close.
    this.iterator?.return?.().catch(() => undefined);
  }

  private finish(): void {
    this.over = true;
    this.settle();
  }

  private settle(): void {
    clearTimeout(this.timer);
    this.established = null;
    this.resolveEstablished();
  }

  private end(end: UpstreamEnd): void {
    if (this.over) return;
    this.finish();
    if (end.kind !== 'complete') this.iterator?.return?.().catch(() => undefined);
    this.listener.ended(end);
  }

  private awaitEstablishment(established: Promise<void> | undefined): void {
    if (established === undefined) {
      this.timer = setTimeout(() => this.settle(), this.times.establishmentGraceMs);
      return;
    }
    this.timer = setTimeout(
      () =>
        this.end({
          kind: 'lost',
          cause: new FleetFlagError('SERVICE_UNAVAILABLE', 'The subgraph did not start the subscription in time.'),
        }),
      this.times.establishmentTimeoutMs,
    );
    // A failure to establish also fails the iterator, which gives the reason.
    established.then(
      () => this.settle(),
      () => undefined,
    );
  }

  private async run(connection: SubgraphConnection, request: SubgraphRequest): Promise<void> {
    let iterator: SubgraphStream;
    try {
      iterator = connection.subscribe(request);
    } catch (cause) {
      // This waits for the constructor to return, because the listener does not know the upstream before.
      await Promise.resolve();
      return this.end({ kind: 'lost', cause });
    }
    try {
      this.iterator = iterator;
      let next = iterator.next();
      this.awaitEstablishment(iterator.established);
      for (;;) {
        const item = await next;
        if (this.over) return;
        if (item.done === true) return this.end({ kind: 'complete' });
        const response = item.value;
        // Without `data`, the request failed before it ran (GraphQL specification, 7.1), so this is a refusal.
        if (response.data === undefined && response.errors !== undefined) {
          return this.end({ kind: 'refused', errors: response.errors });
        }
        this.settle();
        next = iterator.next();
        // The promise is marked as handled at once, because it may reject while the event is processed.
        next.catch(() => undefined);
        this.listener.event(response);
      }
    } catch (cause) {
      this.end({ kind: 'lost', cause });
    }
  }
}
