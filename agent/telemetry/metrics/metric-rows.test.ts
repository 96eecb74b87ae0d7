import { createHash } from 'node:crypto';
import { afterEach, beforeAll, beforeEach, expect, test } from '@jest/globals';
import fc from 'fast-check';
import initSqlJs, { type Database, type SqlJsStatic } from 'sql.js';
import { createDatabase } from '../../store/vehicle-database.ts';
import { MetricQueue, SENT_ROWS } from './metric-queue.ts';
import { readQueue, writeQueue } from './metric-rows.ts';

const NOW = 1_790_000_000;
const DAY_SECONDS = 86_400;
const measurement = (value: number, more: object = {}) => ({
  flagKey: 'eco',
  variant: 'treatment',
  metricName: 'minutes',
  value,
  at: NOW * 1000 + 250,
  tags: null,
  ...more,
});

let sql: SqlJsStatic;
let database: Database;

beforeAll(async () => {
  sql = await initSqlJs();
});
beforeEach(() => {
  database = createDatabase(sql);
});
afterEach(() => database.close());

const select = (columns: string) => database.exec(`SELECT ${columns} FROM metrics_queue ORDER BY id`)[0]?.values ?? [];

test('rows have Unix seconds and the tags as the program gave them', () => {
  const queue = new MetricQueue('q');
  queue.add(measurement(1, { tags: { road: 'city' } }));
  queue.add(measurement(2));
  writeQueue(database, queue, 0, NOW);
  expect(select('value, timestamp, tags, sent')).toEqual([
    [1, NOW, '{"road":"city"}', 0],
    [2, NOW, null, 0],
  ]);
});

test('a sent row stays for a day, is marked, and is never sent again', () => {
  const queue = new MetricQueue('q');
  queue.add(measurement(1));
  queue.add(measurement(2, { at: (NOW - DAY_SECONDS + 10) * 1000 }));
  queue.batch();
  writeQueue(database, queue, 0, NOW);
  expect(select('value, sent')).toEqual([
    [1, 0],
    [2, 0],
  ]);
  queue.settle();
  queue.add(measurement(3));
  writeQueue(database, queue, 0, NOW + 1);
  expect(select('value, sent')).toEqual([
    [1, 1],
    [2, 1],
    [3, 0],
  ]);
  expect(readQueue(database)?.rows.map(({ value }) => value)).toEqual([3]);
  writeQueue(database, queue, 0, NOW + 60);
  expect(select('value, sent')).toEqual([
    [1, 1],
    [3, 0],
  ]);
  writeQueue(database, queue, 0, NOW + DAY_SECONDS + 60);
  expect(select('value, sent')).toEqual([[3, 0]]);
});

test('a row that the control plane will never accept does not count as sent', () => {
  const queue = new MetricQueue('q');
  for (const value of [1, 2, 3]) queue.add(measurement(value));
  queue.batch();
  queue.discard(0);
  queue.batch();
  queue.settle(true);
  writeQueue(database, queue, 0, NOW);
  expect(select('value')).toEqual([]);
});

test('the newest sent rows are kept, and no more of them than there is room for', () => {
  const queue = new MetricQueue('q');
  for (let value = 1; value <= 2 * SENT_ROWS + 100; value++) queue.add(measurement(value));
  while (queue.batch() !== null) {
    queue.settle();
    writeQueue(database, queue, 0, NOW);
  }
  const kept = select('value').map(([value]) => value);
  expect([kept.length, kept.at(-1)]).toEqual([SENT_ROWS, 2 * SENT_ROWS + 100]);
});

test('a written queue is read back unchanged, whatever happened to it before', () => {
  const text = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 6 });
  const step = fc.oneof(
    fc.record({
      kind: fc.constant('track' as const),
      variant: text,
      tags: fc.option(fc.dictionary(text, fc.oneof(text, fc.boolean(), fc.integer())), { nil: null }),
      at: fc.nat(2 ** 42),
      value: fc.double({ noNaN: true, noDefaultInfinity: true }),
    }),
    fc.record({ kind: fc.constantFrom('batch' as const, 'settle' as const, 'seal' as const, 'write' as const) }),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
      const queue = new MetricQueue('q');
      for (const each of steps) {
        if (each.kind === 'track')
          queue.add({
            flagKey: 'eco',
            metricName: 'minutes',
            variant: each.variant,
            value: each.value,
            at: each.at,
            tags: each.tags,
          });
        else if (each.kind === 'batch') queue.batch();
        else if (each.kind === 'settle') queue.settle();
        else if (each.kind === 'seal') queue.seal();
        else writeQueue(database, queue, 0, NOW);
      }
      writeQueue(database, queue, 7, NOW);
      // -0 is 0 to SQLite as it is to JSON.
      const rows = queue.rows.map((row) => ({ ...row, value: row.value + 0 }));
      expect(readQueue(database)).toEqual({
        origin: 'q',
        rows,
        inBatch: queue.batchLength,
        nextId: queue.nextId,
        entry: 7,
        sealedId: queue.sealedId,
      });
    }),
    { numRuns: 60 },
  );
});

test('a database of an agent before 1.1.0, with milliseconds and wrapped tags, loses nothing', () => {
  const row = [4, 'eco', 'minutes', 3, NOW * 1000 + 250, '{"variant":"treatment","tags":{"road":"city"}}'];
  const digest = createHash('sha256')
    .update(JSON.stringify(['q', 1, 5, 9, [row]]))
    .digest('base64url');
  database.run(
    'INSERT INTO metrics_queue (id, flag_key, metric_name, value, timestamp, tags, sent) VALUES (?, ?, ?, ?, ?, ?, 0)',
    row,
  );
  database.run('INSERT INTO agent_state (key, value, updated_at) VALUES (?, ?, ?)', [
    'metrics_queue',
    JSON.stringify({ origin: 'q', inBatch: 1, nextId: 5, entry: 9, digest }),
    NOW,
  ]);
  const rows = [{ id: 4, ...measurement(3, { tags: { road: 'city' } }) }];
  expect(readQueue(database)).toEqual({ origin: 'q', rows, inBatch: 1, nextId: 5, entry: 9, sealedId: 0 });
});
