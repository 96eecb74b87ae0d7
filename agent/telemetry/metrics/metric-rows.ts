/**
 * Stores the queue as rows of `metrics_queue`, and its other values in `agent_state`. No signature covers them, so a
 * digest shows whether a damaged file still holds what was written.
 *
 * Sent rows stay for a day, so that a reader of the file sees what the vehicle has reported.
 */
import { createHash } from 'node:crypto';
import type { Database, SqlValue } from 'sql.js';
import type { JsonObject } from '../../../core/model.ts';
import { putStateValue } from '../../store/rows/state-value.ts';
import { SENT_ROWS, type MetricQueue, type QueuedMetric } from './metric-queue.ts';
import { isJsonObject, membersOf, parseJson } from '../../../core/json/json-value.ts';

/** The key of the queue's other values in `agent_state`. */
const STATE_KEY = 'metrics_queue';

/** The seconds for which a sent row stays. */
const SENT_SECONDS = 86_400;

const SELECT_WAITING =
  'SELECT id, flag_key, metric_name, value, timestamp, tags FROM metrics_queue WHERE sent = 0 ORDER BY id';
const INSERT =
  'INSERT OR REPLACE INTO metrics_queue (id, flag_key, metric_name, value, timestamp, tags, sent) VALUES (?, ?, ?, ?, ?, ?, ?)';
const DELETE_OLD =
  'DELETE FROM metrics_queue WHERE sent = 1 AND (timestamp < ? OR id NOT IN (SELECT id FROM metrics_queue WHERE sent = 1 ORDER BY id DESC LIMIT ?))';

/** A queue as a database holds it. */
export interface StoredQueue {
  readonly origin: string;
  readonly rows: readonly QueuedMetric[];
  /** The number of oldest rows that are the open batch. */
  readonly inBatch: number;
  readonly nextId: number;
  /** The id up to which rows no longer change; 0 for none. */
  readonly sealedId: number;
  /** The number of the last journal entry (../store/queue-journal.ts) that the rows contain. */
  readonly entry: number;
}

interface QueueState extends Omit<StoredQueue, 'rows' | 'sealedId'> {
  /** The id of `StoredQueue`. Absent in older files, and outside the digest, so that older agents can read the file. */
  readonly sealedId?: number;
  readonly digest: string;
  /**
   * The variants of the rows, each with the number of consecutive rows that have it, because the table has no column
   * for them. Absent in the database of an agent before 1.1.0, which has milliseconds in `timestamp` and `{variant,
   * tags}` in `tags`.
   */
  readonly variants?: readonly (readonly [variant: string, rows: number])[];
  /**
   * The milliseconds of the rows' times beyond whole seconds, row by row. Without them, a measurement could seem older
   * than the event before it.
   */
  readonly milliseconds?: readonly number[];
}

type StateBeforeDigest = Omit<QueueState, 'digest'>;

function digestOf(
  { origin, inBatch, nextId, entry, variants, milliseconds }: StateBeforeDigest,
  rows: readonly (readonly SqlValue[])[],
): string {
  const content = [origin, inBatch, nextId, entry, ...(variants === undefined ? [] : [variants, milliseconds]), rows];
  return createHash('sha256').update(JSON.stringify(content)).digest('base64url');
}

const toRow = ({ id, flagKey, metricName, value, at, tags }: QueuedMetric): SqlValue[] => [
  id,
  flagKey,
  metricName,
  value,
  Math.floor(at / 1000),
  tags === null ? null : JSON.stringify(tags),
];

function runsOfVariants(rows: readonly QueuedMetric[]): [string, number][] {
  const runs: [string, number][] = [];
  for (const { variant } of rows) {
    const last = runs.at(-1);
    if (last?.[0] === variant) last[1] += 1;
    else runs.push([variant, 1]);
  }
  return runs;
}

/**
 * Writes the waiting rows of `queue`, marks the rows that were sent since the last write, and records that the rows
 * contain the journal up to `entry`.
 *
 * @param now Unix seconds
 */
export function writeQueue(database: Database, queue: MetricQueue, entry: number, now: number): void {
  database.run('BEGIN');
  const insert = database.prepare(INSERT);
  try {
    database.run('DELETE FROM metrics_queue WHERE sent = 0');
    for (const sent of queue.takeSent()) insert.run([...toRow(sent), 1]);
    database.run(DELETE_OLD, [now - SENT_SECONDS, SENT_ROWS]);
    const rows = queue.rows.map(toRow);
    for (const row of rows) insert.run([...row, 0]);
    const { origin, nextId, sealedId, batchLength: inBatch } = queue;
    const variants = runsOfVariants(queue.rows);
    const milliseconds = queue.rows.map(({ at }) => at - Math.floor(at / 1000) * 1000);
    putQueueState(database, { origin, inBatch, nextId, entry, sealedId, variants, milliseconds }, rows, now);
    database.run('COMMIT');
  } catch (error) {
    database.run('ROLLBACK');
    throw error;
  } finally {
    insert.free();
  }
}

/**
 * Writes that the queue has no rows, and removes the sent ones. A vehicle that starts from this file has lost its
 * measurements, and gives none of their ids to others.
 *
 * @param now Unix seconds
 */
export function writeEmptyQueue(database: Database, queue: MetricQueue, entry: number, now: number): void {
  const { origin, nextId, sealedId } = queue;
  database.run('DELETE FROM metrics_queue');
  const state = { origin, inBatch: 0, nextId, entry, sealedId, variants: [], milliseconds: [] };
  putQueueState(database, state, [], now);
}

function putQueueState(database: Database, state: StateBeforeDigest, rows: SqlValue[][], now: number): void {
  const text = JSON.stringify({ ...state, digest: digestOf(state, rows) } satisfies QueueState);
  putStateValue(database, STATE_KEY, text, now);
}

function readTags(tags: unknown): JsonObject | null {
  return isJsonObject(tags) ? tags : null;
}

/** Reads the queue; null where the database has never held one. Throws an Error where the digest does not match. */
export function readQueue(database: Database): StoredQueue | null {
  const text = database.exec('SELECT value FROM agent_state WHERE key = ?', [STATE_KEY])[0]?.values[0]?.[0];
  if (text === undefined) return null;
  // oxlint-disable-next-line typescript/consistent-type-assertions -- the digest below says whether this is what `writeQueue` wrote
  const { digest, ...state } = JSON.parse(String(text)) as QueueState;
  const stored = database.exec(SELECT_WAITING)[0]?.values ?? [];
  if (digest !== digestOf(state, stored)) throw new Error('the metrics queue is damaged');
  const variants = state.variants?.flatMap(([variant, rows]) => Array<string>(rows).fill(variant));
  const rows = stored.map(([id, flagKey, metricName, value, timestamp, tags], position): QueuedMetric => {
    const row = { id: Number(id), flagKey: String(flagKey), metricName: String(metricName), value: Number(value) };
    const written = tags === null ? null : parseJson(String(tags));
    if (variants === undefined) {
      const before = membersOf(written);
      return { ...row, at: Number(timestamp), variant: String(before.variant), tags: readTags(before.tags) };
    }
    return {
      ...row,
      at: Number(timestamp) * 1000 + (state.milliseconds?.[position] ?? 0),
      variant: variants[position]!,
      tags: readTags(written),
    };
  });
  const { origin, inBatch, nextId, entry, sealedId = 0 } = state;
  return { origin, inBatch, nextId, entry, sealedId, rows };
}
