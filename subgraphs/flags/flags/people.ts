/**
 * The current roles of people, whatever their sessions say: a read-only view of the audit subgraph's table of users.
 * docs/decisions/data/reading-another-subgraphs-table.md says why this is a view and not a call.
 */
import { FleetFlagError } from '../../../core/errors.ts';
import { mayAskFor } from '../../../core/access/safety-policy.ts';
import { ROLES, type CallerIdentity, type Role } from '../../../core/access/caller.ts';
import type { PrismaClient } from '../../../prisma/generated/client.ts';
import type { Transaction } from '../../shared/postgres/transaction.ts';
import { oneOf } from '../../shared/postgres/column-values.ts';
import { is } from '../../../core/json/shape.ts';
import { rowsOf } from '../../shared/postgres/rows.ts';

interface Row {
  readonly id: string;
  readonly role: string;
}

const readRole = oneOf('users.role', ROLES);
const rolesById = (rows: readonly Row[]) => new Map(rows.map(({ id, role }) => [id, readRole(role)]));

/** Gives the roles of those people whose accounts are active. */
export async function activeRoles(db: PrismaClient | Transaction, ids: readonly string[]): Promise<Map<string, Role>> {
  const rows = await db.user.findMany({
    where: { id: { in: [...ids] }, isActive: true },
    select: { id: true, role: true },
  });
  return rolesById(rows);
}

/**
 * Gives roles as `activeRoles` does, and locks the accounts, so that nobody loses a role or an account until the
 * transaction ends. Call it before locking requests and flags: changes of accounts lock in that order, too.
 */
export async function holdActiveRoles(tx: Transaction, ids: readonly string[]): Promise<Map<string, Role>> {
  return rolesById(
    await rowsOf(tx, {
      id: is.string,
      role: is.string,
    })`SELECT id, role FROM users WHERE id = ANY(${[...ids]}::uuid[]) AND is_active ORDER BY id FOR SHARE`,
  );
}

/**
 * Gives the id of the calling user, for changes that two people must agree on.
 *
 * @throws FORBIDDEN when the caller is not a user
 */
export function personOf({ caller }: CallerIdentity): string {
  if (caller.kind === 'user' && caller.userId !== null) return caller.userId;
  throw new FleetFlagError('FORBIDDEN', 'Only a signed-in user may do this; API keys may not.');
}

/**
 * Gives the id of the calling user, who must still have the permission for `action`, and locks the account as
 * `holdActiveRoles` does.
 *
 * @throws FORBIDDEN
 */
export async function holdPersonWho(tx: Transaction, identity: CallerIdentity, action: string): Promise<string> {
  const id = personOf(identity);
  const role = (await holdActiveRoles(tx, [id])).get(id);
  if (role === undefined || !mayAskFor(action, role))
    throw new FleetFlagError('FORBIDDEN', 'This account is no longer active, or may no longer do this.');
  return id;
}
