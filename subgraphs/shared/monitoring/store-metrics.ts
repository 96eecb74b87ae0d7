/** The figures of the stores that a process uses: how long they take, what fails, and how full the pools are. */
import type { Counter, Histogram } from 'prom-client';
import { STORE_BUCKETS_SECONDS, type Metrics } from '../../../core/monitoring/metrics.ts';
import type { StatementKind } from './statement-kind.ts';

/** The connections of a pool, as `pg` counts them. */
export interface PoolFigures {
  readonly totalCount: number;
  readonly idleCount: number;
  readonly waitingCount: number;
}

/** The requests to ClickHouse. */
export type MetricsRequest = 'query' | 'insert' | 'command' | 'exec';

/** Observes PostgreSQL, Redis and ClickHouse. */
export class StoreMetrics {
  readonly #statements: Histogram<'pool' | 'kind'>;
  readonly #statementErrors: Counter<'pool' | 'class'>;
  readonly #commands: Histogram<'command'>;
  readonly #commandErrors: Counter<'command'>;
  readonly #requests: Histogram<'request'>;
  readonly #requestErrors: Counter<'request'>;
  readonly #pools = new Map<string, { readonly read: () => PoolFigures | null; readonly limit: number }>();
  readonly #connections = new Map<string, () => boolean>();

  constructor(metrics: Metrics) {
    this.#statements = metrics.histogram(
      'postgres_statement_duration_seconds',
      'Statements of PostgreSQL, the wait for a connection included; lock: those that wait for a row or an advisory lock.',
      ['pool', 'kind'],
      STORE_BUCKETS_SECONDS,
    );
    this.#statementErrors = metrics.counter(
      'postgres_errors_total',
      'Statements of PostgreSQL that failed, by the class of their SQLSTATE; connection: without an answer.',
      ['pool', 'class'],
    );
    metrics.gauge(
      'postgres_connections',
      'Connections to PostgreSQL that are open, by pool and whether a statement or a transaction has them.',
      ['pool', 'state'],
      (it) => {
        for (const [pool, { read }] of this.#pools) {
          const { totalCount, idleCount } = read() ?? { totalCount: 0, idleCount: 0 };
          it.set({ pool, state: 'idle' }, idleCount);
          it.set({ pool, state: 'busy' }, totalCount - idleCount);
        }
      },
    );
    metrics.gauge('postgres_connections_limit', 'The most connections to PostgreSQL, by pool.', ['pool'], (it) => {
      for (const [pool, { limit }] of this.#pools) it.set({ pool }, limit);
    });
    metrics.gauge(
      'postgres_waiting_requests',
      'Statements and transactions that wait for a connection to PostgreSQL.',
      ['pool'],
      (it) => {
        for (const [pool, { read }] of this.#pools) it.set({ pool }, read()?.waitingCount ?? 0);
      },
    );
    this.#commands = metrics.histogram(
      'redis_command_duration_seconds',
      'Commands of Redis, failures included.',
      ['command'],
      STORE_BUCKETS_SECONDS,
    );
    this.#commandErrors = metrics.counter('redis_errors_total', 'Commands of Redis that failed.', ['command']);
    metrics.gauge('redis_connected', 'Whether the connection to Redis is up: 1 or 0.', ['connection'], (it) => {
      for (const [connection, isUp] of this.#connections) it.set({ connection }, isUp() ? 1 : 0);
    });
    this.#requests = metrics.histogram(
      'clickhouse_request_duration_seconds',
      'Requests to the metrics store until its answer begins, failures included.',
      ['request'],
      STORE_BUCKETS_SECONDS,
    );
    this.#requestErrors = metrics.counter('clickhouse_errors_total', 'Requests to the metrics store that failed.', [
      'request',
    ]);
  }

  /**
   * Counts a statement.
   *
   * @param errorClass the first two characters of its SQLSTATE; null where it succeeded
   */
  statement(pool: string, kind: StatementKind, seconds: number, errorClass: string | null): void {
    this.#statements.observe({ pool, kind }, seconds);
    if (errorClass !== null) this.#statementErrors.inc({ pool, class: errorClass });
  }

  /** Reads a pool of connections to PostgreSQL at each scrape; `read` gives null before it has connected. */
  watchPool(pool: string, limit: number, read: () => PoolFigures | null): void {
    this.#pools.set(pool, { read, limit });
  }

  /** Counts a command of Redis. */
  command(command: string, seconds: number, hasFailed: boolean): void {
    this.#commands.observe({ command }, seconds);
    if (hasFailed) this.#commandErrors.inc({ command });
  }

  /** Reads whether a connection to Redis is up, at each scrape. */
  watchConnection(connection: string, isUp: () => boolean): void {
    this.#connections.set(connection, isUp);
  }

  /** Counts a request to ClickHouse. */
  request(request: MetricsRequest, seconds: number, hasFailed: boolean): void {
    this.#requests.observe({ request }, seconds);
    if (hasFailed) this.#requestErrors.inc({ request });
  }
}
