/**
 * One subscription at a subgraph, whatever number of distinct operations and clients it feeds.
 */
import type { GraphQLFormattedError } from 'graphql';
import { unattended } from '../../core/async/unattended.ts';
import { FleetFlagError } from '../../core/errors.ts';
import type {
  SubgraphConnection,
  SubgraphRequest,
  SubgraphResponse,
  SubgraphStream,
} from '../../core/wire/subgraph.ts';

/** How an upstream ended: by itself, because the subgraph refused the operation, or because it was lost. */
export type UpstreamEnd =
  | { readonly kind: 'complete' }
  | { readonly kind: 'refused'; readonly errors: readonly GraphQLFormattedError[] }
  | { readonly kind: 'lost'; readonly cause: unknown };

export interface UpstreamListener {
  /** Called for each event, in order, synchronously. */
  event(event: SubgraphResponse): void;
  /** Called at most once; never after `stop`. */
  ended(end: UpstreamEnd): void;
}

export interface UpstreamTimes {
  /** Milliseconds. */
  readonly establishmentTimeout: number;
  readonly establishmentGrace: number;
}

export class Upstream {
  /**
   * Resolves when no later event can be missed, or when the upstream has ended; never rejects. Null from then on.
   * See docs/decisions/subscribe-before-sync.md.
   */
  established: Promise<void> | null;
  private resolveEstablished!: () => void;
  private iterator: SubgraphStream | null = null;
  private timer: NodeJS.Timeout | undefined;
  private over = false;

  /** Opens the upstream: the iterator is created and asked for its first event before this returns. */
  constructor(
    connection: SubgraphConnection,
    request: SubgraphRequest,
    private readonly listener: UpstreamListener,
    private readonly times: UpstreamTimes,
  ) {
    this.established = new Promise((resolve) => (this.resolveEstablished = resolve));
    unattended(this.run(connection, request), 'Following a subscription at a subgraph');
  }

  /** Ends the subscription at the subgraph; the listener hears nothing more. */
  stop(): void {
    if (this.over) return;
    this.finish();
    // An iterator that will not close has no one left to tell.
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
      this.timer = setTimeout(() => this.settle(), this.times.establishmentGrace);
      return;
    }
    this.timer = setTimeout(
      () =>
        this.end({
          kind: 'lost',
          cause: new FleetFlagError('SERVICE_UNAVAILABLE', 'The upstream was not established in time.'),
        }),
      this.times.establishmentTimeout,
    );
    // A failure to establish also fails the iterator, which says why.
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
      // Never before the constructor has returned: the listener does not know the upstream yet.
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
        // Without `data` the request failed before it ran (GraphQL specification, 7.1): no event, a refusal.
        if (response.data === undefined && response.errors !== undefined) {
          return this.end({ kind: 'refused', errors: response.errors });
        }
        this.settle();
        next = iterator.next();
        // Marked as handled at once: it may reject while the event is being dealt with.
        next.catch(() => undefined);
        this.listener.event(response);
      }
    } catch (cause) {
      this.end({ kind: 'lost', cause });
    }
  }
}
