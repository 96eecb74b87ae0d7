/**
 * The secrets of a control plane (signing keys: signing-keys.ts). They come from the environment, or are created at the
 * first start and stored in the data folder.
 */
import { randomBytes } from 'node:crypto';
import { link, mkdir, open, readFile, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { NotRegularFile, readRegularFile } from '../../core/files/regular-file.ts';
import { emptySecretFault, openSecretFault } from '../../core/credentials/secret-file.ts';
import type { PrismaClient } from '../../prisma/generated/client.ts';
import { errorCode, isMissingFile } from '../../core/caught-error.ts';

/**
 * Reads a secret file of the data folder; gives null when there is none.
 *
 * @throws Error that names the file when it is empty or everybody can read it: FleetFlag creates it for its owner only
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
    if (isMissingFile(error)) return null;
    if (errorCode(error) === 'ENOTDIR')
      throw new Error(
        `${dirname(path)} is not a folder: FleetFlag keeps ${basename(path)} there. Move it away, or name another data folder (FLEETFLAG_DATA_DIR).`,
      );
    throw error;
  }
  const { bytes, mode } = read;
  const text = bytes.toString();
  const empty = emptySecretFault(path, text);
  const fault =
    empty === null ? openSecretFault(path, mode) : `${empty}. Restore it from a backup; a deleted file counts as lost`;
  if (fault !== null) throw new Error(`${fault}.`);
  return text.trim();
}

/**
 * Reads the file `name` in `dataDir`, and creates it with the text of `create` if there is none. The file is readable
 * only by its owner, synced to disk before it is used, and never half-written: of two processes that start at once,
 * both get the first one's text.
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
    // Unlike a rename, a link does not replace a file that another process has created meanwhile.
    await link(draft, path).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'EEXIST') throw error;
    });
    const folder = await open(dataDir, 'r');
    try {
      await folder.sync();
    } finally {
      await folder.close();
    }
  } finally {
    await file.close();
    await rm(draft, { force: true });
  }
  return (await readFile(path, 'utf8')).trim();
}

const INTERNAL_SECRET = 'internal-secret';

/**
 * Gives the secret from which the keys between gateway and subgraphs, for vehicle tokens and for webhooks are derived.
 *
 * @param mayBeMade throws when a new secret would invalidate tokens in use
 * @throws Error when the stored secret is damaged: everybody knows an empty secret
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
      `${join(dataDir, INTERNAL_SECRET)} is damaged: it holds fewer than 32 characters. Restore it, or delete it, which revokes all vehicle tokens issued under it.`,
    );
  return secret;
}

/**
 * Gives the secret as `internalSecret` does, for a control plane that starts on this database. Refuses to create a new
 * one where that would silently invalidate every vehicle token, or every secret of a webhook.
 */
export function startingSecret(given: string | null, dataDir: string, prisma: PrismaClient): Promise<string> {
  return internalSecret(given, dataDir, async () => {
    const uses = { action: { in: ['ISSUE_VEHICLE_TOKEN', 'CREATE_WEBHOOK'] } };
    if ((await prisma.auditLog.findFirst({ where: uses, select: { id: true } })) === null) return;
    const path = join(dataDir, INTERNAL_SECRET);
    throw new Error(
      `The internal secret is lost: ${path} is missing, and vehicle tokens were issued or webhooks made under it. With a new secret every vehicle is refused until it has a new token, and receivers of webhooks refuse every message until they have a new secret. ` +
        `Restore the file from a backup, or set the secret in FLEETFLAG_INTERNAL_SECRET. If it is lost for good, make a new one (umask 077; openssl rand -base64 32 > ${path}), start, and issue new tokens (issueVehicleToken) and secrets (rotateWebhookSecret).`,
    );
  });
}

/**
 * Gives the secret as `internalSecret` does, for a command beside the control plane. It never creates one, because
 * nothing would accept that secret's signatures.
 */
export function presentSecret(given: string | null, dataDir: string): Promise<string> {
  return internalSecret(given, dataDir, async () => {
    throw new Error(
      `There is no internal secret: FLEETFLAG_INTERNAL_SECRET is not set, and ${dataDir} holds none. Run this command with the settings of the control plane.`,
    );
  });
}
