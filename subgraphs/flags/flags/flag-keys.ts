/**
 * Uniqueness of flag keys. A new key must differ from every other by more than case, so that nobody confuses them.
 * Existing keys that differ only by case both stay.
 */
import { FleetFlagError } from '../../../core/errors.ts';
import type { Environment } from '../../../core/model.ts';
import type { PrismaClient } from '../../../prisma/generated/client.ts';
import type { Transaction } from '../../shared/postgres/transaction.ts';

/** An existing flag whose key equals one of some keys, apart from case. */
export interface TakenKey {
  readonly key: string;
  readonly environment: Environment;
  readonly archived: boolean;
  /** Whether the flag waits for its first approval. */
  readonly draft: boolean;
}

/** Finds the flags, archived ones included, that prevent new ones with `keys`. */
export async function takenKeys(db: PrismaClient | Transaction, keys: readonly string[]): Promise<TakenKey[]> {
  const folded = keys.map((key) => key.toLowerCase());
  return db.$queryRaw<
    TakenKey[]
  >`SELECT key, environment, archived_at IS NOT NULL AS archived, draft FROM flags WHERE lower(key) = ANY(${folded}) ORDER BY key`;
}

/** Explains why a flag with `key` cannot be created. */
export function takenMessage(key: string, { key: other, environment, archived, draft }: TakenKey): string {
  const which = other === key ? 'of this key' : `${JSON.stringify(other)}, whose key differs only in case,`;
  if (draft)
    return `A flag ${which} is waiting for its first approval in ${environment}; have its change request approved, rejected or cancelled first.`;
  return archived
    ? `An archived flag ${which} exists in ${environment}; a key cannot be used again.`
    : `A flag ${which} already exists in ${environment}; a key must be unique in all environments.`;
}

/**
 * Reserves `key` for a new flag until the transaction ends. Of two transactions that reserve it, or keys that differ
 * only by case, the second waits and then finds the first one's flag.
 *
 * @throws CONFLICT at `input.key`
 */
export async function claimKey(tx: Transaction, key: string): Promise<void> {
  await tx.$executeRaw`SELECT pg_advisory_xact_lock(hashtextextended('flag key ' || ${key.toLowerCase()}, 0))`;
  const [taken] = await takenKeys(tx, [key]);
  if (taken !== undefined) throw new FleetFlagError('CONFLICT', takenMessage(key, taken), { field: 'input.key' });
}
