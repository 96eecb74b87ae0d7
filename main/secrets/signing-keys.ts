/**
 * The keys that vehicles trust, and their rotation (docs/operations/key-rotation.md). In the data folder,
 * `signing-key.pem` signs; `signing-key-next.pem` will sign after the rotation, and its public half is already served;
 * `signing-keys-previous.json` has the public halves of keys whose signatures vehicles may still have.
 */
import { randomBytes } from 'node:crypto';
import { open, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { readRegularFile } from '../../core/files/regular-file.ts';
import { readPublicKeys, type PublicKey } from '../../subgraphs/flags/signing/public-keys.ts';
import { createSigner, generateSigningKey, type Signer } from '../../subgraphs/flags/signing/signing.ts';
import type { Configuration } from '../configuration.ts';
import { keep, readSecretFile } from './secrets.ts';
import { errorMessage, isMissingFile } from '../../core/caught-error.ts';

const CURRENT = 'signing-key.pem';
const NEXT = 'signing-key-next.pem';
const PREVIOUS = 'signing-keys-previous.json';

type Keys = Pick<Configuration, 'signingKey' | 'previousSigningKeys' | 'dataDir'>;

/**
 * Opens the signer, with all further valid keys. Creates a key in the data folder when there is none.
 *
 * @param mayBeMade throws when vehicles would not trust a new key
 * @throws Error when a key cannot be read; the message names its place and does not repeat it
 */
export async function openSigner(settings: Keys, mayBeMade: () => void = () => undefined): Promise<Signer> {
  const { signingKey, dataDir } = settings;
  const others = await namingSource('FLEETFLAG_PREVIOUS_SIGNING_KEYS', settings.previousSigningKeys);
  if (signingKey !== null) return createSigner(signingKey, others);
  const key = await keep(dataDir, CURRENT, () => {
    mayBeMade();
    return generateSigningKey();
  });
  return createSigner(
    key,
    unique([...(await keysIn(dataDir, PREVIOUS)), ...(await keysIn(dataDir, NEXT)), ...others]),
    join(dataDir, CURRENT),
  );
}

/** Gives the path of the file with the signing key. */
export const signingKeyPath = (dataDir: string) => join(dataDir, CURRENT);

/**
 * Opens a signer with the next key, created if there is none, for when the current key is lost. The key does not become
 * the current one before `adoptNextKey`.
 */
export async function openNextSigner({ dataDir }: Keys): Promise<Signer> {
  return createSigner(await keep(dataDir, NEXT, generateSigningKey), [], join(dataDir, NEXT));
}

/** Makes the next key the current one, in place of one that is lost. */
export async function adoptNextKey(dataDir: string): Promise<void> {
  await rename(join(dataDir, NEXT), join(dataDir, CURRENT));
  await flushFolder(dataDir);
}

/**
 * Creates the next key if there is none yet, and gives its public half. The control plane also serves that half from
 * its next start on.
 */
export async function prepareNextKey(dataDir: string): Promise<PublicKey> {
  await currentKey(dataDir);
  const [next] = await readPublicKeys(await keep(dataDir, NEXT, generateSigningKey));
  return next!;
}

/**
 * Makes the next key the current one, and keeps the public half of the former. If it is killed at any point, one of the
 * two signs and both are valid; calling it again continues from there.
 */
export async function switchToNextKey(dataDir: string): Promise<{ former: PublicKey; current: PublicKey }> {
  const former = await currentKey(dataDir);
  const current = await prepareNextKey(dataDir);
  const previous = unique([former, ...(await keysIn(dataDir, PREVIOUS))]).filter(({ kid }) => kid !== current.kid);
  // Keeps the former key valid first: in the other order, a crash in between would lose it.
  await replaceFile(dataDir, PREVIOUS, `${JSON.stringify({ keys: previous }, null, 2)}\n`);
  await rename(join(dataDir, NEXT), join(dataDir, CURRENT));
  await flushFolder(dataDir);
  return { former, current };
}

/** Reads the former keys that the data folder keeps valid. */
export function previousKeys(dataDir: string): Promise<PublicKey[]> {
  return keysIn(dataDir, PREVIOUS);
}

/** Makes the former keys invalid. */
export async function removePreviousKeys(dataDir: string): Promise<void> {
  await rm(join(dataDir, PREVIOUS), { force: true });
  await flushFolder(dataDir);
}

async function currentKey(dataDir: string): Promise<PublicKey> {
  const [current] = await keysIn(dataDir, CURRENT);
  if (current === undefined)
    throw new Error(`${dataDir} holds no signing key: the control plane makes one at its first start.`);
  return current;
}

async function keysIn(dataDir: string, name: string): Promise<PublicKey[]> {
  const path = join(dataDir, name);
  const text = name === PREVIOUS ? await readPublicFile(path) : await readSecretFile(path);
  return text === null || isEmptySet(text) ? [] : namingSource(path, [text]);
}

/** Reads a file of public keys; gives null when there is none. */
async function readPublicFile(path: string): Promise<string | null> {
  return readRegularFile(path).then(
    ({ bytes }) => bytes.toString(),
    (error: unknown) => {
      if (isMissingFile(error)) return null;
      throw error;
    },
  );
}

const isEmptySet = (text: string) => /^\s*\{\s*"keys"\s*:\s*\[\s*\]\s*\}\s*$/.test(text);

async function namingSource(source: string, texts: readonly string[]): Promise<PublicKey[]> {
  try {
    return (await Promise.all(texts.map(readPublicKeys))).flat();
  } catch (error) {
    throw new Error(`${source}: ${errorMessage(error)}`, { cause: error });
  }
}

function unique(keys: readonly PublicKey[]): PublicKey[] {
  return [...new Map(keys.map((key) => [key.kid, key])).values()];
}

/** Replaces a file atomically, synced to disk before it is visible. */
async function replaceFile(folder: string, name: string, text: string): Promise<void> {
  const draft = join(folder, `${name}.${process.pid}-${randomBytes(4).toString('hex')}`);
  const file = await open(draft, 'wx', 0o600);
  try {
    await file.writeFile(text);
    await file.sync();
    await rename(draft, join(folder, name));
  } finally {
    await file.close();
    await rm(draft, { force: true });
  }
}

/** Makes renames durable. */
async function flushFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
