/** The audit subgraph's table of users. Rows are mapped to domain types here. */
import { ROLES, type Role } from '../../../core/access/caller.ts';
import type { Prisma } from '../../../prisma/generated/client.ts';
import { newestFirst, onwards } from '../../shared/subgraph/page-query.ts';
import type { Reader, Transaction } from '../../shared/postgres/transaction.ts';
import { pageOf, type Page } from '../../../core/wire/api/pagination.ts';
import type { ReadUserFilter } from './user-filter.ts';
import type { AccountDetails, User } from './user.ts';
import { oneOf } from '../../shared/postgres/column-values.ts';
import { readPrepared } from '../../shared/postgres/prepared-statements.ts';
import { is } from '../../../core/json/shape.ts';

type UserRow = Prisma.UserGetPayload<object>;

const readRole = oneOf('users.role', ROLES);

function toUser({ passwordHash: _, ...row }: UserRow): User {
  return { ...row, role: readRole(row.role) };
}

/** Finds the user with this (normalised) e-mail and their password's hash, or null. */
export async function findAccount(db: Reader, email: string): Promise<{ user: User; passwordHash: string } | null> {
  const row = await db.user.findUnique({ where: { email } });
  return row === null ? null : { user: toUser(row), passwordHash: row.passwordHash };
}

/** Finds the user with this id (a UUID) and their password's hash, or null. */
export async function findAccountById(db: Reader, id: string): Promise<{ user: User; passwordHash: string } | null> {
  const row = await db.user.findUnique({ where: { id } });
  return row === null ? null : { user: toUser(row), passwordHash: row.passwordHash };
}

/** Milliseconds since 1970, exact: `date_part` would give a binary fraction that may be a little less. */
const milliseconds = (column: string) => `floor(extract(epoch FROM ${column}) * 1000)::double precision`;

const USERS_BY_ID = `SELECT id::text AS id, email, name, role, department, is_active AS "isActive",
  ${milliseconds('last_login_at')} AS "lastLoginMs", ${milliseconds('created_at')} AS "createdMs", ${milliseconds('updated_at')} AS "updatedMs"
  FROM users WHERE id = ANY($1::uuid[])`;

const USER_ROW = {
  id: is.string,
  email: is.string,
  name: is.string,
  role: is.string,
  department: is.nullable(is.string),
  isActive: is.boolean,
  lastLoginMs: is.nullable(is.number),
  createdMs: is.number,
  updatedMs: is.number,
};

/** Finds users; unknown ids are left out. Every page that says who changed something looks some up. */
export async function findUsers(db: Reader, ids: readonly string[]): Promise<User[]> {
  const rows = await readPrepared(db, USER_ROW, 'users_by_id', USERS_BY_ID, [ids]);
  return rows.map(({ lastLoginMs, createdMs, updatedMs, ...row }) => ({
    ...row,
    role: readRole(row.role),
    lastLoginAt: lastLoginMs === null ? null : new Date(lastLoginMs),
    createdAt: new Date(createdMs),
    updatedAt: new Date(updatedMs),
  }));
}

/** Gives the condition that a text contains a part, in capital or lower-case letters. */
function containingPart(part: string) {
  // Prisma passes the pattern's own signs on.
  return { contains: part.replace(/[\\%_]/g, (sign) => `\\${sign}`), mode: 'insensitive' } as const;
}

/** Finds the ids of the people whose name or e-mail has a part. Reads all accounts, of which there are few. */
export async function findPeople(db: Reader, part: string): Promise<string[]> {
  const has = containingPart(part);
  const rows = await db.user.findMany({ where: { OR: [{ name: has }, { email: has }] }, select: { id: true } });
  return rows.map(({ id }) => id);
}

/** Gives a filter as Prisma takes it. */
function selected({ search, role, isActive }: ReadUserFilter): Prisma.UserWhereInput {
  const containing = search === null ? null : containingPart(search);
  return {
    ...(role !== null && { role }),
    ...(isActive !== null && { isActive }),
    ...(containing !== null && { OR: [{ name: containing }, { email: containing }, { department: containing }] }),
  };
}

/** Reads a page of the users that a filter selects, newest first; its cursor is a user's id. */
export async function listUsers(
  db: Reader,
  filter: ReadUserFilter,
  page: Page,
): Promise<{ users: User[]; more: boolean }> {
  const rows = await db.user.findMany({
    where: selected(filter),
    orderBy: newestFirst(page),
    ...onwards(page),
  });
  const { items, more } = pageOf(rows, page);
  return { users: items.map(toUser), more };
}

/** Counts the users that a filter selects. */
export function countUsers(db: Reader, filter: ReadUserFilter): Promise<number> {
  return db.user.count({ where: selected(filter) });
}

/**
 * Records the time of a sign-in. Gives false when the account has changed since it was verified: removed, deactivated,
 * or with another password or role. Waits for a transaction that is changing it. `updated_at` stays, because the
 * account itself does not change.
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

/** Checks whether any account has the role ADMIN, active or not. */
export async function hasAdministrator(db: Reader): Promise<boolean> {
  return (await db.user.findFirst({ where: { role: 'ADMIN' }, select: { id: true } })) !== null;
}

/** Checks whether there is an active administrator beside the one with this id. */
export async function hasOtherActiveAdministrator(db: Reader, id: string): Promise<boolean> {
  return (
    (await db.user.findFirst({ where: { role: 'ADMIN', isActive: true, id: { not: id } }, select: { id: true } })) !==
    null
  );
}

/**
 * Locks the set of administrators until the transaction ends, so that one transaction at a time changes it, in all
 * processes. Call it before locking any row.
 */
export async function lockAdministrators(tx: Transaction): Promise<void> {
  await tx.$executeRaw`SELECT pg_advisory_xact_lock(hashtext('fleetflag administrator'))`;
}

/**
 * Locks the user with this id (a UUID) until the transaction ends; gives null when there is none. NO KEY UPDATE lets an
 * audit row that names the user be written meanwhile: its writer holds the chain's lock, for which this transaction may
 * wait.
 */
export async function lockUser(tx: Transaction, id: string): Promise<User | null> {
  await tx.$executeRaw`SELECT 1 FROM users WHERE id = ${id}::uuid FOR NO KEY UPDATE`;
  return (await findAccountById(tx, id))?.user ?? null;
}

/** Inserts a user and gives it as stored. */
export async function insertUser(
  tx: Transaction,
  user: Pick<User, 'email' | 'name' | 'role'> & Partial<Pick<User, 'department'>>,
  passwordHash: string,
): Promise<User> {
  return toUser(await tx.user.create({ data: { ...user, passwordHash } }));
}

/** Updates a user's details. */
export async function updateUser(tx: Transaction, id: string, details: Partial<AccountDetails>): Promise<User> {
  return toUser(await tx.user.update({ where: { id }, data: details }));
}

/** Sets the password's hash and nothing else of the account. */
export async function updatePassword(tx: Transaction, id: string, passwordHash: string): Promise<void> {
  await tx.user.update({ where: { id }, data: { passwordHash } });
}

/** Sets the password's hash of an active account whose hash is still `former`; otherwise gives false. */
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
