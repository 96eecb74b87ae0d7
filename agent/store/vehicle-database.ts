/**
 * The vehicle's SQLite database in memory: it is opened from the bytes of a file or created, and written to bytes
 * again.
 */
import type { Database, SqlJsStatic } from 'sql.js';
import { writeEmptyQueue, writeQueue } from '../telemetry/metrics/metric-rows.ts';
import type { DatabaseContent } from './database-content.ts';
import { writeActivation } from './rows/activation-row.ts';
import { writeFacts } from './rows/facts-row.ts';
import { writeKnownGood } from './rows/known-good-row.ts';
import { writeLifetime } from './rows/lifetime-row.ts';
import { applySettings, createTables, structureFault } from './rows/schema.ts';
import { writeState } from './rows/state-rows.ts';

/** Opens a database from the bytes of a file. Throws an Error that says what is wrong with their structure. */
export function openVehicleDatabase(sql: SqlJsStatic, bytes: Uint8Array): Database {
  const database = new sql.Database(bytes);
  try {
    const fault = structureFault(database);
    if (fault !== null) throw new Error(fault);
    applySettings(database);
    return database;
  } catch (error) {
    database.close();
    throw error;
  }
}

/** Creates an empty database, with its tables and initial rows. */
export function createDatabase(sql: SqlJsStatic): Database {
  const database = new sql.Database();
  createTables(database);
  applySettings(database);
  return database;
}

/**
 * Writes `content` to a database, and gives the database as the bytes of a file. After an exception, the database must
 * not be used again.
 */
export function toBytes(database: Database, content: DatabaseContent): Uint8Array {
  writeState(database, content);
  writeActivation(database, { drive: content.drive, latches: content.state.latches }, content.now);
  writeKnownGood(database, content.knownGood, content.state, content.now);
  writeFacts(database, content.registeredFacts, content.now);
  writeLifetime(database, content.lifetime, content.now);
  (content.omitsMeasurements ? writeEmptyQueue : writeQueue)(database, content.queue, content.entry, content.now);
  database.run('PRAGMA incremental_vacuum');
  const bytes = database.export();
  applySettings(database);
  return bytes;
}
