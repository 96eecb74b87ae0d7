/** Calls of the stores, each a span in its request's trace, and counted. */
import { isObject } from '../../../core/json/json-value.ts';
import { traced } from '../../../core/monitoring/tracing.ts';
import { describeStatement } from './statement-kind.ts';
import type { MetricsRequest, StoreMetrics } from './store-metrics.ts';

/** Runs `send` and says how long it took and whether it failed. Rejects as `send` does. */
async function timed<T>(send: () => Promise<T>, over: (seconds: number, error: unknown) => void): Promise<T> {
  const begun = performance.now();
  try {
    const result = await send();
    over((performance.now() - begun) / 1_000, null);
    return result;
  } catch (error) {
    over((performance.now() - begun) / 1_000, error ?? new Error('A call failed without an error'));
    throw error;
  }
}

/** The error of a driver adapter of Prisma has the server's code among its cause; `pg`'s has it itself. */
function errorClassOf(error: unknown): string {
  const cause = isObject(error) ? error['cause'] : undefined;
  for (const code of [isObject(cause) ? cause['originalCode'] : undefined, isObject(error) ? error['code'] : undefined])
    if (typeof code === 'string' && /^[0-9A-Z]{5}$/.test(code)) return code.slice(0, 2);
  return 'connection';
}

/**
 * Sends a statement to PostgreSQL.
 *
 * @param sql with marks in the place of values
 */
export function observeStatement<T>(
  pool: string,
  sql: string,
  metrics: StoreMetrics | undefined,
  send: () => Promise<T>,
): Promise<T> {
  const { kind, verb, table } = describeStatement(sql);
  return traced(
    () => ({
      name: table === '' ? verb : `${verb} ${table}`,
      kind: 'client',
      attributes: {
        'db.system.name': 'postgresql',
        'db.operation.name': verb,
        ...(table !== '' && { 'db.collection.name': table }),
        'fleetflag.pool': pool,
      },
    }),
    () =>
      metrics === undefined
        ? send()
        : timed(send, (seconds, error) =>
            metrics.statement(pool, kind, seconds, error === null ? null : errorClassOf(error)),
          ),
  );
}

/** Sends a command to Redis. */
export function observeCommand<T>(
  command: string,
  metrics: StoreMetrics | undefined,
  send: () => Promise<T>,
): Promise<T> {
  return traced(
    () => ({
      name: command.toUpperCase(),
      kind: 'client',
      attributes: { 'db.system.name': 'redis', 'db.operation.name': command.toUpperCase() },
    }),
    () =>
      metrics === undefined
        ? send()
        : timed(send, (seconds, error) => metrics.command(command, seconds, error !== null)),
  );
}

/** Sends a request to ClickHouse. */
export function observeRequest<T>(
  request: MetricsRequest,
  metrics: StoreMetrics | undefined,
  send: () => Promise<T>,
): Promise<T> {
  return traced(
    () => ({
      name: `clickhouse ${request}`,
      kind: 'client',
      attributes: { 'db.system.name': 'clickhouse', 'db.operation.name': request },
    }),
    () =>
      metrics === undefined
        ? send()
        : timed(send, (seconds, error) => metrics.request(request, seconds, error !== null)),
  );
}
