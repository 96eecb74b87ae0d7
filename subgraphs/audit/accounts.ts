/** Making accounts and giving them new passwords, with a row in the trail that never holds the password. */
import { FleetFlagError, badInput } from '../../core/errors.ts';
import type { CallerIdentity, Role } from '../../core/protocol/caller.ts';
import type { PrismaClient } from '../../prisma/generated/client.ts';
import { appendAudit } from '../shared/audit-trail.ts';
import { violatesUnique } from '../shared/database/unique-violation.ts';
import { hashPassword } from './passwords.ts';
import { findAccount, insertUser, updatePassword } from './user-store.ts';
import { normalizedEmail, type User } from './user.ts';

export const MIN_PASSWORD = 12;
/** Far beyond what anybody types; what is hashed must not be a load of its own. */
const MAX_PASSWORD = 1_000;
const MAX_NAME = 100;

function checkPassword(password: string): void {
  if (password.length < MIN_PASSWORD || password.length > MAX_PASSWORD) throw badInput('input.password', `A password has ${MIN_PASSWORD} to ${MAX_PASSWORD} characters.`);
}

/**
 * Makes an account.
 *
 * @throws BAD_USER_INPUT with the path of the fault; CONFLICT when the e-mail has an account already
 */
export async function createAccount(
  prisma: PrismaClient,
  identity: CallerIdentity,
  input: { readonly email: string; readonly name: string; readonly role: Role; readonly password: string },
): Promise<User> {
  const email = normalizedEmail(input.email);
  if (!/^[^\s@]+@[^\s@]+$/.test(email)) throw badInput('input.email', 'This is not an e-mail address.');
  const name = input.name.trim();
  if (name === '' || Array.from(name).length > MAX_NAME) throw badInput('input.name', `A name has 1 to ${MAX_NAME} characters.`);
  checkPassword(input.password);
  const passwordHash = await hashPassword(input.password);
  try {
    return await prisma.$transaction(async (tx) => {
      const user = await insertUser(tx, { email, name, role: input.role }, passwordHash);
      await appendAudit(tx, identity, { action: 'CREATE_USER', after: { id: user.id, email, name, role: user.role } });
      return user;
    });
  } catch (error) {
    if (!violatesUnique(error)) throw error;
    throw new FleetFlagError('CONFLICT', `${email} has an account already.`, { field: 'input.email' });
  }
}

/**
 * Gives an account another password. Sessions that are open go on until they end.
 *
 * @throws BAD_USER_INPUT; NOT_FOUND when the e-mail has no account
 */
export async function resetPassword(prisma: PrismaClient, identity: CallerIdentity, email: string, password: string): Promise<User> {
  checkPassword(password);
  const passwordHash = await hashPassword(password);
  return prisma.$transaction(async (tx) => {
    const account = await findAccount(tx, normalizedEmail(email));
    if (account === null) throw new FleetFlagError('NOT_FOUND', `${email} has no account.`, { field: 'email' });
    await updatePassword(tx, account.user.id, passwordHash);
    await appendAudit(tx, identity, { action: 'UPDATE_USER', after: { id: account.user.id, email: account.user.email, password: 'changed' } });
    return account.user;
  });
}
