/**
 * Stores flags as rows of flags_cache. The columns show the value that is served. The metadata holds all signed
 * definitions, which are verified again when they are read.
 */
import type { Database } from 'sql.js';
import type { Environment } from '../../../core/model.ts';
import { DEFAULT_TTL_SECONDS } from '../../../core/wire/definition.ts';
import type { FormerDefinition, HeldFlag, ServedDefinition, SignedDefinition, VehicleState } from '../../state.ts';
import { heldFlag } from '../../sync/apply.ts';
import type { PinnedKeys } from '../../trust/pinned-keys.ts';
import { verifyFlag } from '../../trust/verification.ts';
import type { DatabaseContent } from '../database-content.ts';
import { rows, type Row } from './rows.ts';
import { membersOf, parseJson } from '../../../core/json/json-value.ts';

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
        variantOf(flag, state.identity.vin),
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

function metadataOf({ held, former, ahead }: HeldFlag): Metadata {
  const signature = ({ revision, jws }: SignedDefinition): StoredSignature => ({ revision, jws });
  return {
    ...signature(held),
    ...(former !== null && {
      former: { ...signature(former.signed), ...(former.disabled && { disabled: true as const }) },
    }),
    ...(ahead !== null && { ahead: signature(ahead) }),
  };
}

/**
 * Reads a row. Rejects with an Error where a signature in it does not verify, or a column differs from what is signed.
 *
 * @param issuedAt the Unix seconds of the stored proof; no flag can be younger
 */
export async function readFlagRow(
  row: Row,
  environment: Environment,
  keys: PinnedKeys,
  issuedAt: number,
): Promise<HeldFlag> {
  const key = String(row.key);
  const metadata = membersOf(parseJson(String(row.metadata)));
  const verify = async (stored: unknown): Promise<SignedDefinition> => {
    const { revision, jws } = membersOf(stored);
    if (typeof revision !== 'number' || typeof jws !== 'string') throw new Error('no signature');
    const { signed } = await verifyFlag({ key, revision, removed: false, jws }, environment, keys);
    if (signed === null) throw new Error('it is a tombstone');
    return signed;
  };
  const held = await verify(metadata);
  // A former definition whose key is no longer trusted is dropped; the flag itself still counts.
  const signed = metadata.former === undefined ? null : await verify(metadata.former).catch(() => null);
  const former: FormerDefinition | null =
    signed === null ? null : { signed, disabled: membersOf(metadata.former).disabled === true };
  const ahead = metadata.ahead === undefined ? null : await verify(metadata.ahead);
  if (!Number.isSafeInteger(row.cached_at) || !Number.isSafeInteger(row.ttl_seconds))
    throw new Error('its age is not a number');
  const flag = heldFlag(
    key,
    held,
    former,
    ahead,
    Math.min(Number(row.cached_at), issuedAt),
    Math.min(Number(row.ttl_seconds), DEFAULT_TTL_SECONDS),
  );
  // An older agent may have kept the former definition because it could not serve one that this agent can.
  const written = [flag, ...(former === null ? [] : [heldFlag(key, former.signed, null, ahead, 0, 0)])];
  const forgotten = metadata.former !== undefined && former === null;
  if (!forgotten && !written.some(({ served }) => agrees(row, columnsOf(served))))
    throw new Error('the columns differ from the signed definition');
  return flag;
}

function agrees(row: Row, [enabled, defaultValue, type]: readonly [number, string, string]): boolean {
  return row.enabled === enabled && row.default_value === defaultValue && row.flag_type === type;
}
