import { describe, expect, test } from '@jest/globals';
import { eventually } from '../../../core/testing/eventually.ts';
import type { MetricBatch, MetricRow } from './metric-batch.ts';
import { COLLECTOR_LIMITS, MetricCollector, type MetricCollectorLimits } from './metric-collector.ts';

const LIMITS: MetricCollectorLimits = { ...COLLECTOR_LIMITS, windowMs: 1 };

function batch(vin: string, batchId = 'b', rows = 1): MetricBatch {
  const row = (position: number): MetricRow => `${JSON.stringify(['flag', 'metric', vin, batchId, position])}\n`;
  return {
    vin,
    batchId,
    rows: Array.from({ length: rows }, (_, position) => row(position)),
    bytes: rows * 100,
    dropped: 0,
  };
}

/** Creates a store whose inserts wait until the test ends them. */
function heldStore() {
  const inserts: { rows: readonly MetricRow[]; end: () => void; fail: (error: Error) => void }[] = [];
  return {
    inserts,
    insert: (rows: readonly MetricRow[]) => new Promise<void>((end, fail) => inserts.push({ rows, end, fail })),
  };
}

const refusalOf = (promise: Promise<unknown>) =>
  promise.then(
    () => null,
    (error: { code: string; details: unknown }) => ({ code: error.code, details: error.details }),
  );

test('batches of many vehicles share one insert, and each is answered when it is stored', async () => {
  const { inserts, insert } = heldStore();
  const collector = new MetricCollector(insert, LIMITS);
  let answered = 0;
  const answers = Array.from({ length: 300 }, async (_, i) => {
    const answer = await collector.add(batch(`V${i}`, 'b', 3));
    answered += 1;
    return answer;
  });
  await eventually(() => inserts.length > 0);
  expect(inserts.map(({ rows }) => rows.length)).toEqual([900]);
  expect(answered).toBe(0);
  inserts[0]!.end();
  expect(new Set(await Promise.all(answers))).toEqual(new Set(['stored']));
});

test('an insert is cut only between batches, and the others wait for the next one', async () => {
  const { inserts, insert } = heldStore();
  const collector = new MetricCollector(insert, { ...LIMITS, insertRows: 10, inserts: 1 });
  const answers = Array.from({ length: 5 }, (_, i) => collector.add(batch(`V${i}`, 'b', 4)));
  await eventually(() => inserts.length === 1);
  expect(inserts[0]!.rows).toHaveLength(12);
  inserts[0]!.end();
  await eventually(() => inserts.length === 2);
  expect(inserts[1]!.rows).toHaveLength(8);
  inserts[1]!.end();
  expect(await Promise.all(answers)).toEqual(Array(5).fill('stored'));
});

test('the same batch on two connections at once, and again later, is inserted once', async () => {
  const { inserts, insert } = heldStore();
  const collector = new MetricCollector(insert, LIMITS);
  const [one, two] = [collector.add(batch('V')), collector.add(batch('V'))];
  await eventually(() => inserts.length === 1);
  expect(inserts[0]!.rows).toHaveLength(1);
  inserts[0]!.end();
  expect([await one, await two, await collector.add(batch('V'))]).toEqual(['stored', 'known', 'known']);
  expect(inserts).toHaveLength(1);
});

test('a batch that could not be stored is refused to all callers with growing waits, and accepted again later', async () => {
  const { inserts, insert } = heldStore();
  const collector = new MetricCollector(insert, LIMITS);
  for (const retryAfter of [2, 4]) {
    const refusals = [
      refusalOf(collector.add(batch('V'))),
      refusalOf(collector.add(batch('V'))),
      refusalOf(collector.add(batch('W'))),
    ];
    await eventually(() => inserts.length === 1);
    inserts.pop()!.fail(new Error('away'));
    expect(await Promise.all(refusals)).toEqual(
      Array(3).fill({ code: 'SERVICE_UNAVAILABLE', details: { retryAfter } }),
    );
  }
  const again = collector.add(batch('V'));
  await eventually(() => inserts.length === 1);
  inserts.pop()!.end();
  expect(await again).toBe('stored');
});

