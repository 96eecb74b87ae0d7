/**
 * The first administrator: no password is ever in the repository, so the first start makes one (database.md, users).
 */
import { randomUUID } from 'node:crypto';
import { FleetFlagError } from '../../../core/errors.ts';
import type { CallerIdentity } from '../../../core/access/caller.ts';
import type { PrismaClient } from '../../../prisma/generated/client.ts';
import { appendAudit } from '../../shared/audit/audit-trail.ts';
import { generatePassword, hashPassword } from '../sessions/passwords.ts';
import { findAccount, hasAdministrator, insertUser, lockAdministrators } from './user-store.ts';
import { normalizedEmail } from './user.ts';

export interface NewAdministrator {
  readonly email: string;
  /** Generated, to be shown this once; null when it was given. */
  readonly password: string | null;
}

/**
 * Creates the administrator when no account has the role ADMIN; null when one has. Of processes that start together,
 * one creates and the others get null.
 *
 * @param account.password null: one is generated and given back
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

/** Nobody asked for it: the control plane did it by itself. */
const system = (): CallerIdentity => ({
  caller: { kind: 'anonymous' },
  origin: { ipAddress: null, userAgent: null, requestId: randomUUID() },
});
