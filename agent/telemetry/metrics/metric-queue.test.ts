import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { EVALUATIONS_METRIC } from '../../../core/wire/vehicle/metric.ts';
import { gapOfStart, MetricQueue, QUEUE_LIMITS, type QueueOperation } from './metric-queue.ts';

const measurement = (value: number, more: object = {}) => ({
  flagKey: 'eco',
  variant: 'treatment',
  metricName: 'minutes',
  value,
  at: 1_000,
  tags: null,
  ...more,
});
const HOUR_MS = 3_600_000;

test('a batch is the oldest 500 rows, and does not change until it is settled', () => {
  const queue = new MetricQueue('q');
  expect(queue.batch()).toBeNull();
  for (let i = 0; i < 700; i++) queue.add(measurement(i));
  const batch = queue.batch();
  expect([batch?.id, batch?.rows.length, batch?.rows[0]?.value, batch?.rows.at(-1)?.value]).toEqual([
    'q:1',
    500,
    0,
    499,
  ]);
  queue.add(measurement(1_000));
  expect(queue.batch()).toEqual(batch);
  queue.settle();
  expect(queue.batch()).toMatchObject({ id: 'q:501', rows: { length: 201 } });
  queue.settle();
  expect([queue.batch(), queue.status()]).toEqual([null, { queued: 0, dropped: { evaluations: 0, measurements: 0 } }]);
});

test('a batch of large rows has fewer of them, so that its message is not too large', () => {
  const queue = new MetricQueue('q');
  for (let i = 0; i < 200; i++) queue.add(measurement(i, { tags: { text: 'x'.repeat(1_000) } }));
  expect(JSON.stringify(queue.batch()).length).toBeLessThan(200_000);
  expect(queue.batch()!.rows.length).toBeGreaterThan(50);
});

test('evaluations of a flag, variant and hour share a row, as long as it is in no batch', () => {
  const queue = new MetricQueue('q');
  const counts = () => queue.rows.map(({ variant, value, at }) => [variant, value, at]);
  queue.addEvaluations('eco', 'control', 2, 100);
  queue.addEvaluations('eco', 'treatment', 3, 200);
  queue.addEvaluations('eco', 'control', 5, 300);
  queue.addEvaluations('eco', 'control', 7, HOUR_MS);
  expect(counts()).toEqual([
    ['control', 7, 300],
    ['treatment', 3, 200],
    ['control', 7, HOUR_MS],
  ]);
  queue.batch();
  queue.addEvaluations('eco', 'control', 1, HOUR_MS + 1);
  expect(counts()).toEqual([
    ['control', 7, 300],
    ['treatment', 3, 200],
    ['control', 7, HOUR_MS],
    ['control', 1, HOUR_MS + 1],
  ]);
});

describe('where there is no room', () => {
  test('the oldest evaluation counts go first, then the oldest measurements, never the open batch, and all are counted', () => {
    const queue = new MetricQueue('q', { rows: 4, bytes: 1e6 });
    queue.add(measurement(1));
    queue.batch();
    queue.add(measurement(2));
    queue.addEvaluations('a', 'control', 10, 0);
    queue.addEvaluations('b', 'control', 20, 0);
    queue.add(measurement(3));
    expect(queue.rows.map(({ value }) => value)).toEqual([1, 2, 20, 3]);
    queue.add(measurement(4));
    queue.add(measurement(5));
    expect(queue.rows.map(({ value }) => value)).toEqual([1, 3, 4, 5]);
    expect(queue.status()).toEqual({ queued: 4, dropped: { evaluations: 30, measurements: 1 } });
  });

  test('in bytes, fewer rows are kept', () => {
    const queue = new MetricQueue('q');
    for (let i = 0; i < 1_000; i++) queue.add(measurement(i, { tags: { text: 'x'.repeat(1_000) } }));
    expect(queue.rows.length).toBeLessThan(QUEUE_LIMITS.bytes / 1_000);
    expect(queue.rows.length + queue.status().dropped.measurements).toBe(1_000);
  });
});

test('whatever happens in whatever order, each evaluation is waiting, sent or counted as dropped, once, and no batch id comes twice', () => {
  const step = fc.oneof(
    fc.record({
      kind: fc.constant('count' as const),
      flag: fc.constantFrom('a', 'b', 'c'),
      count: fc.integer({ min: 1, max: 9 }),
      hour: fc.integer({ min: 0, max: 3 }),
    }),
    fc.record({ kind: fc.constantFrom('batch' as const, 'settle' as const, 'track' as const) }),
    fc.record({ kind: fc.constant('discard' as const), position: fc.nat(3) }),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const queue = new MetricQueue('q', { rows: 5, bytes: 1e6 });
      let [counted, sent] = [0, 0];
      const settled = new Set<string>();
      for (const each of steps) {
        if (each.kind === 'count') {
          counted += each.count;
          queue.addEvaluations(each.flag, 'control', each.count, each.hour * HOUR_MS);
        } else if (each.kind === 'track') queue.add(measurement(1));
        else if (each.kind === 'batch') queue.batch();
        else if (each.kind === 'settle' && queue.batchLength > 0) {
          const { id, rows } = queue.batch()!;
          expect(settled.has(id)).toBe(false);
          settled.add(id);
          sent += rows.reduce((sum, row) => sum + (row.metricName === EVALUATIONS_METRIC ? row.value : 0), 0);
          queue.settle();
        } else if (each.kind === 'discard' && each.position < queue.batchLength) queue.discard(each.position);
        expect(queue.rows.length).toBeLessThanOrEqual(5);
      }
      const waiting = queue.rows.reduce((sum, row) => sum + (row.metricName === EVALUATIONS_METRIC ? row.value : 0), 0);
      expect(waiting + sent + queue.status().dropped.evaluations).toBe(counted);
    }),
  );
});

