import type { Database } from 'sql.js';

/**
 * Sets one row of `agent_state`. `updated_at` changes only where the value does.
 *
 * @param now Unix seconds
 */
export function putStateValue(database: Database, key: string, value: string, now: number): void {
  database.run(
    `INSERT INTO agent_state (key, value, updated_at) VALUES (?, ?, ?)
     ON CONFLICT (key) DO UPDATE SET value = excluded.value, updated_at = excluded.updated_at WHERE value <> excluded.value`,
    [key, value, now],
  );
}
