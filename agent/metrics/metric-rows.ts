/** The queue as rows of `metrics_queue`, and the open batch in `agent_state`. */
import type { Database } from 'sql.js';
import type { JsonObject } from '../../core/model.ts';
import type { MetricQueue, QueuedMetric } from './metric-queue.ts';

/** Under which key of `agent_state` the rest of the queue stands. */
const STATE_KEY = 'metrics_queue';

interface QueueState {
  readonly origin: string;
  /** Rows of the open batch; its rows are the oldest ones. */
  readonly inBatch: number;
  readonly nextId: number;
}

/** Far more rows than an agent makes between two writes of its database. */
const ID_GAP = 1_000_000;

/** Makes the rows those of `queue`. The table has no column for the variant: it stands in `tags` beside the program's own. `now`: Unix seconds. */
export function writeQueue(database: Database, queue: MetricQueue, now: number): void {
  database.run('BEGIN');
  const insert = database.prepare('INSERT INTO metrics_queue (id, flag_key, metric_name, value, timestamp, tags, sent) VALUES (?, ?, ?, ?, ?, ?, 0)');
  try {
    database.run('DELETE FROM metrics_queue');
    for (const { id, flagKey, metricName, value, at, variant, tags } of queue.rows) insert.run([id, flagKey, metricName, value, at, JSON.stringify({ variant, tags })]);
    const state: QueueState = { origin: queue.origin, inBatch: queue.batchLength, nextId: queue.nextId };
    database.run('INSERT INTO agent_state (key, value, updated_at) VALUES (?, ?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value, updated_at = excluded.updated_at', [STATE_KEY, JSON.stringify(state), now]);
    database.run('COMMIT');
  } catch (error) {
    database.run('ROLLBACK');
    throw error;
  } finally {
    insert.free();
  }
}

/**
 * Gives `queue` what a database holds; nothing where it has never held any.
 *
 * @param older whether this is the generation before: ids that the newest one may have given are then not given again
 */
export function readQueue(database: Database, queue: MetricQueue, older: boolean): void {
  const text = database.exec('SELECT value FROM agent_state WHERE key = ?', [STATE_KEY])[0]?.values[0]?.[0];
  if (typeof text !== 'string') return;
  const { origin, inBatch, nextId } = JSON.parse(text) as QueueState;
  const stored = database.exec('SELECT id, flag_key, metric_name, value, timestamp, tags FROM metrics_queue WHERE sent = 0 ORDER BY id')[0]?.values ?? [];
  const rows = stored.map(([id, flagKey, metricName, value, at, detail]): QueuedMetric => {
    const { variant, tags } = JSON.parse(String(detail)) as { variant: string; tags: JsonObject | null };
    return { id: Number(id), flagKey: String(flagKey), metricName: String(metricName), value: Number(value), at: Number(at), variant, tags };
  });
  queue.restore(origin, rows, Math.min(inBatch, rows.length), nextId + (older ? ID_GAP : 0));
}
