/**
 * The first administrator. The repository contains no password, so the first start generates one (database.md, users).
 */
import { randomUUID } from 'node:crypto';
import { FleetFlagError } from '../../../core/errors.ts';
import type { CallerIdentity } from '../../../core/access/caller.ts';
import type { PrismaClient } from '../../../prisma/generated/client.ts';
import { appendAudit } from '../../shared/audit/audit-log.ts';
import { generatePassword, hashPassword } from '../sessions/passwords.ts';
import { findAccount, hasAdministrator, insertUser, lockAdministrators } from './user-store.ts';
import { normalizedEmail } from './user.ts';

/** The administrator that was created. */
export interface NewAdministrator {
  readonly email: string;
  /** The generated password, to be shown only this once; null when it was given. */
  readonly password: string | null;
}

/**
 * Creates the administrator when no account has the role ADMIN; gives null when one has. Of processes that start
 * together, one creates it and the others get null.
 *
 * @param account.password null: a password is generated and given back
 * @throws FleetFlagError CONFLICT when the e-mail belongs to an account of another role
 */
export async function ensureAdministrator(
  prisma: PrismaClient,
  account: { readonly email: string; readonly password: string | null },
): Promise<NewAdministrator | null> {
  if (await hasAdministrator(prisma)) return null;
  const email = normalizedEmail(account.email);
  const password = account.password ?? generatePassword();
  const passwordHash = await hashPassword(password);
  const created = await prisma.$transaction(async (tx) => {
    await lockAdministrators(tx);
    if (await hasAdministrator(tx)) return false;
    if ((await findAccount(tx, email)) !== null) {
      throw new FleetFlagError(
        'CONFLICT',
        `The administrator cannot be created: ${email} is the e-mail of another account.`,
      );
    }
    const user = await insertUser(tx, { email, name: 'System Admin', department: 'IT', role: 'ADMIN' }, passwordHash);
    await appendAudit(tx, system(), {
      action: 'CREATE_USER',
      after: { id: user.id, email, name: user.name, role: user.role, department: user.department },
    });
    return true;
  });
  return created ? { email, password: account.password === null ? password : null } : null;
}

/** Gives the identity of the control plane itself, which acts without a caller. */
const system = (): CallerIdentity => ({
  caller: { kind: 'anonymous' },
  origin: { ipAddress: null, userAgent: null, requestId: randomUUID() },
});
