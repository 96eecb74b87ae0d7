/**
 * Stores flags as rows of flags_cache. The columns show the value that is served. The metadata holds all signed
 * definitions, which are verified again when they are read.
 */
import type { Database } from 'sql.js';
import type { Environment } from '../../../core/model.ts';
import { DEFAULT_TTL_SECONDS } from '../../../core/wire/vehicle/definition.ts';
import type { FormerDefinition, HeldFlag, ServedDefinition, VerifiedDefinition, VehicleState } from '../../state.ts';
import { heldFlag } from '../../sync/apply.ts';
import type { PinnedKeys } from '../../trust/pinned-keys.ts';
import { verifyFlag } from '../../trust/verification.ts';
import type { DatabaseContent } from '../database-content.ts';
import { rows, type StoredRow } from './rows.ts';
import { isCount, membersOf, parseJson } from '../../../core/json/json-value.ts';
import { returnedFlag } from '../../activation/returned-flag.ts';

interface StoredSignature {
  readonly revision: number;
  readonly jws: string;
}

/** The `metadata` column. */
interface Metadata extends StoredSignature {
  /** The definition that is served where the held one cannot be served. */
  readonly former?: StoredSignature & { readonly disabled?: true };
  /** A kill switch or disabling that takes effect before its set is complete. */
  readonly ahead?: StoredSignature;
  /** The definition that a last known good has replaced, and the age of that. */
  readonly from?: StoredSignature & { readonly next?: true; readonly cachedAt: number };
}

/** The columns of a flag for which no definition can be served. */
const UNSERVED = [0, 'null', 'boolean'] as const;

/** Writes the differences between the rows and the state's flags. */
export function writeFlagRows(database: Database, state: VehicleState, variantOf: DatabaseContent['variantOf']): void {
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
      const [enabled, defaultValue, type] = columnsOf(flag.served);
      upsert.run([
        flag.key,
        enabled,
        variantOf(flag, state),
        defaultValue,
        flag.cachedAt,
        flag.ttlSeconds,
        type,
        JSON.stringify(metadataOf(flag)),
      ]);
    }
  } finally {
    upsert.free();
  }
}

function columnsOf(served: ServedDefinition | null): readonly [number, string, string] {
  if (served === null) return UNSERVED;
  const { enabled, defaultValue, type } = served.definition;
  return [enabled ? 1 : 0, JSON.stringify(defaultValue), type];
}

/** Gives the signed definitions of a flag, as `readSignedFlag` reads them. */
export function metadataOf({ held, former, ahead, from, cachedAt }: HeldFlag): Metadata {
  const signature = ({ revision, jws }: VerifiedDefinition): StoredSignature => ({ revision, jws });
  return {
    ...signature(held),
    ...(former !== null && {
      former: { ...signature(former.signed), ...(former.disabled && { disabled: true as const }) },
    }),
    ...(ahead !== null && { ahead: signature(ahead) }),
    ...(from !== undefined && {
      from: { ...signature(from.signed), ...(from.isNext && { next: true as const }), cachedAt },
    }),
  };
}

/** The stored form of a flag: its signed definitions and its age. */
interface StoredFlag {
  readonly key: string;
  /** The metadata that `metadataOf` gave, as any JSON. */
  readonly metadata: unknown;
  readonly cachedAt: number;
  readonly ttlSeconds: number;
}

/** A flag that was read, and what is left of its former definition. */
interface ReadFlag {
  readonly flag: HeldFlag;
  readonly former: FormerDefinition | null;
  /** Whether its former definition was dropped, because its key is no longer trusted. */
  readonly hasForgotten: boolean;
}

/** Reads a flag from its signed definitions. Rejects with an Error where one of them does not verify. */
export async function readSignedFlag(
  { key, metadata, cachedAt, ttlSeconds }: StoredFlag,
  environment: Environment,
  keys: PinnedKeys,
): Promise<ReadFlag> {
  const verify = async (stored: unknown): Promise<VerifiedDefinition> => {
    const { revision, jws } = membersOf(stored);
    if (typeof revision !== 'number' || typeof jws !== 'string') throw new Error('no signature');
    const { signed } = await verifyFlag({ key, revision, removed: false, jws }, environment, keys);
    if (signed === null) throw new Error('it is a tombstone');
    return signed;
  };
  const { former: stored, ahead: storedAhead, from } = membersOf(metadata);
  const held = await verify(metadata);
  // A former definition whose key is no longer trusted is dropped; the flag itself still counts.
  const signed = stored === undefined ? null : await verify(stored).catch(() => null);
  const former = signed === null ? null : { signed, disabled: membersOf(stored).disabled === true };
  const ahead = storedAhead === undefined ? null : await verify(storedAhead);
  const hasForgotten = stored !== undefined && former === null;
  if (from !== undefined) {
    const { cachedAt: age, next } = membersOf(from);
    if (!isCount(age)) throw new Error('its age is not a number');
    const good = heldFlag(key, held, former, ahead, age, ttlSeconds);
    return { flag: returnedFlag(good, await verify(from), next === true), former, hasForgotten };
  }
  const flag = heldFlag(key, held, former, ahead, cachedAt, ttlSeconds);
  return { flag, former, hasForgotten };
}

/**
 * Reads a row. Rejects with an Error where a signature in it does not verify, or a column differs from what is signed.
 *
 * @param issuedAt the Unix seconds of the stored proof; no flag can be younger
 */
export async function readFlagRow(
  row: StoredRow,
  environment: Environment,
  keys: PinnedKeys,
  issuedAt: number,
): Promise<HeldFlag> {
  const key = String(row.key);
  if (!Number.isSafeInteger(row.cached_at) || !Number.isSafeInteger(row.ttl_seconds))
    throw new Error('its age is not a number');
  const { flag, former, hasForgotten } = await readSignedFlag(
    {
      key,
      metadata: parseJson(String(row.metadata)),
      cachedAt: Math.min(Number(row.cached_at), issuedAt),
      ttlSeconds: Math.min(Number(row.ttl_seconds), DEFAULT_TTL_SECONDS),
    },
    environment,
    keys,
  );
  // An older agent may have kept the former definition because it could not serve one that this agent can.
  const written = [flag, ...(former === null ? [] : [heldFlag(key, former.signed, null, flag.ahead, 0, 0)])];
  if (!hasForgotten && !written.some(({ served }) => agrees(row, columnsOf(served))))
    throw new Error('the columns differ from the signed definition');
  return flag;
}

function agrees(row: StoredRow, [enabled, defaultValue, type]: readonly [number, string, string]): boolean {
  return row.enabled === enabled && row.default_value === defaultValue && row.flag_type === type;
}
