import { execFileSync } from 'node:child_process';
import { mkdir, mkdtemp, readFile, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { internalSecret } from './secrets.ts';
import { openSigner } from './signing-keys.ts';

let parent: string;
let dataDir: string;
beforeEach(async () => {
  parent = await mkdtemp(join(tmpdir(), 'fleetflag-secrets-'));
  dataDir = join(parent, 'not', 'there', 'yet');
});
afterEach(() => rm(parent, { recursive: true }));

describe('the internal secret', () => {
  const [secret, file] = [internalSecret, 'internal-secret'];

  test('is used as given, and nothing is written', async () => {
    expect(await secret('given', dataDir)).toBe('given');
    expect(await readdir(parent)).toEqual([]);
  });

  test('is made at the first start, for its owner only, and kept', async () => {
    const made = await secret(null, dataDir);
    expect(made.length).toBeGreaterThanOrEqual(32);
    expect((await stat(join(dataDir, file))).mode & 0o777).toBe(0o600);
    expect((await readFile(join(dataDir, file), 'utf8')).trim()).toBe(made);
    expect(await secret(null, dataDir)).toBe(made);
    expect(await readdir(dataDir)).toEqual([file]);
  });

  test('is the same for all processes that start at once', async () => {
    const made = await Promise.all(Array.from({ length: 10 }, () => secret(null, dataDir)));
    expect(new Set(made).size).toBe(1);
    expect(await readdir(dataDir)).toEqual([file]);
  });

  test('differs between folders', async () => {
    expect(await secret(null, dataDir)).not.toBe(await secret(null, join(parent, 'other')));
  });
});

test.each(['', '\n', 'short\n'])(
  'an internal secret that was damaged to %j is refused and not replaced',
  async (text) => {
    await internalSecret(null, dataDir);
    await writeFile(join(dataDir, 'internal-secret'), text);
    await expect(internalSecret(null, dataDir)).rejects.toThrow(/internal-secret is (damaged|empty)/);
    expect(await readFile(join(dataDir, 'internal-secret'), 'utf8')).toBe(text);
  },
);

test("a folder in place of the secret's file, and a file in place of the data folder, are refused by their names", async () => {
  await mkdir(join(dataDir, 'internal-secret'), { recursive: true });
  await expect(internalSecret(null, dataDir)).rejects.toThrow(`${join(dataDir, 'internal-secret')} is a folder`);
  const file = join(parent, 'file');
  await writeFile(file, '');
  await expect(internalSecret(null, file)).rejects.toThrow(
    `${file} is not a folder: FleetFlag keeps internal-secret there.`,
  );
});

test('a secret or a key in the data folder that is a named pipe stops the start with an error that names it', async () => {
  await mkdir(dataDir, { recursive: true });
  for (const [name, read] of [
    ['internal-secret', () => internalSecret(null, dataDir)],
    ['signing-key.pem', () => openSigner({ signingKey: null, previousSigningKeys: [], dataDir })],
  ] as const) {
    execFileSync('mkfifo', [join(dataDir, name)]);
    await expect(read()).rejects.toThrow(`${join(dataDir, name)} is a named pipe, not a regular file`);
  }
});
