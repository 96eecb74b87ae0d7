/**
 * The identity in whose name a command changes flags: the audit log names people even for changes on the server itself.
 */
import { randomUUID } from 'node:crypto';
import type { CallerIdentity } from '../../core/access/caller.ts';
import type { PrismaClient } from '../../prisma/generated/client.ts';
import { findAccount } from '../../subgraphs/audit/accounts/user-store.ts';
import { normalizedEmail } from '../../subgraphs/audit/accounts/user.ts';
import { UsageError } from './command.ts';

/** The user agent in the audit log. */
export const ADMIN_USER_AGENT = 'fleetflag-admin';

/**
 * Gives the person of `--as`, or the only active administrator when `--as` is missing.
 *
 * @throws UsageError when there is no such active user, their role may not change flags, or several administrators are
 * active and `--as` is missing
 */
export async function actingPerson(prisma: PrismaClient, email: string | undefined): Promise<CallerIdentity> {
  const { id, role } = email === undefined ? await onlyAdministrator(prisma) : await named(prisma, email);
  return {
    caller: { kind: 'user', userId: id, role, sessionKey: null },
    origin: { ipAddress: null, userAgent: ADMIN_USER_AGENT, requestId: randomUUID() },
  };
}

async function named(prisma: PrismaClient, email: string): Promise<{ id: string; role: 'ADMIN' | 'WRITE' }> {
  const user = (await findAccount(prisma, normalizedEmail(email)))?.user;
  if (user === undefined || !user.isActive)
    throw new UsageError(`--as ${email}: there is no active user with this e-mail.`);
  const { id, role } = user;
  if (role !== 'ADMIN' && role !== 'WRITE')
    throw new UsageError(`--as ${email}: the role ${role} may not change flags.`);
  return { id, role };
}

async function onlyAdministrator(prisma: PrismaClient): Promise<{ id: string; role: 'ADMIN' }> {
  const [first, second] = await prisma.user.findMany({
    where: { role: 'ADMIN', isActive: true },
    select: { id: true },
    take: 2,
  });
  if (first === undefined || second !== undefined) {
    throw new UsageError(
      `Name the user who does this with --as EMAIL: there ${first === undefined ? 'is no active administrator' : 'are several administrators'}.`,
    );
  }
  return { id: first.id, role: 'ADMIN' };
}
