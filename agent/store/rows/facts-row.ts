/**
 * Stores the registered facts of the vehicle as one row of `agent_state`, in signed form, so that a changed file is
 * noticed.
 */
import type { Database } from 'sql.js';
import { putStateValue } from './state-value.ts';

/** The key of the row in `agent_state`. */
const STATE_KEY = 'registered_facts';

/**
 * Writes the facts.
 *
 * @param jws the signed facts; null where none are known yet
 * @param now Unix seconds
 */
export function writeFacts(database: Database, jws: string | null, now: number): void {
  putStateValue(database, STATE_KEY, jws ?? '', now);
}

/** Reads the signed facts without verifying them; null where the database has none. */
export function readFacts(database: Database): string | null {
  const text = database.exec('SELECT value FROM agent_state WHERE key = ?', [STATE_KEY])[0]?.values[0]?.[0];
  return typeof text === 'string' && text !== '' ? text : null;
}
