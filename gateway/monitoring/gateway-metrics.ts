/**
 * The metrics of the gateway for a Prometheus server (`/metrics`, docs/operations/deployment.md): its requests,
 * operations, sockets and process.
 */
import { AggregatorRegistry, Counter, Gauge, Histogram, Registry, collectDefaultMetrics } from 'prom-client';
import type { Caller } from '../../core/access/caller.ts';
import type { AnswerCounts } from '../operations/answers/revision-answers.ts';
import type { SubscriptionCounters } from '../transports/websocket/subscription-server.ts';

/** The histograms' buckets. The last is the timeout of a request. */
const BUCKETS_SECONDS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30];

/**
 * Gauges of prom-client that have names of counters. They are left out; others that stay (`nodejs_active_handles{type}`)
 * sum up to them.
 */
const MISNAMED = ['nodejs_active_handles_total', 'nodejs_active_requests_total', 'nodejs_active_resources_total'];

/** The figures that the websocket server keeps. */
export interface SocketFigures {
  counters(): SubscriptionCounters;
  /** The callers of the open sockets; sockets without a connection_init yet are left out. */
  identities(): Iterable<{ readonly caller: Caller }>;
}

/** All figures of one process, as JSON that another process can sum up. */
export type MetricFigures = Awaited<ReturnType<Registry['getMetricsAsJSON']>>;

/** The gateway's figures, of this process or summed over the gateways on one port. */
export class GatewayMetrics {
  readonly #registry = new Registry();
  #figuresOfOthers: (() => Promise<readonly unknown[]>) | null = null;
  readonly #requests = this.#counter('http_requests_total', 'HTTP requests answered, by route and status.', [
    'route',
    'status',
  ]);
  readonly #requestSeconds = this.#histogram(
    'http_request_duration_seconds',
    'From the arrival of an HTTP request to the end of its answer.',
    ['route'],
  );
  readonly #operations = this.#counter(
    'operations_total',
    'Queries and mutations, over HTTP and websockets: code OK, or that of their first error.',
    ['type', 'code'],
  );
  readonly #operationSeconds = this.#histogram(
    'operation_duration_seconds',
    'Running a query or mutation, all subgraphs together.',
    ['type'],
  );
  /** Reads the sockets' counters once for all metrics, because each reading visits every socket. */
  #readSockets: () => void = () => undefined;
  #watchesProcess = false;

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

  /** Adds the metrics of the sockets, which are read at each scrape. */
  watch(sockets: SocketFigures): void {
    let counters = sockets.counters();
    this.#readSockets = () => (counters = sockets.counters());
    const gauge = (name: string, help: string, read: (counters: SubscriptionCounters) => number) =>
      this.#gauge(name, help, [], (it) => it.set(read(counters)));
    const total = (name: string, help: string, read: (counters: SubscriptionCounters) => number) =>
      this.#total(name, help, [], (it) => it.inc(read(counters)));

    this.#gauge(
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
      'Upgrades answered with 503 and Retry-After, because more came at once than could be served.',
      ({ putOff }) => putOff,
    );
    total(
      'subscription_skips_total',
      'Times that a client did not keep up and was sent the newest event instead of all.',
      ({ skips }) => skips,
    );
    this.#total(
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
    this.#total(
      'revision_answers_total',
      'Queries that revisions govern, by how they were answered: held, computed, unchanged (a tag alone), or passed on.',
      ['way'],
      (it) => {
        for (const [way, count] of Object.entries(answers.counts)) it.inc({ way }, count);
      },
    );
    this.#gauge('revision_answer_bytes', 'Bytes of the answers that are kept.', [], (it) => it.set(answers.bytes));
  }

  /** Adds the metrics of unhandled failures and lost log lines, which are read at each scrape. */
  watchProcess(unforeseen: () => Readonly<Record<string, number>>, lostLogLines: () => number): void {
    this.#total(
      'log_lines_lost_total',
      'Log lines that could not be written, because the disk or pipe was full.',
      [],
      (it) => it.inc(lostLogLines()),
    );
    this.#total(
      'unforeseen_failures_total',
      'Unhandled rejections and uncaught exceptions in this process.',
      ['kind'],
      (it) => {
        for (const [kind, count] of Object.entries(unforeseen())) it.inc({ kind }, count);
      },
    );
  }

  /** Adds the metrics of the gateway processes that share the port. */
  watchWorkers(read: () => { readonly running: number; readonly replaced: number }): void {
    this.#gauge('workers', 'Gateway processes that share the port.', [], (it) => it.set(read().running));
    this.#total('workers_replaced_total', 'Gateway processes that ended and were replaced.', [], (it) =>
      it.inc(read().replaced),
    );
  }

  /**
   * Gives sums over this process and others from now on.
   *
   * @param figures resolves to the result of `figures()` in each of the others
   */
  sumWith(figures: () => Promise<readonly unknown[]>): void {
    this.#figuresOfOthers = figures;
  }

  /** Gives the figures of this process alone. */
  async figures(): Promise<MetricFigures> {
    this.#readProcess();
    return this.#registry.getMetricsAsJSON();
  }

  /** Gives all metrics in Prometheus' text format, with its media type. */
  async text(): Promise<{ readonly type: string; readonly body: string }> {
    const registry = await this.#summed();
    return { type: registry.contentType, body: await registry.metrics() };
  }

  async #summed(): Promise<Registry> {
    if (this.#figuresOfOthers === null) {
      this.#readProcess();
      return this.#registry;
    }
    const [own, others] = await Promise.all([this.figures(), this.#figuresOfOthers()]);
    return AggregatorRegistry.aggregate([own, ...others.filter((each) => Array.isArray(each))]);
  }

  #readProcess(): void {
    // This begins with the first scrape, because watching the event loop and the garbage collector has a constant cost.
    if (!this.#watchesProcess) {
      collectDefaultMetrics({ register: this.#registry });
      for (const name of MISNAMED) this.#registry.removeSingleMetric(name);
    }
    this.#watchesProcess = true;
    this.#readSockets();
  }

  #counter<Label extends string>(name: string, help: string, labelNames: Label[]): Counter<Label> {
    return new Counter({ name: `fleetflag_${name}`, help, labelNames, registers: [this.#registry] });
  }

  #histogram<Label extends string>(name: string, help: string, labelNames: Label[]): Histogram<Label> {
    return new Histogram({
      name: `fleetflag_${name}`,
      help,
      labelNames,
      buckets: BUCKETS_SECONDS,
      registers: [this.#registry],
    });
  }

  #gauge<Label extends string>(
    name: string,
    help: string,
    labelNames: Label[],
    collect: (it: Gauge<Label>) => void,
  ): void {
    new Gauge({
      name: `fleetflag_${name}`,
      help,
      labelNames,
      registers: [this.#registry],
      collect() {
        collect(this);
      },
    });
  }

  /** Adds a counter whose value is kept elsewhere. */
  #total<Label extends string>(
    name: string,
    help: string,
    labelNames: Label[],
    collect: (it: Counter<Label>) => void,
  ): void {
    new Counter({
      name: `fleetflag_${name}`,
      help,
      labelNames,
      registers: [this.#registry],
      collect() {
        this.reset();
        collect(this);
      },
    });
  }
}
