/**
 * Uniqueness of flag keys. A new key must differ from every other by more than case, so that nobody confuses them.
 * Existing keys that differ only by case both stay.
 */
import { FleetFlagError } from '../../../core/errors.ts';
import { ENVIRONMENTS, type Environment } from '../../../core/model.ts';
import type { PrismaClient } from '../../../prisma/generated/client.ts';
import type { Transaction } from '../../shared/postgres/transaction.ts';
import { is } from '../../../core/json/shape.ts';
import { rowsOf } from '../../shared/postgres/rows.ts';
import type { Flag } from './flag.ts';

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
  return rowsOf(db, {
    key: is.string,
    environment: is.oneOf(ENVIRONMENTS),
    archived: is.boolean,
    draft: is.boolean,
  })`SELECT key, environment, archived_at IS NOT NULL AS archived, draft FROM flags WHERE lower(key) = ANY(${folded}) ORDER BY key`;
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

/** A flag that is to be created, with the argument that names its key in refusals. */
export interface NewKey extends Pick<Flag, 'key' | 'environment' | 'draft'> {
  readonly field: string;
}

/** The number of locks by which keys are reserved. Keys share them, because a server has few locks for all sessions. */
const LOCKS = 1_024;

/**
 * Reserves keys for new flags until the transaction ends. Of two transactions that reserve one key, or keys that differ
 * only by case, the second waits and then finds the first one's flag. Call it once in a transaction: the locks are
 * taken in one order for all.
 *
 * @throws CONFLICT at the field of the first key that is taken
 */
export async function claimKeys(tx: Transaction, wanted: readonly NewKey[]): Promise<void> {
  const folded = wanted.map(({ key }) => key.toLowerCase());
  await tx.$executeRaw`
    SELECT pg_advisory_xact_lock(hashtext('flag keys'), number) FROM (
      SELECT DISTINCT hashtext(key) & ${LOCKS - 1}::int AS number FROM unnest(${folded}::text[]) AS key ORDER BY number
    ) locks`;
  const taken = new Map<string, TakenKey>();
  for (const other of await takenKeys(tx, folded)) {
    const name = other.key.toLowerCase();
    if (!taken.has(name)) taken.set(name, other);
  }
  for (const { field, ...flag } of wanted) {
    const name = flag.key.toLowerCase();
    const other = taken.get(name);
    if (other !== undefined) throw new FleetFlagError('CONFLICT', takenMessage(flag.key, other), { field });
    taken.set(name, { ...flag, archived: false });
  }
}
