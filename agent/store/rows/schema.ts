/**
 * The tables of the vehicle's database (database specification, section 3).
 */
import type { Database } from 'sql.js';

const TABLES = `
CREATE TABLE flags_cache (
  key TEXT PRIMARY KEY NOT NULL,
  enabled INTEGER NOT NULL CHECK (enabled IN (0, 1)),
  variant TEXT NOT NULL CHECK (variant IN ('control', 'treatment', 'enabled')),
  default_value TEXT NOT NULL,
  cached_at INTEGER NOT NULL,
  ttl_seconds INTEGER NOT NULL DEFAULT 604800,
  flag_type TEXT NOT NULL,
  metadata TEXT
);
CREATE INDEX idx_flags_cache_enabled ON flags_cache(enabled);
CREATE INDEX idx_flags_cache_cached_at ON flags_cache(cached_at);

CREATE TABLE agent_state (
  key TEXT PRIMARY KEY NOT NULL,
  value TEXT NOT NULL,
  updated_at INTEGER NOT NULL
);

CREATE TABLE metrics_queue (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  flag_key TEXT NOT NULL,
  metric_name TEXT NOT NULL,
  value REAL NOT NULL,
  timestamp INTEGER NOT NULL,
  tags TEXT,
  sent INTEGER NOT NULL DEFAULT 0 CHECK (sent IN (0, 1))
);
CREATE INDEX idx_metrics_queue_sent ON metrics_queue(sent);
CREATE INDEX idx_metrics_queue_timestamp ON metrics_queue(timestamp);
`;

const COLUMNS: Readonly<Record<string, string>> = {
  flags_cache: 'key,enabled,variant,default_value,cached_at,ttl_seconds,flag_type,metadata',
  agent_state: 'key,value,updated_at',
  metrics_queue: 'id,flag_key,metric_name,value,timestamp,tags,sent',
};

/**
 * Creates the tables and the initial rows in an empty database.
 */
export function createTables(database: Database): void {
  // auto_vacuum takes effect only before the first table exists.
  database.run('PRAGMA auto_vacuum = INCREMENTAL');
  database.run(TABLES);
  for (const [key, value] of [
    ['last_sync_at', '0'],
    ['sync_count', '0'],
    ['agent_version', '1.0.0'],
  ] as const) {
    database.run('INSERT INTO agent_state (key, value, updated_at) VALUES (?, ?, 0)', [key, value]);
  }
}

/**
 * Applies the settings that belong to a connection and not to the file; `export()` reopens the database without them.
 */
export function applySettings(database: Database): void {
  database.run('PRAGMA cache_size = -2000');
}

/** Says what is wrong with a database's structure or pages; null where nothing is. */
export function structureFault(database: Database): string | null {
  // Unlike quick_check, this also checks that every index agrees with its table: a write through a wrong index would
  // spread the damage.
  const check = database.exec('PRAGMA integrity_check(1)')[0]?.values[0]?.[0];
  if (check !== 'ok') return `integrity check: ${String(check)}`;
  for (const [table, expected] of Object.entries(COLUMNS)) {
    const columns = (database.exec(`PRAGMA table_info(${table})`)[0]?.values ?? []).map((row) => row[1]).join(',');
    if (columns !== expected) return `table ${table} does not have the expected columns`;
  }
  return null;
}
