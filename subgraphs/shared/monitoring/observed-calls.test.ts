import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { Metrics } from '../../../core/monitoring/metrics.ts';
import { useTracing, type SpanStart } from '../../../core/monitoring/tracing.ts';
import { observeCommand, observeRequest, observeStatement } from './observed-calls.ts';
import { StoreMetrics } from './store-metrics.ts';

let metrics: Metrics;
let stores: StoreMetrics;
const spans: SpanStart[] = [];
beforeEach(() => {
  metrics = new Metrics();
  stores = new StoreMetrics(metrics);
  spans.length = 0;
  useTracing({
    run(span, work) {
      spans.push(span);
      return work(() => undefined);
    },
    traceparent: () => null,
    resume: () => (work) => work(),
  });
});
afterEach(() => useTracing(null));

const lines = async () => (await metrics.text()).body.split('\n').filter((line) => !line.startsWith('#'));
const failing = (error: unknown) => () =>
  Promise.reject(error instanceof Error ? error : Object.assign(new Error('no'), error));

test('statements, commands and requests give what they give, are counted, and are spans', async () => {
  const sql = 'SELECT revision FROM environments WHERE name = $1 FOR UPDATE';
  expect(await observeStatement('main', sql, stores, async () => 7)).toBe(7);
  expect(await observeCommand('get', stores, async () => 'value')).toBe('value');
  expect(await observeRequest('insert', stores, async () => null)).toBeNull();
  expect(await lines()).toEqual(
    expect.arrayContaining([
      'fleetflag_postgres_statement_duration_seconds_count{pool="main",kind="lock"} 1',
      'fleetflag_redis_command_duration_seconds_count{command="get"} 1',
      'fleetflag_clickhouse_request_duration_seconds_count{request="insert"} 1',
    ]),
  );
  expect(spans.map(({ name, kind }) => [name, kind])).toEqual([
    ['SELECT environments', 'client'],
    ['GET', 'client'],
    ['clickhouse insert', 'client'],
  ]);
  expect(JSON.stringify(spans)).not.toContain('$1');
});

test.each([
  ['of a driver adapter', { cause: { originalCode: '23505' } }, '23'],
  ['of the driver', { code: '57P01' }, '57'],
  ['of a lost connection', { code: 'ECONNRESET' }, 'connection'],
])('a failed statement %s is counted by its class, and fails as it did', async (_whose, fields, errorClass) => {
  const error = Object.assign(new Error('no'), fields);
  await expect(observeStatement('delivery', 'SELECT 1', stores, failing(error))).rejects.toBe(error);
  expect(await lines()).toContain(`fleetflag_postgres_errors_total{pool="delivery",class="${errorClass}"} 1`);
});

test('failed commands and requests are counted as well', async () => {
  await expect(observeCommand('set', stores, failing({}))).rejects.toThrow('no');
  await expect(observeRequest('query', stores, failing({}))).rejects.toThrow('no');
  expect(await lines()).toEqual(
    expect.arrayContaining([
      'fleetflag_redis_errors_total{command="set"} 1',
      'fleetflag_clickhouse_errors_total{request="query"} 1',
    ]),
  );
});

test('without metrics and traces a call is the call itself', async () => {
  useTracing(null);
  expect(await observeStatement('main', 'SELECT 1', undefined, async () => 1)).toBe(1);
  expect(spans).toEqual([]);
});

test('pools and connections are read at each scrape', async () => {
  let pool: { totalCount: number; idleCount: number; waitingCount: number } | null = null;
  let isUp = true;
  stores.watchPool('main', 10, () => pool);
  stores.watchConnection('commands', () => isUp);
  expect(await lines()).toEqual(
    expect.arrayContaining([
      'fleetflag_postgres_connections{pool="main",state="busy"} 0',
      'fleetflag_redis_connected{connection="commands"} 1',
    ]),
  );
  [pool, isUp] = [{ totalCount: 9, idleCount: 2, waitingCount: 4 }, false];
  expect(await lines()).toEqual(
    expect.arrayContaining([
      'fleetflag_postgres_connections{pool="main",state="busy"} 7',
      'fleetflag_postgres_connections{pool="main",state="idle"} 2',
      'fleetflag_postgres_connections_limit{pool="main"} 10',
      'fleetflag_postgres_waiting_requests{pool="main"} 4',
      'fleetflag_redis_connected{connection="commands"} 0',
    ]),
  );
});
