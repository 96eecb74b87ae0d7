/** The audit subgraph's table of users. Rows go in and out as domain types. */
import type { Role } from '../../core/protocol/caller.ts';
import type { Prisma, PrismaClient } from '../../prisma/generated/client.ts';
import type { User } from './user.ts';

export type Transaction = Prisma.TransactionClient;
type Reader = PrismaClient | Transaction;
type UserRow = Prisma.UserGetPayload<object>;

function toUser({ passwordHash: _, ...row }: UserRow): User {
  return { ...row, role: row.role as Role };
}

/** The user with this (normalised) e-mail and the hash of their password, or null. */
export async function findAccount(db: Reader, email: string): Promise<{ user: User; passwordHash: string } | null> {
  const row = await db.user.findUnique({ where: { email } });
  return row === null ? null : { user: toUser(row), passwordHash: row.passwordHash };
}

export async function findUsers(db: Reader, ids: readonly string[]): Promise<User[]> {
  return (await db.user.findMany({ where: { id: { in: [...ids] } } })).map(toUser);
}

/** A page of users, newest first, after the one with id `after`. */
export async function listUsers(db: Reader, first: number, after: string | null): Promise<{ users: User[]; more: boolean }> {
  const rows = await db.user.findMany({
    orderBy: [{ createdAt: 'desc' }, { id: 'desc' }],
    ...(after !== null && { cursor: { id: after }, skip: 1 }),
    take: first + 1,
  });
  return { users: rows.slice(0, first).map(toUser), more: rows.length > first };
}

export function countUsers(db: Reader): Promise<number> {
  return db.user.count();
}

/** Notes a sign-in; false when the account has gone or been deactivated in the meantime. It is no change of the account: `updated_at` stays. */
export async function recordSignIn(tx: Transaction, id: string, at: Date): Promise<boolean> {
  return (await tx.$executeRaw`UPDATE users SET last_login_at = ${at} WHERE id = ${id}::uuid AND is_active`) === 1;
}

export async function hasAdministrator(db: Reader): Promise<boolean> {
  return (await db.user.findFirst({ where: { role: 'ADMIN' }, select: { id: true } })) !== null;
}

/** Lets one transaction at a time create the administrator, in all processes; until the transaction ends. */
export async function lockAdministratorCreation(tx: Transaction): Promise<void> {
  await tx.$executeRaw`SELECT pg_advisory_xact_lock(hashtext('fleetflag administrator'))`;
}

export async function insertUser(tx: Transaction, user: Pick<User, 'email' | 'name' | 'role'>, passwordHash: string): Promise<User> {
  return toUser(await tx.user.create({ data: { ...user, passwordHash } }));
}

/** Sets another password hash; the account's other data stay. */
export async function updatePassword(tx: Transaction, id: string, passwordHash: string): Promise<void> {
  await tx.user.update({ where: { id }, data: { passwordHash } });
}
