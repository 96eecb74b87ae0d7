/**
 * The vehicle's state as rows: written in one transaction, and read back with every signature checked again.
 */
import { createHash } from 'node:crypto';
import type { Database, SqlValue } from 'sql.js';
import { ENVIRONMENTS, type Environment } from '../../core/model.ts';
import { DEFAULT_TTL_SECONDS } from '../../core/protocol/definition.ts';
import type { HeldFlag, VehicleIdentity, VehicleState, VerifiedStatement } from '../state.ts';
import { PinnedKeys } from '../trust/pinned-keys.ts';
import { Refusal } from '../trust/refusals.ts';
import { verifyFlag, verifyStatement } from '../trust/verification.ts';
import type { DatabaseContent } from './database-content.ts';

/** What the file says before any of it is believed. */
export interface StoredHeader {
  readonly identity: VehicleIdentity;
  readonly pinnedKeys: PinnedKeys | null;
}

/** What the file says once it is believed. */
export interface StoredState {
  readonly state: VehicleState;
  /** Unix seconds by which flags age; 0 where that is not known. */
  readonly ageingTime: number;
}

/** Of the values that no signature covers, under this key: tells whether a damaged file still holds what was written. */
const DIGEST_KEY = 'digest';

/** Writes what differs between the rows and `content.state`. */
export function writeState(database: Database, content: DatabaseContent): void {
  const { state, keys, variantOf, agentVersion, now } = content;
  database.run('BEGIN');
  try {
    writeFlags(database, state, variantOf);
    const values: Record<string, string> = {
      vin: state.identity.vin,
      environment: state.identity.environment,
      revision: String(state.revision),
      complete: state.complete ? '1' : '0',
      statement: state.statement?.jws ?? '',
      removed_ahead: JSON.stringify([...state.removedAhead]),
      pinned_keys: JSON.stringify(keys),
      ageing_time: String(content.ageingTime),
      last_sync_at: String(state.lastSyncAt),
      sync_count: String(state.syncCount),
      agent_version: agentVersion,
    };
    for (const [key, value] of Object.entries({ ...values, [DIGEST_KEY]: digestOf(new Map(Object.entries(values))) })) {
      database.run(
        `INSERT INTO agent_state (key, value, updated_at) VALUES (?, ?, ?)
         ON CONFLICT (key) DO UPDATE SET value = excluded.value, updated_at = excluded.updated_at WHERE value <> excluded.value`,
        [key, value, now],
      );
    }
    database.run('COMMIT');
  } catch (error) {
    database.run('ROLLBACK');
    throw error;
  }
}

function digestOf(values: ReadonlyMap<string, string>): string {
  const covered = ['vin', 'environment', 'revision', 'complete', 'removed_ahead', 'pinned_keys', 'ageing_time'].map((key) => values.get(key));
  return createHash('sha256').update(JSON.stringify(covered)).digest('base64url');
}

function writeFlags(database: Database, state: VehicleState, variantOf: DatabaseContent['variantOf']): void {
  for (const { key } of rows(database, 'SELECT key FROM flags_cache')) {
    if (!state.flags.has(String(key))) database.run('DELETE FROM flags_cache WHERE key = ?', [key ?? null]);
  }
  const upsert = database.prepare(
    `INSERT INTO flags_cache (key, enabled, variant, default_value, cached_at, ttl_seconds, flag_type, metadata) VALUES (?, ?, ?, ?, ?, ?, ?, ?)
     ON CONFLICT (key) DO UPDATE SET enabled = excluded.enabled, variant = excluded.variant, default_value = excluded.default_value,
       cached_at = excluded.cached_at, ttl_seconds = excluded.ttl_seconds, flag_type = excluded.flag_type, metadata = excluded.metadata`,
  );
  try {
    for (const flag of state.flags.values()) {
      const { definition } = flag;
      upsert.run([
        flag.key,
        definition.enabled ? 1 : 0,
        variantOf(flag, state.identity.vin),
        JSON.stringify(definition.defaultValue),
        flag.cachedAt,
        flag.ttlSeconds,
        definition.type,
        JSON.stringify({ revision: flag.revision, jws: flag.jws }),
      ]);
    }
  } finally {
    upsert.free();
  }
}

