/** The secrets of a control plane (the signing key: signing-keys.ts): given in the environment, or made at the first start and kept in the data folder. */
import { randomBytes } from 'node:crypto';
import { link, mkdir, open, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';

/**
 * The text of the file `name` in `dataDir`, made by `create` if there is none. Readable by the owner only, on disk
 * before it is used, and never half there: of two processes that start at once both get the one that came first.
 */
export async function keep(dataDir: string, name: string, create: () => string | Promise<string>): Promise<string> {
  const path = join(dataDir, name);
  const present = await readFile(path, 'utf8').catch(() => null);
  if (present !== null) return present.trim();
  await mkdir(dataDir, { recursive: true });
  const draft = `${path}.${process.pid}-${randomBytes(4).toString('hex')}`;
  const file = await open(draft, 'wx', 0o600);
  try {
    await file.writeFile(`${await create()}\n`);
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

/**
 * The secret from which keys between gateway and subgraphs and for vehicle tokens are derived.
 *
 * @throws Error when the file that keeps it has been damaged: an empty secret is one that everybody knows
 */
export async function internalSecret(given: string | null, dataDir: string): Promise<string> {
  if (given !== null) return given;
  const secret = await keep(dataDir, 'internal-secret', () => randomBytes(32).toString('base64url'));
  if (secret.length < 32) throw new Error(`${join(dataDir, 'internal-secret')} is damaged: it holds fewer than 32 characters. Restore it, or delete it; vehicle tokens issued under it then end.`);
  return secret;
}
