/** The figures of the subgraphs of a process: their operations, streams and queues. */
import type { Counter, Histogram } from 'prom-client';
import type { WriterLoad } from '../../../core/async/batch-writer.ts';
import { withTimeout } from '../../../core/async/timeout.ts';
import type { Metrics } from '../../../core/monitoring/metrics.ts';
import type { SubgraphName } from '../../../core/wire/subgraph/subgraph.ts';

/** The deliveries to webhooks that wait. */
export interface OutboxLoad {
  readonly waiting: number;
  /** Seconds since the one that has been due for longest became due; 0 where none is due. */
  readonly overdueSeconds: number;
}

/** Milliseconds that a scrape waits for the database. */
const OUTBOX_TIMEOUT_MS = 2_000;

/** Counts what subgraphs do. One object serves all subgraphs of a process. */
export class SubgraphMetrics {
  readonly #metrics: Metrics;
  readonly #operations: Counter<'subgraph' | 'type' | 'code'>;
  readonly #operationSeconds: Histogram<'subgraph' | 'type'>;
  readonly #events: Counter<'subgraph'>;
  readonly #changeReads: Histogram<string>;
  readonly #streams = new Map<SubgraphName, number>();
  readonly #sockets = new Map<SubgraphName, () => number>();
  readonly #queues = new Map<string, () => WriterLoad>();

  constructor(metrics: Metrics) {
    this.#metrics = metrics;
    this.#operations = metrics.counter(
      'subgraph_operations_total',
      'Queries and mutations of a subgraph: code OK, or that of their first error.',
      ['subgraph', 'type', 'code'],
    );
    this.#operationSeconds = metrics.histogram(
      'subgraph_operation_duration_seconds',
      'Running a query or mutation of a subgraph.',
      ['subgraph', 'type'],
    );
    this.#events = metrics.counter('subgraph_events_total', 'Events that a subgraph has sent to gateways.', [
      'subgraph',
    ]);
    this.#changeReads = metrics.histogram(
      'change_read_seconds',
      'From the change of a flag to its being read for delivery by this process.',
      [],
    );
    metrics.gauge('subgraph_streams', 'Subscriptions that are open at a subgraph.', ['subgraph'], (it) => {
      for (const [subgraph, count] of this.#streams) it.set({ subgraph }, count);
    });
    metrics.gauge('subgraph_sockets', 'Websockets of gateways at a subgraph.', ['subgraph'], (it) => {
      for (const [subgraph, count] of this.#sockets) it.set({ subgraph }, count());
    });
    this.#queue('queue_items', 'Items that wait or are being written.', ({ held }) => held);
    this.#queue(
      'queue_capacity',
      'The most items that a queue holds; what does not fit is refused.',
      (load) => load.capacity,
    );
    this.#queue(
      'queue_wait_seconds',
      'How long the oldest waiting item of a queue has waited; 0 where none waits.',
      ({ oldestWaitMs }) => (oldestWaitMs ?? 0) / 1_000,
    );
    this.#queue(
      'queue_failures',
      'Writes of a queue that have failed since the last one that succeeded.',
      ({ failures }) => failures,
    );
  }

  #queue(name: string, help: string, read: (load: WriterLoad) => number): void {
    this.#metrics.gauge(name, help, ['queue'], (it) => {
      for (const [queue, load] of this.#queues) it.set({ queue }, read(load()));
    });
  }

  /** Counts an operation that has ended. */
  ran(subgraph: SubgraphName, type: string, code: string, seconds: number): void {
    this.#operations.inc({ subgraph, type, code });
    this.#operationSeconds.observe({ subgraph, type }, seconds);
  }

  /** Counts an open subscription until the function that it gives is called. */
  opened(subgraph: SubgraphName): () => void {
    const add = (count: number) => this.#streams.set(subgraph, (this.#streams.get(subgraph) ?? 0) + count);
    add(1);
    let isOpen = true;
    return () => {
      if (isOpen) add(-1);
      isOpen = false;
    };
  }

  /** Counts an event of a subscription. */
  sent(subgraph: SubgraphName): void {
    this.#events.inc({ subgraph });
  }

  /**
   * Counts changes that were read for delivery.
   *
   * @param changedAtMs milliseconds since 1970 of the newest of them
   */
  changesRead(changedAtMs: number): void {
    this.#changeReads.observe(Math.max(0, Date.now() - changedAtMs) / 1_000);
  }

  /** Reads the number of a subgraph's websockets at each scrape. */
  watchSockets(subgraph: SubgraphName, count: () => number): void {
    this.#sockets.set(subgraph, count);
  }

  /** Reads the load of a queue at each scrape. */
  watchQueue(queue: string, load: () => WriterLoad): void {
    this.#queues.set(queue, load);
  }

  /**
   * Reads the deliveries to webhooks that wait, at each scrape. They are in the database, so every process that has
   * them gives the same number; there are no samples while the database does not answer.
   */
  watchOutbox(read: () => Promise<OutboxLoad>): void {
    const inTime = () => withTimeout(OUTBOX_TIMEOUT_MS, 'The outbox was not read in time.', read);
    this.#metrics.gauge('webhook_outbox_deliveries', 'Deliveries to webhooks that wait.', [], async (it) =>
      it.set((await inTime()).waiting),
    );
    this.#metrics.gauge(
      'webhook_outbox_overdue_seconds',
      'How long the delivery to a webhook that is overdue for longest has been due.',
      [],
      async (it) => it.set((await inTime()).overdueSeconds),
    );
  }
}
