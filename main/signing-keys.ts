/**
 * The keys that vehicles trust, and the way from one to the next (docs/operations/key-rotation.md). In the data folder:
 * `signing-key.pem` signs; `signing-key-next.pem` will, and its public half is served already; the public halves in
 * `signing-keys-previous.json` have signed what vehicles may still hold.
 */
import { randomBytes } from 'node:crypto';
import { open, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { readRegularFile } from '../core/files/regular-file.ts';
import { readPublicKeys, type PublicKey } from '../subgraphs/flags/signing/public-keys.ts';
import { createSigner, generateSigningKey, type Signer } from '../subgraphs/flags/signing/signing.ts';
import type { Configuration } from './configuration.ts';
import { keep, readSecretFile } from './secrets.ts';
import { errorMessage } from '../core/caught-error.ts';

const CURRENT = 'signing-key.pem';
const NEXT = 'signing-key-next.pem';
const PREVIOUS = 'signing-keys-previous.json';

type Keys = Pick<Configuration, 'signingKey' | 'previousSigningKeys' | 'dataDir'>;

/**
 * What signs, with all keys that are valid beside it. A key is made in the data folder where there is none.
 *
 * @param mayBeMade throws where a new key is one that no vehicle would believe
 * @throws Error when a key cannot be read; the message names where it stands and does not repeat it
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

/** The path of the file that holds the key that signs. */
export const signingKeyPath = (dataDir: string) => join(dataDir, CURRENT);

/**
 * The next key, made if there is none yet, where the present one is lost: nothing takes it for the present one before
 * `adoptNextKey`.
 */
export async function openNextSigner({ dataDir }: Keys): Promise<Signer> {
  return createSigner(await keep(dataDir, NEXT, generateSigningKey), [], join(dataDir, NEXT));
}

/** Makes the next key the one that signs, in place of one that is lost. */
export async function adoptNextKey(dataDir: string): Promise<void> {
  await rename(join(dataDir, NEXT), join(dataDir, CURRENT));
  await flushFolder(dataDir);
}

/**
 * Makes the next key, if there is none yet, and gives it. From its next start the control plane serves its public half,
 * too.
 */
export async function prepareNextKey(dataDir: string): Promise<PublicKey> {
  await currentKey(dataDir);
  const [next] = await readPublicKeys(await keep(dataDir, NEXT, generateSigningKey));
  return next!;
}

/**
 * Makes the next key the one that signs, and keeps the public half of the former. Killed at any point, one of the two
 * signs and both are valid; calling it again goes on from there.
 */
export async function switchToNextKey(dataDir: string): Promise<{ former: PublicKey; current: PublicKey }> {
  const former = await currentKey(dataDir);
  const current = await prepareNextKey(dataDir);
  const previous = unique([former, ...(await keysIn(dataDir, PREVIOUS))]).filter(({ kid }) => kid !== current.kid);
  // First what keeps the former valid: the other way round, a crash between would leave nobody who knows it.
  await replaceFile(dataDir, PREVIOUS, `${JSON.stringify({ keys: previous }, null, 2)}\n`);
  await rename(join(dataDir, NEXT), join(dataDir, CURRENT));
  await flushFolder(dataDir);
  return { former, current };
}

/** The former keys that the data folder keeps valid. */
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

/** Null where there is none. */
async function readPublicFile(path: string): Promise<string | null> {
  return readRegularFile(path).then(
    ({ bytes }) => bytes.toString(),
    (error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return null;
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

/** Puts a file in place as a whole, on disk before it is seen. */
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
