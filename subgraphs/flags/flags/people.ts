/**
 * The current roles of people, whatever their sessions say: a read-only view of the audit subgraph's table of users.
 * docs/decisions/reading-another-subgraphs-table.md says why this is a view and not a call.
 */
import { FleetFlagError } from '../../../core/errors.ts';
import { mayAskFor } from '../../../core/access/safety-policy.ts';
import type { CallerIdentity, Role } from '../../../core/access/caller.ts';
import type { PrismaClient } from '../../../prisma/generated/client.ts';
import type { Transaction } from '../../shared/postgres/transaction.ts';

interface Person {
  readonly id: string;
  readonly role: Role;
}

const byId = (people: readonly Person[]) => new Map(people.map(({ id, role }) => [id, role]));

/** Gives the roles of those people whose accounts are active. */
export async function activeRoles(db: PrismaClient | Transaction, ids: readonly string[]): Promise<Map<string, Role>> {
  return byId(
    (await db.user.findMany({
      where: { id: { in: [...ids] }, isActive: true },
      select: { id: true, role: true },
    })) as Person[],
  );
}

/**
 * Gives roles as `activeRoles` does, and locks the accounts, so that nobody loses a role or an account until the
 * transaction ends. Call it before locking requests and flags: changes of accounts lock in that order, too.
 */
export async function holdActiveRoles(tx: Transaction, ids: readonly string[]): Promise<Map<string, Role>> {
  return byId(
    await tx.$queryRaw<
      Person[]
    >`SELECT id, role FROM users WHERE id = ANY(${[...ids]}::uuid[]) AND is_active ORDER BY id FOR SHARE`,
  );
}

/**
 * Gives the id of the calling user, for changes that two people must agree on. @throws FORBIDDEN when the caller is not
 * a user
 */
export function personOf({ caller }: CallerIdentity): string {
  if (caller.kind === 'user' && caller.userId !== null) return caller.userId;
  throw new FleetFlagError('FORBIDDEN', 'This is for people with an account: an API key cannot do it, nor ask for it.');
}

/**
 * Gives the id of the calling user, who must still have the permission for `action`, and locks the account as
 * `holdActiveRoles` does. @throws FORBIDDEN
 */
export async function holdPersonWho(tx: Transaction, identity: CallerIdentity, action: string): Promise<string> {
  const id = personOf(identity);
  const role = (await holdActiveRoles(tx, [id])).get(id);
  if (role === undefined || !mayAskFor(action, role))
    throw new FleetFlagError('FORBIDDEN', 'This account is no longer active, or has no right to this any more.');
  return id;
}
