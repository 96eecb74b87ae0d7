/** The contract of the metrics store's client, run against the engine in this process and behind HTTP. */
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import type { MetricsStore } from '../stores/metrics-store.ts';

/** Text with every character that a parameter or a row has to escape. */
const AWKWARD = `it's a "größe" \\ \\n \t \n \r\n [x] \`y\``;

/**
 * Declares the tests of the contract.
 *
 * @param open opens an empty store, which the contract closes
 */
export function metricsStoreContract(open: () => Promise<MetricsStore>): void {
  let store: MetricsStore;

  beforeAll(async () => {
    store = await open();
  });

  afterAll(() => store.close());

  const ask = async (query: string, values: Record<string, unknown> = {}) =>
    (await store.client.query({ query, format: 'JSONEachRow', query_params: values })).json();
  const make = async () => {
    await store.client.command({ query: 'DROP TABLE IF EXISTS samples SYNC' });
    await store.client.command({
      query: `CREATE TABLE samples (vin String, at DateTime64(3, 'UTC'), value Float64, tags Array(String))
        ENGINE = MergeTree ORDER BY vin`,
    });
  };
  const sample = (vin: string, value: number, tags: readonly string[] = []) => ({
    ...{ vin, at: '2026-11-29 10:00:00.123', value, tags },
  });
  const insert = (values: readonly object[]) =>
    store.client.insert({ table: 'samples', values, format: 'JSONEachRow' });

  test('answers a ping', async () => {
    await expect(store.ping()).resolves.toBeUndefined();
  });

  test('gives rows as they were inserted, in both formats', async () => {
    await make();
    await insert([sample(AWKWARD, 0.1 + 0.2, [AWKWARD, '']), sample('B', -1e300)]);
    await store.client.insert({
      table: 'samples',
      columns: ['value', 'vin'],
      values: [[7, 'C']],
      format: 'JSONCompactEachRow',
    });
    await insert([]);
    expect(await ask('SELECT * FROM samples ORDER BY value')).toEqual([
      sample('B', -1e300),
      sample(AWKWARD, 0.1 + 0.2, [AWKWARD, '']),
      { ...sample('C', 7), at: '1970-01-01 00:00:00.000' },
    ]);
  });

  test('stores all rows of a large insert', async () => {
    await make();
    await insert(Array.from({ length: 5_000 }, (_, index) => sample(`vin ${index}`, index)));
    expect(await ask('SELECT count() AS n, max(value) AS last FROM samples')).toEqual([{ n: 5_000, last: 4_999 }]);
    expect(await ask('SELECT value FROM samples ORDER BY value')).toHaveLength(5_000);
  });

  test('gives parameters of each type back as they were', async () => {
    const parameters: readonly [string, unknown][] = [
      ['String', AWKWARD],
      ['String', ''],
      ['String', "['a']"],
      ['Nullable(String)', null],
      ['Array(String)', [AWKWARD, '', "'"]],
      ['Array(String)', []],
      ['Array(UInt32)', [0, 4_294_967_295]],
      ['Array(Int64)', [-1, 9_007_199_254_740_991]],
      ['UInt32', 7],
      ['Int64', -9_007_199_254_740_991],
      ['Float64', 1.5e-7],
      ['Bool', true],
      ['Bool', false],
    ];
    const columns = parameters.map(([type], index) => `{p${index}:${type}} AS p${index}`);
    const values = Object.fromEntries(parameters.map(([, value], index) => [`p${index}`, value]));
    expect(await ask(`SELECT ${columns.join(', ')}`, values)).toEqual([values]);
  });

  test('finds rows by parameters', async () => {
    await make();
    await insert([sample(AWKWARD, 1), sample('B', 2), sample('C', 4)]);
    expect(await ask('SELECT value FROM samples WHERE vin = {vin:String}', { vin: AWKWARD })).toEqual([{ value: 1 }]);
    expect(
      await ask('SELECT sum(value) AS sum FROM samples WHERE has({vins:Array(String)}, vin)', { vins: [AWKWARD, 'C'] }),
    ).toEqual([{ sum: 5 }]);
  });

  test.each<[string, string, string, () => Promise<unknown>]>([
    ['a missing table', '60', 'UNKNOWN_TABLE', () => ask('SELECT * FROM missing')],
    [
      'a statement with a syntax error',
      '62',
      'SYNTAX_ERROR',
      () => store.client.command({ query: 'SELECT FROM WHERE' }),
    ],
    ['a missing column', '47', 'UNKNOWN_IDENTIFIER', () => ask('SELECT missing')],
    [
      'a missing setting',
      '115',
      'UNKNOWN_SETTING',
      () => store.client.command({ query: 'SELECT 1', clickhouse_settings: { missing: 1 } }),
    ],
    [
      'an insert into a missing table',
      '60',
      'UNKNOWN_TABLE',
      () => store.client.insert({ table: 'missing', values: [{ a: 1 }], format: 'JSONEachRow' }),
    ],
    [
      'a fault while a query runs',
      '395',
      'FUNCTION_THROW_IF_VALUE_IS_NON_ZERO',
      () => ask('SELECT throwIf(number = 3) FROM numbers(9)'),
    ],
  ])('refuses %s by its code, and answers the next request', async (_, code, type, request) => {
    await expect(request()).rejects.toMatchObject({ code, type });
    expect(await ask('SELECT 1 AS one')).toEqual([{ one: 1 }]);
  });

  test('stores nothing of an insert that has a fault', async () => {
    await make();
    await expect(insert([sample('A', 1), { ...sample('B', 2), value: 'much' }])).rejects.toMatchObject({
      type: expect.stringMatching(/^CANNOT_PARSE_/),
    });
    expect(await ask('SELECT count() AS n FROM samples')).toEqual([{ n: 0 }]);
  });

  test('answers concurrent requests, each with its own answer', async () => {
    await make();
    const numbers = Array.from({ length: 6 }, (_, index) => index);
    await Promise.all(numbers.map((value) => insert([sample('A', value)])));
    const answers = await Promise.all(
      numbers.map((n) => ask('SELECT {n:UInt32} AS n, count() AS all FROM samples', { n })),
    );
    expect(answers).toEqual(numbers.map((n) => [{ n, all: numbers.length }]));
  });

  test('gives up on a request that is aborted, and answers the next one', async () => {
    const abort = new AbortController();
    const slow = store.client.query({ query: 'SELECT sleep(1)', format: 'JSONEachRow', abort_signal: abort.signal });
    const over = expect(slow).rejects.toThrow();
    abort.abort();
    await over;
    expect(await ask('SELECT 1 AS one')).toEqual([{ one: 1 }]);
  });
}
