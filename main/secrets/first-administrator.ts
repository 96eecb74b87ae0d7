/** Creation of the first administrator. */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Logger } from 'pino';
import { withTimeout } from '../../core/async/timeout.ts';
import type { PrismaClient } from '../../prisma/generated/client.ts';
import { ensureAdministrator } from '../../subgraphs/audit/accounts/administrator.ts';
import type { Configuration } from '../configuration.ts';
import { say, stdout } from '../process/log.ts';

/** Milliseconds that a reader of stdout has to take the password before it is stored in a file instead. */
const PRINT_TIMEOUT_MS = 2_000;
const PASSWORD_FILE = 'administrator-password';

/**
 * Creates the administrator if there is none, and prints e-mail and password. Prints at once and not after the start:
 * if the start failed, the next one would find an administrator and have no password to show. A password that cannot be
 * printed is stored in the data folder.
 */
export async function makeFirstAdministrator(
  prisma: PrismaClient,
  { adminEmail, adminPassword, dataDir }: Configuration,
  logger: Logger,
): Promise<void> {
  const administrator = await ensureAdministrator(prisma, { email: adminEmail, password: adminPassword });
  if (administrator === null) return;
  const { email, password } = administrator;
  say(`Administrator created: ${email}`);
  if (password === null) say('Its password is the one in FLEETFLAG_ADMIN_PASSWORD.');
  else if (!(await isPrinted(`Password, shown only this once: ${password}\n`)))
    await keepPassword(dataDir, email, password, logger);
}

/** Resolves to whether stdout has accepted the line. */
function isPrinted(line: string): Promise<boolean> {
  const printed = () => new Promise<boolean>((resolve) => stdout.write(line, resolve));
  return withTimeout(PRINT_TIMEOUT_MS, 'The password was not printed in time.', printed).catch(() => false);
}

async function keepPassword(dataDir: string, email: string, password: string, logger: Logger): Promise<void> {
  const path = join(dataDir, PASSWORD_FILE);
  try {
    await mkdir(dataDir, { recursive: true });
    await writeFile(path, `${password}\n`, { mode: 0o600, flag: 'w' });
    logger.warn(
      { path },
      `Cannot print the password of ${email}; it is in this file: change it after signing in, and delete the file`,
    );
  } catch (error) {
    logger.error(
      { err: error },
      `Cannot print the password of ${email}, nor write it to a file; make a new one with: npm run admin -- reset-password --email ${email}`,
    );
  }
}
