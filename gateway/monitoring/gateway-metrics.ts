/**
 * The metrics of the gateway for a Prometheus server (`/metrics`, docs/operations/monitoring.md): its requests,
 * operations and sockets.
 */
import type { Counter, Histogram } from 'prom-client';
import { Metrics } from '../../core/monitoring/metrics.ts';
import type { Caller } from '../../core/access/caller.ts';
import type { AnswerCounts } from '../operations/answers/revision-answers.ts';
import type { SubscriptionCounters } from '../transports/websocket/subscription-server.ts';

/** The figures that the websocket server keeps. */
export interface SocketFigures {
  counters(): SubscriptionCounters;
  /** The callers of the open sockets; sockets without a connection_init yet are left out. */
  identities(): Iterable<{ readonly caller: Caller }>;
}

/** The gateway's figures among the metrics of its process. */
export class GatewayMetrics {
  readonly #metrics: Metrics;
  readonly #requests: Counter<'route' | 'status'>;
  readonly #requestSeconds: Histogram<'route'>;
  readonly #operations: Counter<'type' | 'code'>;
  readonly #operationSeconds: Histogram<'type'>;
  readonly #deliverySeconds: Histogram<string>;

  constructor(metrics: Metrics = new Metrics()) {
    this.#metrics = metrics;
    this.#requests = metrics.counter('http_requests_total', 'HTTP requests answered, by route and status.', [
      'route',
      'status',
    ]);
    this.#requestSeconds = metrics.histogram(
      'http_request_duration_seconds',
      'From the arrival of an HTTP request to the end of its answer.',
      ['route'],
    );
    this.#operations = metrics.counter(
      'operations_total',
      'Queries and mutations, over HTTP and websockets: code OK, or that of their first error.',
      ['type', 'code'],
    );
    this.#operationSeconds = metrics.histogram(
      'operation_duration_seconds',
      'Running a query or mutation, all subgraphs together.',
      ['type'],
    );
    this.#deliverySeconds = metrics.histogram(
      'change_delivery_seconds',
      'From the change of a flag to the write of its frame to the last socket of a subscription.',
      [],
    );
  }

  /**
   * Counts an HTTP request that was answered.
   *
   * @param route the pattern that matched, and not the path, because clients could make any number of paths
   */
  answered(route: string, status: number, seconds: number): void {
    this.#requests.inc({ route, status });
    this.#requestSeconds.observe({ route }, seconds);
  }

  /**
   * Counts an operation that has ended.
   *
   * @param type `invalid` where the document has no operation that could run
   */
  ran(type: 'query' | 'mutation' | 'subscription' | 'invalid', code: string, seconds: number): void {
    this.#operations.inc({ type, code });
    this.#operationSeconds.observe({ type }, seconds);
  }

  /**
   * Counts a change that has been written to all sockets of a subscription.
   *
   * @param changedAtMs milliseconds since 1970 of the change, by the clock of the process that made it
   */
  delivered(changedAtMs: number): void {
    this.#deliverySeconds.observe(Math.max(0, Date.now() - changedAtMs) / 1_000);
  }

  /** Adds the metrics of the sockets, which are read at each scrape. */
  watch(sockets: SocketFigures): void {
    let counters = sockets.counters();
    // All metrics share one reading, because each reading visits every socket.
    this.#metrics.beforeReading(() => (counters = sockets.counters()));
    const gauge = (name: string, help: string, read: (counters: SubscriptionCounters) => number) =>
      this.#metrics.gauge(name, help, [], (it) => it.set(read(counters)));
    const total = (name: string, help: string, read: (counters: SubscriptionCounters) => number) =>
      this.#metrics.total(name, help, [], (it) => it.inc(read(counters)));

    this.#metrics.gauge(
      'sockets',
      'Open websockets, by kind of caller; unknown: connection_init has not arrived yet.',
      ['caller'],
      (it) => {
        const open: Record<string, number> = { vehicle: 0, user: 0, apiKey: 0 };
        let known = 0;
        for (const { caller } of sockets.identities()) {
          known += 1;
          open[caller.kind] = (open[caller.kind] ?? 0) + 1;
        }
        for (const [caller, count] of Object.entries({ ...open, unknown: Math.max(0, counters.sockets - known) }))
          it.set({ caller }, count);
      },
    );
    gauge('socket_operations', 'Operations open on all websockets.', ({ operations }) => operations);
    gauge(
      'distinct_subscriptions',
      'Distinct subscriptions: each event is executed once for each of these.',
      ({ distinctOperations }) => distinctOperations,
    );
    gauge(
      'waiting_operations',
      'Queries and mutations of websockets that wait for their turn.',
      ({ waitingOperations }) => waitingOperations,
    );
    gauge(
      'waiting_events',
      'Events that wait to be executed or sent, over all distinct subscriptions.',
      ({ waitingEvents }) => waitingEvents,
    );
    gauge(
      'socket_waiting_bytes',
      'Bytes that wait in this process for clients to read them.',
      ({ waitingBytes }) => waitingBytes,
    );
    gauge('upstreams', 'Streams from subgraphs.', ({ upstreams }) => upstreams);
    total('upstreams_lost_total', 'Streams from subgraphs that were lost.', ({ upstreamsLost }) => upstreamsLost);
    total('upstream_events_total', 'Events that came from subgraphs.', ({ upstreamEvents }) => upstreamEvents);
    total(
      'event_executions_total',
      'Executions of an event for a distinct subscription.',
      ({ executions }) => executions,
    );
    total('frames_sent_total', 'Frames sent to websockets.', ({ framesSent }) => framesSent);
    total('frame_bytes_sent_total', 'Bytes of those frames.', ({ bytesSent }) => bytesSent);
    total(
      'sockets_refused_total',
      'Upgrades refused because their address has too many sockets.',
      ({ refused }) => refused,
    );
    total(
      'sockets_put_off_total',
      'Upgrades answered with 503 and Retry-After, because more came than could be served, or held.',
      ({ putOff }) => putOff,
    );
    total(
      'subscription_skips_total',
      'Times that a client did not keep up and was sent the newest event instead of all.',
      ({ skips }) => skips,
    );
    this.#metrics.total(
      'sockets_closed_total',
      'Websockets that the gateway closed: too slow to read, silent, or sending too much.',
      ['reason'],
      (it) => {
        const { slowClosed, deadClosed, rateClosed } = counters;
        for (const [reason, count] of Object.entries({ slow: slowClosed, silent: deadClosed, rate: rateClosed }))
          it.inc({ reason }, count);
      },
    );
  }

  /** Adds the metrics of answers by revision (operations/answers), which are read at each scrape. */
  watchAnswers(answers: { readonly bytes: number; readonly counts: Readonly<AnswerCounts> }): void {
    this.#metrics.total(
      'revision_answers_total',
      'Queries that revisions govern, by how they were answered: held, computed, unchanged (a tag alone), or passed on.',
      ['way'],
      (it) => {
        for (const [way, count] of Object.entries(answers.counts)) it.inc({ way }, count);
      },
    );
    this.#metrics.gauge('revision_answer_bytes', 'Bytes of the answers that are kept.', [], (it) =>
      it.set(answers.bytes),
    );
  }
}

/** Adds the metrics of the gateway processes that share a port to those of the process that has started them. */
export function watchWorkers(
  metrics: Metrics,
  read: () => { readonly running: number; readonly replaced: number },
): void {
  metrics.gauge('workers', 'Gateway processes that share the port.', [], (it) => it.set(read().running));
  metrics.total('workers_replaced_total', 'Gateway processes that ended and were replaced.', [], (it) =>
    it.inc(read().replaced),
  );
}
