/** Stores the counts of the vehicle's life as one row of `agent_state`. */
import type { Database } from 'sql.js';
import { parseJson } from '../../../core/json/json-value.ts';
import { readTotals, type LifetimeTotals } from '../../telemetry/lifetime-counts.ts';
import { putStateValue } from './state-value.ts';

/** The key of the row in `agent_state`. */
const STATE_KEY = 'lifetime_counts';

/**
 * Writes the counts.
 *
 * @param now Unix seconds
 */
export function writeLifetime(database: Database, totals: LifetimeTotals, now: number): void {
  putStateValue(database, STATE_KEY, JSON.stringify(totals), now);
}

/** Reads the counts; null where the database has none that can be read. */
export function readLifetime(database: Database): LifetimeTotals | null {
  const text = database.exec('SELECT value FROM agent_state WHERE key = ?', [STATE_KEY])[0]?.values[0]?.[0];
  try {
    return typeof text === 'string' ? readTotals(parseJson(text)) : null;
  } catch {
    return null;
  }
}
