/**
 * The queue as rows of `metrics_queue`, and what else belongs to it in `agent_state`. No signature covers them: a digest
 * tells whether a damaged file still holds what was written.
 */
import { createHash } from 'node:crypto';
import type { Database, SqlValue } from 'sql.js';
import type { JsonObject } from '../../core/model.ts';
import type { MetricQueue, QueuedMetric } from './metric-queue.ts';

/** Under which key of `agent_state` the rest of the queue stands. */
const STATE_KEY = 'metrics_queue';

const SELECT_ROWS = 'SELECT id, flag_key, metric_name, value, timestamp, tags FROM metrics_queue WHERE sent = 0 ORDER BY id';

/** A queue as a database holds it. */
export interface StoredQueue {
  readonly origin: string;
  readonly rows: readonly QueuedMetric[];
  /** How many of the oldest rows are the open batch. */
  readonly inBatch: number;
  readonly nextId: number;
  /** Of the last journal entry (../store/queue-journal.ts) that the rows contain. */
  readonly entry: number;
}

interface QueueState extends Omit<StoredQueue, 'rows'> {
  readonly digest: string;
}

const digestOf = (state: Omit<StoredQueue, 'rows'>, rows: readonly (readonly SqlValue[])[]) =>
  createHash('sha256').update(JSON.stringify([state.origin, state.inBatch, state.nextId, state.entry, rows])).digest('base64url');

/**
 * Makes the rows those of `queue`, and says that they contain the journal up to `entry`. The table has no column for the
 * variant: it stands in `tags` beside the program's own. `now`: Unix seconds.
 */
export function writeQueue(database: Database, queue: MetricQueue, entry: number, now: number): void {
  database.run('BEGIN');
  const insert = database.prepare('INSERT INTO metrics_queue (id, flag_key, metric_name, value, timestamp, tags, sent) VALUES (?, ?, ?, ?, ?, ?, 0)');
  try {
    database.run('DELETE FROM metrics_queue');
    const rows = queue.rows.map(({ id, flagKey, metricName, value, at, variant, tags }) => [id, flagKey, metricName, value, at, JSON.stringify({ variant, tags })]);
    for (const row of rows) insert.run(row);
    const state = { origin: queue.origin, inBatch: queue.batchLength, nextId: queue.nextId, entry };
    const text = JSON.stringify({ ...state, digest: digestOf(state, rows) } satisfies QueueState);
    database.run('INSERT INTO agent_state (key, value, updated_at) VALUES (?, ?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value, updated_at = excluded.updated_at', [STATE_KEY, text, now]);
    database.run('COMMIT');
  } catch (error) {
    database.run('ROLLBACK');
    throw error;
  } finally {
    insert.free();
  }
}

/** Reads the queue; null where the database has never held one. Throws an Error where it is not what was written. */
export function readQueue(database: Database): StoredQueue | null {
  const text = database.exec('SELECT value FROM agent_state WHERE key = ?', [STATE_KEY])[0]?.values[0]?.[0];
  if (text === undefined) return null;
  const { digest, ...state } = JSON.parse(String(text)) as QueueState;
  const stored = database.exec(SELECT_ROWS)[0]?.values ?? [];
  if (digest !== digestOf(state, stored)) throw new Error('the metrics queue is damaged');
  const rows = stored.map(([id, flagKey, metricName, value, at, detail]): QueuedMetric => {
    const { variant, tags } = JSON.parse(String(detail)) as { variant: string; tags: JsonObject | null };
    return { id: Number(id), flagKey: String(flagKey), metricName: String(metricName), value: Number(value), at: Number(at), variant, tags };
  });
  return { ...state, rows };
}