/** Reads whose file this is and which keys it pins. Throws an Error where that is missing or unreadable. */
export async function readHeader(database: Database): Promise<StoredHeader> {
  const values = stateValues(database);
  const environment = ENVIRONMENTS.find((name) => name === values.get('environment'));
  const vin = values.get('vin');
  if (environment === undefined || !vin) throw new Error('it does not say whose it is');
  const pinned = values.get('pinned_keys');
  return { identity: { vin, environment }, pinnedKeys: pinned ? await PinnedKeys.parse(JSON.parse(pinned)) : null };
}

/**
 * Reads the state and believes only what verifies: a row that does not is left out and given to `refuse`, and the
 * state is then not `complete`. The age of flags is bounded by the stored statement, the revision by what any
 * signature in the file vouches for; what nothing vouches for is not used where the digest does not match.
 * Throws an Error where the file cannot be used at all.
 */
export async function readState(database: Database, identity: VehicleIdentity, keys: PinnedKeys, refuse: (refusal: Refusal) => void): Promise<StoredState> {
  const values = stateValues(database);
  const intact = values.get(DIGEST_KEY) === digestOf(values);
  const revision = readCount(values, 'revision');
  const statement = await readStatement(values.get('statement') ?? '', identity.environment, keys, refuse);
  const flags = new Map<string, HeldFlag>();
  const stored = rows(database, 'SELECT * FROM flags_cache');
  for (const row of stored) {
    try {
      const flag = await readFlag(row, identity.environment, keys, statement);
      flags.set(flag.key, flag);
    } catch (cause) {
      refuse(new Refusal('stored-flag', `flag ${JSON.stringify(row.key)}`, { cause }));
    }
  }
  // Then it may be the kept keys that are wrong, with which nothing would ever verify again.
  if (flags.size === 0 && statement === null && (stored.length > 0 || !intact)) throw new Error('nothing in it verifies');
  const proven = Math.max(statement?.revision ?? 0, ...[...flags.values()].map((flag) => flag.revision));
  const state = {
    identity,
    revision: Math.min(revision, proven),
    complete: intact && values.get('complete') === '1' && flags.size === stored.length,
    statement,
    flags,
    removedAhead: new Map(intact ? (JSON.parse(values.get('removed_ahead') ?? '[]') as [string, number][]) : []),
    lastSyncAt: readCount(values, 'last_sync_at'),
    syncCount: readCount(values, 'sync_count'),
  };
  return { state, ageingTime: intact ? readCount(values, 'ageing_time') : 0 };
}

async function readFlag(row: Row, environment: Environment, keys: PinnedKeys, statement: VerifiedStatement | null): Promise<HeldFlag> {
  const { revision, jws } = JSON.parse(String(row.metadata)) as { revision: number; jws: string };
  const { definition } = await verifyFlag({ key: String(row.key), revision, removed: false, jws }, environment, keys);
  if (definition === null) throw new Error('a tombstone');
  const agrees =
    row.enabled === (definition.enabled ? 1 : 0) &&
    row.flag_type === definition.type &&
    row.default_value === JSON.stringify(definition.defaultValue) &&
    Number.isSafeInteger(row.cached_at) &&
    Number.isSafeInteger(row.ttl_seconds);
  if (!agrees) throw new Error('the columns differ from the signed definition');
  return {
    key: definition.key,
    revision,
    definition,
    jws,
    cachedAt: Math.min(Number(row.cached_at), statement?.issuedAt ?? 0),
    ttlSeconds: Math.min(Number(row.ttl_seconds), DEFAULT_TTL_SECONDS),
  };
}

async function readStatement(jws: string, environment: Environment, keys: PinnedKeys, refuse: (refusal: Refusal) => void): Promise<VerifiedStatement | null> {
  if (jws === '') return null;
  try {
    return await verifyStatement(jws, environment, keys);
  } catch (error) {
    refuse(error as Refusal);
    return null;
  }
}

type Row = Readonly<Record<string, SqlValue | undefined>>;

function rows(database: Database, sql: string): Row[] {
  const statement = database.prepare(sql);
  try {
    const found: Row[] = [];
    while (statement.step()) found.push(statement.getAsObject());
    return found;
  } finally {
    statement.free();
  }
}

function stateValues(database: Database): Map<string, string> {
  return new Map(rows(database, 'SELECT key, value FROM agent_state').map((row) => [String(row.key), String(row.value)]));
}

function readCount(values: ReadonlyMap<string, string>, name: string): number {
  const text = values.get(name) ?? '';
  if (!/^\d{1,15}$/.test(text)) throw new Error(`agent_state.${name} is not a number`);
  return Number(text);
}
