/**
 * Assigns revisions to changed flags: the new revision, the signature, and a tombstone in an environment that a flag
 * has left. Runs inside the change's transaction. Source: design.md, "Revisions: how nothing is ever missed".
 */
import type { Environment } from '../../../core/model.ts';
import type { Transaction } from '../../shared/postgres/transaction.ts';
import type { Flag } from '../flags/flag.ts';
import type { Signer } from '../signing/signing.ts';
import { nextRevision, putTombstone, removeTombstone } from '../flags/flag-store.ts';

/** Gives the flag with its environment's next revision and the definition signed for it. */
export async function assignRevision(tx: Transaction, signer: Signer, flag: Flag): Promise<Flag> {
  const numbered = { ...flag, revision: await nextRevision(tx, flag.environment) };
  return { ...numbered, signedDefinition: await signer.definition(numbered) };
}

/** Takes a flag out of `environment`: a new revision there, and a tombstone for vehicles that were offline. */
async function leave(
  tx: Transaction,
  signer: Signer,
  environment: Environment,
  key: string,
): Promise<{ revision: number; jws: string }> {
  const revision = await nextRevision(tx, environment);
  const jws = await signer.tombstone(environment, key, revision);
  await putTombstone(tx, environment, key, revision, jws);
  return { revision, jws };
}

/** Locks both environments' rows in one order for all, because crossing promotions would deadlock otherwise. */
async function move(tx: Transaction, signer: Signer, before: Flag, after: Flag): Promise<Flag> {
  const leaveFirst = before.environment < after.environment;
  if (leaveFirst) await leave(tx, signer, before.environment, before.key);
  const moved = await assignRevision(tx, signer, after);
  if (!leaveFirst) await leave(tx, signer, before.environment, before.key);
  await removeTombstone(tx, after.environment, after.key);
  return moved;
}

/**
 * Gives `after` with its new revision and signature, whether the flag stays, is archived or moves to another
 * environment.
 */
export async function reassignRevision(tx: Transaction, signer: Signer, before: Flag, after: Flag): Promise<Flag> {
  if (after.archivedAt !== null) {
    const { revision, jws } = await leave(tx, signer, before.environment, before.key);
    return { ...after, revision, signedDefinition: jws };
  }
  return after.environment === before.environment ? assignRevision(tx, signer, after) : move(tx, signer, before, after);
}
