/**
 * What people may do now, whatever their session says: a read-only view of the audit subgraph's table of users.
 * Why a view and not a call: docs/decisions/reading-another-subgraphs-table.md.
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

/** The roles of those of these people whose accounts are active. */
export async function activeRoles(db: PrismaClient | Transaction, ids: readonly string[]): Promise<Map<string, Role>> {
  return byId(
    (await db.user.findMany({
      where: { id: { in: [...ids] }, isActive: true },
      select: { id: true, role: true },
    })) as Person[],
  );
}

/**
 * As `activeRoles`, and nobody takes a role or an account away until the transaction ends. To be taken before the locks
 * of requests and flags, as whoever changes an account does.
 */
export async function holdActiveRoles(tx: Transaction, ids: readonly string[]): Promise<Map<string, Role>> {
  return byId(
    await tx.$queryRaw<
      Person[]
    >`SELECT id, role FROM users WHERE id = ANY(${[...ids]}::uuid[]) AND is_active ORDER BY id FOR SHARE`,
  );
}

/** The user behind a call; a change that two people must agree on needs people. @throws FORBIDDEN */
export function personOf({ caller }: CallerIdentity): string {
  if (caller.kind === 'user' && caller.userId !== null) return caller.userId;
  throw new FleetFlagError('FORBIDDEN', 'This is for people with an account: an API key cannot do it, nor ask for it.');
}

/**
 * The user behind a call who may still do what is recorded as `action`; held as in `holdActiveRoles`. @throws FORBIDDEN
 */
export async function holdPersonWho(tx: Transaction, identity: CallerIdentity, action: string): Promise<string> {
  const id = personOf(identity);
  const role = (await holdActiveRoles(tx, [id])).get(id);
  if (role === undefined || !mayAskFor(action, role))
    throw new FleetFlagError('FORBIDDEN', 'This account is no longer active, or has no right to this any more.');
  return id;
}
