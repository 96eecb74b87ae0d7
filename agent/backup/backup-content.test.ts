import { promisify } from 'node:util';
import { deflateRaw } from 'node:zlib';
import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { TEST_VIN } from '../testing/control-plane.ts';
import { QUEUE_LIMITS, type QueuedMetric } from '../telemetry/metrics/metric-queue.ts';
import { MAX_BACKUP_BYTES, decodeBackup, encodeBackup, type BackupContent } from './backup-content.ts';

const IDENTITY = { vin: TEST_VIN, environment: 'production' } as const;
const row = (id: number, more: Partial<QueuedMetric> = {}): QueuedMetric => ({
  id,
  flagKey: 'eco',
  variant: 'treatment',
  metricName: 'minutes',
  value: id,
  at: 1_790_000_000_000 + id,
  tags: null,
  ...more,
});
const content = (rows: readonly QueuedMetric[], more: Partial<BackupContent> = {}): BackupContent => ({
  identity: IDENTITY,
  proof: 'a.b.c',
  syncCount: 7,
  lifetime: { refusals: { signature: 2 }, dropped: { evaluations: 5, measurements: 1 } },
  queue: { origin: 'q', rows, inBatch: Math.min(1, rows.length), nextId: (rows.at(-1)?.id ?? 0) + 1 },
  ...more,
});

/** Gives a source of random text, which cannot be deflated. No vehicle sends such text. */
function randomText(): (length: number) => string {
  let state = 1;
  const random = () => (state = (state * 48_271) % 2_147_483_647) / 2_147_483_647;
  return (length) => Array.from({ length }, () => String.fromCharCode(33 + Math.floor(random() * 90))).join('');
}

test('a backup is read as it was made', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(
        fc.record({
          value: fc.double({ noNaN: true, min: -1e9, max: 1e9 }).map((value) => value + 0),
          at: fc.integer({ min: 0, max: 4_000_000_000_000 }),
          tags: fc.constantFrom(null, { road: 'city', lanes: 2, wet: true }),
          metricName: fc.constantFrom('minutes', '분'),
        }),
        { maxLength: 20 },
      ),
      fc.constantFrom(null, 'a.b.c'),
      async (rows, proof) => {
        const made = content(
          rows.map((more, index) => row(index * 2 + 1, more)),
          { proof },
        );
        expect(await decodeBackup(await encodeBackup(made), IDENTITY)).toEqual(made);
      },
    ),
    { numRuns: 30 },
  );
});

test('a queue that does not fit loses its newest rows and keeps the oldest, with their batch', async () => {
  const text = randomText();
  const rows = Array.from({ length: QUEUE_LIMITS.rows }, (_, n) => row(n + 1, { tags: { text: text(200) } }));
  const made = content(rows);
  const bytes = await encodeBackup({ ...made, queue: { ...made.queue, inBatch: 500 } });
  expect(bytes.byteLength).toBeLessThanOrEqual(MAX_BACKUP_BYTES);
  const { queue } = await decodeBackup(bytes, IDENTITY);
  expect(queue.rows.length).toBeGreaterThan(100);
  expect(queue).toEqual({
    origin: 'q',
    nextId: made.queue.nextId,
    inBatch: Math.min(500, queue.rows.length),
    rows: rows.slice(0, queue.rows.length),
  });
});

test('what does not fit without any row makes no backup', async () => {
  const proof = randomText()(2 * MAX_BACKUP_BYTES);
  for (const rows of [[], [row(1)]])
    await expect(encodeBackup(content(rows, { proof }))).rejects.toThrow(
      'it has more than 65536 bytes, even without its measurements',
    );
});

test('a full queue of ordinary rows fits whole', async () => {
  const rows = Array.from({ length: QUEUE_LIMITS.rows }, (_, n) =>
    row(n + 1, { value: Math.sin(n) * 100, at: 1_790_000_000_000 + n * 9_973, flagKey: `feature_${n % 50}` }),
  );
  const bytes = await encodeBackup(content(rows));
  expect((await decodeBackup(bytes, IDENTITY)).queue.rows).toHaveLength(QUEUE_LIMITS.rows);
});

test.each([
  ['of another vehicle', { vin: 'KMHL14JA5PA000002' }, 'wrong-vehicle'],
  ['of another environment', { environment: 'staging' }, 'wrong-environment'],
] as const)('a backup %s is refused', async (_case, other, reason) => {
  const bytes = await encodeBackup(content([], { identity: { ...IDENTITY, ...other } }));
  await expect(decodeBackup(bytes, IDENTITY)).rejects.toMatchObject({ reason });
});

const QUEUE = { origin: 'q', nextId: 3, inBatch: 0, rows: [[1, 'eco', 'control', 'm', 1, 1, null]] };
const GOOD = {
  v: 1,
  vin: TEST_VIN,
  environment: 'production',
  proof: null,
  syncCount: 0,
  lifetime: { refusals: {}, dropped: { evaluations: 0, measurements: 0 } },
  queue: QUEUE,
};
const withRow = (cells: readonly unknown[]) => ({ ...GOOD, queue: { ...QUEUE, rows: [cells] } });

test.each<[string, unknown]>([
  ['another version', { ...GOOD, v: 2 }],
  ['no counts', { ...GOOD, lifetime: null }],
  ['an invalid count', { ...GOOD, syncCount: -1 }],
  ['a proof that is no text', { ...GOOD, proof: 1 }],
  ['no queue', { ...GOOD, queue: null }],
  ['rows that are no list', { ...GOOD, queue: { ...QUEUE, rows: {} } }],
  ['an origin that makes no batch id', { ...GOOD, queue: { ...QUEUE, origin: 'a b' } }],
  ['a batch that is longer than the queue', { ...GOOD, queue: { ...QUEUE, inBatch: 2 } }],
  ['an id that is still to come', { ...GOOD, queue: { ...QUEUE, nextId: 1 } }],
  ['ids that do not rise', { ...GOOD, queue: { ...QUEUE, rows: [...QUEUE.rows, ...QUEUE.rows] } }],
  ['a row that is no list', { ...GOOD, queue: { ...QUEUE, rows: ['row'] } }],
  ['a row without a value', withRow([1, 'eco', 'control', 'm', null, 1, null])],
  ['a variant that the control plane would refuse', withRow([1, 'eco', 'a b', 'm', 1, 1, null])],
  ['tags that are no object', withRow([1, 'eco', 'control', 'm', 1, 1, []])],
  ['an invalid time', withRow([1, 'eco', 'control', 'm', 1, 1e300, null])],
  ['a list', []],
])('a backup with %s is refused', async (_case, json) => {
  const bytes = await promisify(deflateRaw)(JSON.stringify(json));
  await expect(decodeBackup(bytes, IDENTITY)).rejects.toMatchObject({ reason: 'malformed' });
});

test('bytes that are no backup, and those that would fill the memory, are refused', async () => {
  for (const bytes of [Buffer.from('not deflated'), await promisify(deflateRaw)(Buffer.alloc(50_000_000))])
    await expect(decodeBackup(bytes, IDENTITY)).rejects.toMatchObject({ reason: 'malformed' });
});
