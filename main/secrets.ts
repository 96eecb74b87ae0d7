/**
 * The secrets of a control plane (the signing key: signing-keys.ts): given in the environment, or made at the first
 * start and kept in the data folder.
 */
import { randomBytes } from 'node:crypto';
import { link, mkdir, open, readFile, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { NotRegularFile, readRegularFile } from '../core/files/regular-file.ts';
import { emptySecretFault, openSecretFault } from '../core/credentials/secret-file.ts';
import type { PrismaClient } from '../prisma/generated/client.ts';
import { errorCode } from '../core/caught-error.ts';

/**
 * The text of a file of the data folder that holds a secret; null where there is none.
 *
 * @throws Error that names the file when it is empty or everybody can read it: FleetFlag made it for its owner only
 */
export async function readSecretFile(path: string): Promise<string | null> {
  let read;
  try {
    read = await readRegularFile(path);
  } catch (error) {
    if (error instanceof NotRegularFile)
      throw new Error(
        `${error.message}: FleetFlag keeps a secret there. Move it away, and restore the file from a backup.`,
      );
    const code = errorCode(error);
    if (code === 'ENOENT') return null;
    if (code === 'ENOTDIR')
      throw new Error(
        `${dirname(path)} is no folder: FleetFlag keeps ${basename(path)} there. Move it away, or name another data folder (FLEETFLAG_DATA_DIR).`,
      );
    throw error;
  }
  const { bytes, mode } = read;
  const text = bytes.toString();
  const empty = emptySecretFault(path, text);
  const fault =
    empty === null ? openSecretFault(path, mode) : `${empty}. Restore it from a backup; deleted, it counts as lost`;
  if (fault !== null) throw new Error(`${fault}.`);
  return text.trim();
}

/**
 * The text of the file `name` in `dataDir`, made by `create` if there is none. Readable by the owner only, on disk
 * before it is used, and never half there: of two processes that start at once both get the one that came first.
 */
export async function keep(dataDir: string, name: string, create: () => string | Promise<string>): Promise<string> {
  const path = join(dataDir, name);
  const present = await readSecretFile(path);
  if (present !== null) return present;
  const made = await create();
  await mkdir(dataDir, { recursive: true });
  const draft = `${path}.${process.pid}-${randomBytes(4).toString('hex')}`;
  const file = await open(draft, 'wx', 0o600);
  try {
    await file.writeFile(`${made}\n`);
    await file.sync();
    // A link, unlike a rename, does not replace what another process has put there meanwhile.
    await link(draft, path).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'EEXIST') throw error;
    });
    const folder = await open(dataDir, 'r');
    await folder.sync().finally(() => folder.close());
  } finally {
    await file.close();
    await rm(draft, { force: true });
  }
  return (await readFile(path, 'utf8')).trim();
}

const INTERNAL_SECRET = 'internal-secret';

/**
 * The secret from which keys between gateway and subgraphs and for vehicle tokens are derived.
 *
 * @param mayBeMade throws where a new one would end what is in use
 * @throws Error when the file that keeps it has been damaged: an empty secret is one that everybody knows
 */
export async function internalSecret(
  given: string | null,
  dataDir: string,
  mayBeMade: () => Promise<void> = async () => undefined,
): Promise<string> {
  if (given !== null) return given;
  const secret = await keep(dataDir, INTERNAL_SECRET, async () => {
    await mayBeMade();
    return randomBytes(32).toString('base64url');
  });
  if (secret.length < 32)
    throw new Error(
      `${join(dataDir, INTERNAL_SECRET)} is damaged: it holds fewer than 32 characters. Restore it, or delete it; vehicle tokens issued under it then end.`,
    );
  return secret;
}

/**
 * As `internalSecret`, for the control plane on its database: a new secret would end every vehicle token without a
 * word.
 */
export function startingSecret(given: string | null, dataDir: string, prisma: PrismaClient): Promise<string> {
  return internalSecret(given, dataDir, async () => {
    if ((await prisma.auditLog.findFirst({ where: { action: 'ISSUE_VEHICLE_TOKEN' }, select: { id: true } })) === null)
      return;
    const path = join(dataDir, INTERNAL_SECRET);
    throw new Error(
      `The internal secret is lost: ${path} is missing, and vehicle tokens were issued under it. Under a new one every vehicle is refused until it has a new token. ` +
        `Put the file back from a backup, or give the secret in FLEETFLAG_INTERNAL_SECRET. Where it is lost for good, make a new one (umask 077; openssl rand -base64 32 > ${path}), start, and issue new tokens (issueVehicleToken).`,
    );
  });
}

/** As `internalSecret`, for a command beside the control plane: what one of its own making signs, nobody takes. */
export function presentSecret(given: string | null, dataDir: string): Promise<string> {
  return internalSecret(given, dataDir, async () => {
    throw new Error(
      `There is no internal secret: FLEETFLAG_INTERNAL_SECRET is not set, and ${dataDir} holds none. Give this command the settings of the control plane.`,
    );
  });
}
