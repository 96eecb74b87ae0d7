/**
 * The audit subgraph's table of API keys. Rows are mapped to domain types here; a key's hash is written and never read.
 */
import { API_KEY_ROLES } from '../../../core/access/caller.ts';
import type { Prisma } from '../../../prisma/generated/client.ts';
import type { Reader, Transaction } from '../../shared/postgres/transaction.ts';
import type { ApiKeyCredential } from '../../../core/credentials/api-key.ts';
import type { ApiKey } from './api-key.ts';
import { oneOf } from '../../shared/postgres/column-values.ts';
import { prepared } from '../../shared/postgres/prepared-statements.ts';
import { is } from '../../../core/json/shape.ts';
import { rowsOf } from '../../shared/postgres/rows.ts';

const WITHOUT_HASH = { keyHash: true, updatedAt: true } as const;
type ApiKeyRow = Prisma.ApiKeyGetPayload<{ omit: typeof WITHOUT_HASH }>;

const readRole = oneOf('api_keys.role', API_KEY_ROLES);

const toApiKey = (row: ApiKeyRow): ApiKey => ({ ...row, role: readRole(row.role) });

/** Inserts a key and gives it as stored. */
export async function insertApiKey(
  tx: Transaction,
  key: Pick<ApiKey, 'name' | 'keyPrefix' | 'role' | 'rateLimitPerMin' | 'expiresAt' | 'createdById'>,
  keyHash: string,
): Promise<ApiKey> {
  return toApiKey(await tx.apiKey.create({ data: { ...key, keyHash }, omit: WITHOUT_HASH }));
}

/** Lists all keys, newest first. */
export async function listApiKeys(db: Reader): Promise<ApiKey[]> {
  return (await db.apiKey.findMany({ orderBy: [{ createdAt: 'desc' }, { id: 'desc' }], omit: WITHOUT_HASH })).map(
    toApiKey,
  );
}

/** Finds keys; unknown ids are left out. */
export async function findApiKeys(db: Reader, ids: readonly string[]): Promise<ApiKey[]> {
  const rows = await rowsOf(db, {
    name: is.string,
    id: is.string,
    createdAt: is.date,
    role: is.string,
    isActive: is.boolean,
    keyPrefix: is.string,
    rateLimitPerMin: is.number,
    lastUsedAt: is.nullable(is.date),
    expiresAt: is.nullable(is.date),
    createdById: is.nullable(is.string),
  })`${prepared('api_keys_by_id')}
    SELECT id, name, key_prefix AS "keyPrefix", role, rate_limit_per_min AS "rateLimitPerMin", is_active AS "isActive", last_used_at AS "lastUsedAt", expires_at AS "expiresAt", created_by AS "createdById", created_at AS "createdAt"
    FROM api_keys WHERE id = ANY(${[...ids]}::uuid[])`;
  return rows.map(toApiKey);
}

/** Revokes a key; gives whether it was active until now. */
export async function deactivateApiKey(tx: Transaction, id: string): Promise<boolean> {
  return (await tx.apiKey.updateMany({ where: { id, isActive: true }, data: { isActive: false } })).count === 1;
}

/**
 * Finds the valid keys with these hashes, and records their use once a minute. `updated_at` stays, because the key
 * itself does not change. Rows that another transaction has locked (another gateway's use, a revocation) are not waited
 * for.
 */
export async function useApiKeys(
  db: Reader,
  hashes: readonly string[],
): Promise<(ApiKeyCredential & { keyHash: string })[]> {
  return rowsOf(db, {
    id: is.string,
    role: is.oneOf(API_KEY_ROLES),
    rateLimitPerMin: is.number,
    expiresAt: is.nullable(is.date),
    keyHash: is.string,
  })`
    WITH good AS (
      SELECT id, key_hash, role, rate_limit_per_min, expires_at FROM api_keys
      WHERE key_hash = ANY(${[...hashes]}::text[]) AND is_active AND (expires_at IS NULL OR expires_at > now())
    ), due AS (
      SELECT id FROM api_keys
      WHERE id IN (SELECT id FROM good) AND (last_used_at IS NULL OR last_used_at <= now() - interval '1 minute')
      FOR NO KEY UPDATE SKIP LOCKED
    ), noted AS (
      UPDATE api_keys SET last_used_at = now() WHERE id IN (SELECT id FROM due)
    )
    SELECT id, key_hash AS "keyHash", role, rate_limit_per_min AS "rateLimitPerMin", expires_at AS "expiresAt" FROM good`;
}
