/** The administrator that a first start makes. */
import type { PrismaClient } from '../prisma/generated/client.ts';
import { ensureAdministrator } from '../subgraphs/audit/administrator.ts';
import type { Configuration } from './configuration.ts';

/**
 * Makes the administrator if there is none, and prints e-mail and password. At once, and not when everything is up:
 * should the start fail after this, the next one finds an administrator and has no password to show.
 */
export async function makeFirstAdministrator(prisma: PrismaClient, { adminEmail, adminPassword }: Configuration): Promise<void> {
  const administrator = await ensureAdministrator(prisma, { email: adminEmail, password: adminPassword });
  if (administrator === null) return;
  const { email, password } = administrator;
  console.log(`Administrator created: ${email}`);
  console.log(password === null ? 'Its password is the one in FLEETFLAG_ADMIN_PASSWORD.' : `Password, shown only this once: ${password}`);
}
