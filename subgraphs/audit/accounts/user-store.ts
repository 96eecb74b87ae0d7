/** The audit subgraph's table of users. Rows go in and out as domain types. */
import type { Role } from '../../../core/access/caller.ts';
import type { Prisma } from '../../../prisma/generated/client.ts';
import { newestFirst, onwards } from '../../shared/subgraph/page-query.ts';
import type { Reader, Transaction } from '../../shared/postgres/transaction.ts';
import { pageOf, type Page } from '../../shared/subgraph/pagination.ts';
import type { AccountDetails, User } from './user.ts';

type UserRow = Prisma.UserGetPayload<object>;

function toUser({ passwordHash: _, ...row }: UserRow): User {
  return { ...row, role: row.role as Role };
}

/** The user with this (normalised) e-mail and the hash of their password, or null. */
export async function findAccount(db: Reader, email: string): Promise<{ user: User; passwordHash: string } | null> {
  const row = await db.user.findUnique({ where: { email } });
  return row === null ? null : { user: toUser(row), passwordHash: row.passwordHash };
}

/** The user with this id (a UUID) and the hash of their password, or null. */
export async function findAccountById(db: Reader, id: string): Promise<{ user: User; passwordHash: string } | null> {
  const row = await db.user.findUnique({ where: { id } });
  return row === null ? null : { user: toUser(row), passwordHash: row.passwordHash };
}

export async function findUsers(db: Reader, ids: readonly string[]): Promise<User[]> {
  return (await db.user.findMany({ where: { id: { in: [...ids] } } })).map(toUser);
}

/** A page of users, newest first; its cursor is a user's id. */
export async function listUsers(db: Reader, page: Page): Promise<{ users: User[]; more: boolean }> {
  const rows = await db.user.findMany({
    orderBy: newestFirst(page),
    ...onwards(page),
  });
  const { items, more } = pageOf(rows, page);
  return { users: items.map(toUser), more };
}

export function countUsers(db: Reader): Promise<number> {
  return db.user.count();
}

/**
 * Notes a sign-in; false when the account is no longer as it was verified: gone, deactivated, with another password or
 * another role. Waits for whoever is changing it. It is no change of the account: `updated_at` stays.
 */
export async function recordSignIn(
  tx: Transaction,
  verified: { readonly id: string; readonly role: Role; readonly passwordHash: string },
  at: Date,
): Promise<boolean> {
  const { id, role, passwordHash } = verified;
  return (
    (await tx.$executeRaw`UPDATE users SET last_login_at = ${at} WHERE id = ${id}::uuid AND is_active AND role = ${role} AND password_hash = ${passwordHash}`) ===
    1
  );
}

export async function hasAdministrator(db: Reader): Promise<boolean> {
  return (await db.user.findFirst({ where: { role: 'ADMIN' }, select: { id: true } })) !== null;
}

/** Whether there is an active administrator among all but the one with this id. */
export async function hasOtherActiveAdministrator(db: Reader, id: string): Promise<boolean> {
  return (
    (await db.user.findFirst({ where: { role: 'ADMIN', isActive: true, id: { not: id } }, select: { id: true } })) !==
    null
  );
}

/**
 * Lets one transaction at a time change who is an administrator, in all processes; until the transaction ends. Taken
 * before any row's lock.
 */
export async function lockAdministrators(tx: Transaction): Promise<void> {
  await tx.$executeRaw`SELECT pg_advisory_xact_lock(hashtext('fleetflag administrator'))`;
}

/**
 * The user with this id (a UUID), locked until the transaction ends; null when there is none. NO KEY, so that a row of
 * the trail that names them can be written meanwhile: its writer has the chain's lock, for which this one may wait.
 */
export async function lockUser(tx: Transaction, id: string): Promise<User | null> {
  await tx.$executeRaw`SELECT 1 FROM users WHERE id = ${id}::uuid FOR NO KEY UPDATE`;
  return (await findAccountById(tx, id))?.user ?? null;
}

export async function insertUser(
  tx: Transaction,
  user: Pick<User, 'email' | 'name' | 'role'> & Partial<Pick<User, 'department'>>,
  passwordHash: string,
): Promise<User> {
  return toUser(await tx.user.create({ data: { ...user, passwordHash } }));
}

export async function updateUser(tx: Transaction, id: string, details: Partial<AccountDetails>): Promise<User> {
  return toUser(await tx.user.update({ where: { id }, data: details }));
}

/** Sets another password hash; the account's other data stay. */
export async function updatePassword(tx: Transaction, id: string, passwordHash: string): Promise<void> {
  await tx.user.update({ where: { id }, data: { passwordHash } });
}

/** As `updatePassword`, for an active account whose hash is still `former`; else false. */
export async function replacePassword(
  tx: Transaction,
  id: string,
  former: string,
  passwordHash: string,
): Promise<boolean> {
  return (
    (await tx.$executeRaw`UPDATE users SET password_hash = ${passwordHash}, updated_at = now() WHERE id = ${id}::uuid AND is_active AND password_hash = ${former}`) ===
    1
  );
}
