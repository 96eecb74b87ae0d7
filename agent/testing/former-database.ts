/**
 * Writes a database as version 1.0.0 of the agent did. It stored a signed statement of the revision, and no proof that
 * the set of flags is complete.
 */
import { createHash } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import initSqlJs from 'sql.js';
import { createTables } from '../store/rows/schema.ts';
import type { SignedFlag } from '../link/operations.ts';

/** The state that the database holds. */
export interface FormerState {
  readonly vin: string;
  readonly revision: number;
  readonly statement: string;
  readonly pinnedKeys: object;
  /** The Unix seconds of the last contact. */
  readonly cachedAt: number;
  readonly ageingTime: number;
  readonly flags: readonly SignedFlag[];
}

/** Writes the database. All flags must be enabled boolean ones whose default is false. */
export async function writeFormerDatabase(
  path: string,
  { vin, revision, statement, pinnedKeys, cachedAt, ageingTime, flags }: FormerState,
): Promise<void> {
  const database = new (await initSqlJs()).Database();
  createTables(database);
  for (const { key, revision: flagRevision, jws } of flags) {
    const metadata = JSON.stringify({ revision: flagRevision, jws });
    database.run('INSERT INTO flags_cache VALUES (?, 1, ?, ?, ?, 604800, ?, ?)', [
      key,
      'treatment',
      'false',
      cachedAt,
      'boolean',
      metadata,
    ]);
  }
  const covered = {
    vin,
    environment: 'production',
    revision: String(revision),
    complete: '1',
    removed_ahead: '[]',
    pinned_keys: JSON.stringify(pinnedKeys),
    ageing_time: String(ageingTime),
  };
  const digest = createHash('sha256')
    .update(JSON.stringify(Object.values(covered)))
    .digest('base64url');
  const values = {
    ...covered,
    statement,
    last_sync_at: String(cachedAt),
    sync_count: '1',
    agent_version: '1.0.0',
    digest,
  };
  for (const [key, value] of Object.entries(values))
    database.run('INSERT OR REPLACE INTO agent_state VALUES (?, ?, ?)', [key, value, cachedAt]);
  await writeFile(path, database.export());
  database.close();
}