test('a copy that follows by operations, taken at any time, has the same rows and batch in the end', () => {
  const step = fc.oneof(
    fc.record({
      kind: fc.constant('count' as const),
      flag: fc.constantFrom('a', 'b', 'c'),
      hour: fc.integer({ min: 0, max: 2 }),
    }),
    fc.record({
      kind: fc.constantFrom(
        'batch' as const,
        'settle' as const,
        'track' as const,
        'discard' as const,
        'copy' as const,
        'restart' as const,
        'seal' as const,
      ),
    }),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const limits = { rows: 5, bytes: 1e6 };
      let queue = new MetricQueue('q', limits);
      let copied = { rows: [...queue.rows], batch: 0, nextId: 1, sealedId: 0 };
      // The operations go through JSON, as they do through a file.
      let later: QueueOperation[] = [];
      const note = () => later.push(...(JSON.parse(JSON.stringify(queue.takeOperations())) as QueueOperation[]));
      for (const each of steps) {
        if (each.kind === 'count') queue.addEvaluations(each.flag, 'control', 1, each.hour * HOUR_MS);
        else if (each.kind === 'track') queue.add(measurement(1));
        else if (each.kind === 'batch') queue.batch();
        else if (each.kind === 'settle') queue.settle();
        else if (each.kind === 'seal') queue.seal();
        else if (each.kind === 'discard' && queue.batchLength > 0) queue.discard(queue.batchLength - 1);
        else if (each.kind === 'copy') {
          queue.takeOperations();
          later = [];
          copied = {
            rows: [...queue.rows],
            batch: queue.batchLength,
            nextId: queue.nextId,
            sealedId: queue.sealedId,
          };
        } else if (each.kind === 'restart') {
          note();
          queue = new MetricQueue('another', limits);
          queue.restore(
            'q',
            copied.rows,
            copied.batch,
            copied.nextId,
            later,
            gapOfStart(() => 0.5),
            copied.sealedId,
          );
        }
      }
      note();
      const copy = new MetricQueue('another', limits);
      copy.restore('q', copied.rows, copied.batch, copied.nextId, later, 0, copied.sealedId);
      expect([copy.rows, copy.batchLength, copy.nextId]).toEqual([queue.rows, queue.batchLength, queue.nextId]);
      expect(copy.status().dropped).toEqual({ evaluations: 0, measurements: 0 });
      expect(copy.changed).toBe(false);
    }),
  );
});

test('rows that are sealed, because a backup has them, take no further evaluations and no later time', () => {
  const queue = new MetricQueue('q');
  queue.addEvaluations('eco', 'control', 3, 100);
  queue.seal();
  queue.addEvaluations('eco', 'control', 4, 200);
  queue.addEvaluations('eco', 'control', 5, 300);
  expect(queue.rows.map(({ value, at }) => [value, at])).toEqual([
    [3, 100],
    [9, 300],
  ]);
});

test('after a loss, new rows share no batch with rows that may have been sent already', () => {
  const queue = new MetricQueue('new');
  queue.add(measurement(3));
  const old = [1, 2].map((value) => ({ ...measurement(value), id: value }));
  queue.restore(
    'q',
    old,
    0,
    3,
    [],
    gapOfStart(() => 0),
  );
  expect(queue.batch()).toMatchObject({ id: 'q:1', rows: [{ value: 1 }, { value: 2 }] });
  queue.settle();
  expect(queue.batch()?.rows.map(({ value }) => value)).toEqual([3]);
});

test('two agents on copies of one file, or a restored file, never give two batches one id, except the batch in the file', () => {
  const lives = [0.1, 0.2].map((random) => {
    const queue = new MetricQueue('new');
    queue.restore(
      'q',
      [{ ...measurement(1), id: 7 }],
      0,
      8,
      [],
      gapOfStart(() => random),
    );
    queue.add(measurement(2));
    const ids: string[] = [];
    for (let batch = queue.batch(); batch !== null; batch = queue.batch()) {
      ids.push(batch.id);
      queue.settle();
    }
    return ids;
  });
  expect(lives.map((ids) => ids.length)).toEqual([2, 2]);
  expect(lives.map(([first]) => first)).toEqual(['q:7', 'q:7']);
  expect(lives[0]![1]).not.toBe(lives[1]![1]);
});

test('too many operations are given as none, so that the rows are copied', () => {
  const queue = new MetricQueue('q');
  for (let count = 0; count < 2_000; count++) queue.addEvaluations('a', 'control', 1, 0);
  expect([queue.changed, queue.takeOperations(), queue.changed]).toEqual([true, null, false]);
});