describe('the queue', () => {
  test.each<[string, Partial<MetricCollectorLimits>]>([
    ['rows', { heldRows: 20 }],
    ['bytes', { heldBytes: 2_000 }],
  ])('is bounded in %s, waiting or being inserted, and has room again once they are stored', async (_, limits) => {
    const { inserts, insert } = heldStore();
    const collector = new MetricCollector(insert, { ...LIMITS, ...limits });
    const first = collector.add(batch('V', 'b', 15));
    await eventually(() => inserts.length === 1);
    expect(await refusalOf(collector.add(batch('W', 'b', 6)))).toEqual({
      code: 'SERVICE_UNAVAILABLE',
      details: { retryAfter: 2 },
    });
    const second = collector.add(batch('W', 'c', 5));
    inserts[0]!.end();
    await first;
    await eventually(() => inserts.length === 2);
    const third = collector.add(batch('X', 'b', 15));
    inserts[1]!.end();
    await second;
    await eventually(() => inserts.length === 3);
    inserts[2]!.end();
    expect(await third).toBe('stored');
  });

  test('cannot be filled by one vehicle', async () => {
    const { inserts, insert } = heldStore();
    const collector = new MetricCollector(insert, { ...LIMITS, batchesOfVehicle: 2 });
    const answers = [collector.add(batch('V', 'a')), collector.add(batch('V', 'b'))];
    expect(await refusalOf(collector.add(batch('V', 'c')))).toEqual({
      code: 'RATE_LIMITED',
      details: { limit: 2, retryAfter: 1 },
    });
    answers.push(collector.add(batch('W', 'a')));
    await eventually(() => inserts.length === 1);
    inserts[0]!.end();
    await Promise.all(answers);
    const later = collector.add(batch('V', 'c'));
    await eventually(() => inserts.length === 2);
    inserts[1]!.end();
    expect(await later).toBe('stored');
  });
});

test('an insert that never ends is refused with those queued behind it, and keeps its places until it has really ended', async () => {
  const { inserts, insert } = heldStore();
  const collector = new MetricCollector(insert, { ...LIMITS, inserts: 1, insertTimeoutMs: 50, heldRows: 20 });
  const first = refusalOf(collector.add(batch('V', 'b', 15)));
  await eventually(() => inserts.length === 1);
  const behind = refusalOf(collector.add(batch('X', 'b', 5)));
  expect(await first).toEqual({ code: 'SERVICE_UNAVAILABLE', details: { retryAfter: 2 } });
  expect(await behind).toEqual({ code: 'SERVICE_UNAVAILABLE', details: { retryAfter: 2 } });
  expect(await refusalOf(collector.add(batch('W', 'b', 15)))).toMatchObject({ code: 'SERVICE_UNAVAILABLE' });
  expect(inserts).toHaveLength(1);
  inserts[0]!.end();
  await new Promise((resolve) => setImmediate(resolve));
  const again = collector.add(batch('W', 'b', 15));
  await eventually(() => inserts.length === 2);
  inserts[1]!.end();
  expect(await again).toBe('stored');
});

test('closing stores accepted batches and accepts no more', async () => {
  const { inserts, insert } = heldStore();
  const collector = new MetricCollector(insert, { ...LIMITS, windowMs: 600_000 });
  const [stored, refused] = [collector.add(batch('V')), refusalOf(collector.add(batch('W', 'b', 2)))];
  let closed = false;
  const closing = collector.close().then(() => (closed = true));
  expect(await refusalOf(collector.add(batch('X')))).toMatchObject({ code: 'SERVICE_UNAVAILABLE' });
  await eventually(() => inserts.length === 1);
  expect([inserts[0]!.rows.length, closed]).toEqual([3, false]);
  inserts[0]!.end();
  expect([await stored, await refused]).toEqual(['stored', null]);
  await closing;
});
