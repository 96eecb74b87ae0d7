import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, beforeEach, expect, test } from '@jest/globals';
import { openMetricsStore, type MetricsStore } from '../../shared/stores/metrics-store.ts';
import { readMetricBatch } from './metric-batch.ts';
import { MetricTables } from './metric-store.ts';

/** An HTTP server in place of ClickHouse, which records requests and gives the test's answers. */
let server: Server;
let store: MetricsStore;
let tables: MetricTables;
let inserts: { settings: URLSearchParams; body: string }[];
let answer: (response: ServerResponse) => void;

const NOW = Date.parse('2026-11-25T10:00:00Z');
const { rows } = readMetricBatch(
  'KMHK281HGNU000001',
  {
    batchId: 'b',
    items: [1, 2].map((value) => ({
      flagKey: 'eco',
      variant: 'control',
      metricName: 'größe "m"',
      value,
      timestamp: new Date(NOW),
      tags: { road: 'city\n' },
    })),
  },
  NOW,
);

async function respond(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  const settings = new URL(request.url ?? '', 'http://server').searchParams;
  const body = Buffer.concat(chunks).toString();
  if (!(settings.get('query') ?? '').startsWith('INSERT INTO metric_rows')) return void response.end('');
  inserts.push({ settings, body });
  answer(response);
}

beforeAll(async () => {
  server = createServer((request, response) => void respond(request, response)).listen(0, '127.0.0.1');
  await once(server, 'listening');
  store = await openMetricsStore({ url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, path: '' });
  tables = new MetricTables(store.client);
  // Another test covers the migrations; here the tables count as created.
  tables.make = async () => undefined;
});

beforeEach(() => {
  inserts = [];
  answer = (response) => response.end('');
});

afterAll(async () => {
  await store.close();
  server.close();
});

test('all rows are sent in one insert that the server may not delay, split or skip', async () => {
  await tables.insert(rows, new AbortController().signal);
  const [{ settings, body }] = inserts as [(typeof inserts)[number]];
  expect(inserts).toHaveLength(1);
  expect(settings.get('query')).toBe(
    'INSERT INTO metric_rows (flag_key, metric, at, vin, batch_id, position, variant, value, tags, received_at) FORMAT JSONCompactEachRow',
  );
  expect(Object.fromEntries(settings)).toMatchObject({
    async_insert: '0',
    insert_deduplicate: '0',
    min_insert_block_size_rows: '1048576',
    max_insert_block_size: '1048576',
  });
  expect(
    body
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as unknown),
  ).toEqual(
    [1, 2].map((value, position) => [
      'eco',
      'größe "m"',
      '2026-11-25 10:00:00.000',
      'KMHK281HGNU000001',
      'b',
      position,
      'control',
      value,
      '{"road":"city\\n"}',
      '2026-11-25 10:00:00.000',
    ]),
  );
});

test.each<[string, (response: ServerResponse) => void]>([
  [
    'refuses them',
    (response) =>
      response
        .writeHead(500, { 'x-clickhouse-exception-code': '241' })
        .end('Code: 241. DB::Exception: Memory limit exceeded. (MEMORY_LIMIT_EXCEEDED)'),
  ],
  ['ends without an answer', (response) => response.destroy()],
])('rows are not stored when the server %s', async (_, refuse) => {
  answer = refuse;
  await expect(tables.insert(rows, new AbortController().signal)).rejects.toThrow();
});

test('an insert that has timed out is aborted', async () => {
  answer = () => undefined;
  const late = new AbortController();
  const inserted = tables.insert(rows, late.signal);
  const over = expect(inserted).rejects.toThrow();
  while (inserts.length === 0) await new Promise((resolve) => setImmediate(resolve));
  late.abort();
  await over;
});
