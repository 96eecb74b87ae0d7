import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { makeDataFolder } from './data-folder.ts';
import { startEmbeddedPostgres } from './embedded-postgres.ts';

let parent: string;
let file: string;
beforeAll(() => {
  parent = mkdtempSync(join(tmpdir(), 'fleetflag-data-'));
  file = join(parent, 'file');
  writeFileSync(file, '');
});
afterAll(() => rmSync(parent, { recursive: true }));

test('a data folder is created with its parents, and an existing one is left as it is', () => {
  const folder = join(parent, 'not', 'yet');
  for (const _ of [1, 2]) makeDataFolder(folder);
  expect(statSync(folder).isDirectory()).toBe(true);
});

test('a data folder that is a file, or below one, is refused by its name, and so is a start on it', async () => {
  for (const [path, reason] of [
    [file, 'it is not a folder'],
    [join(file, 'below'), 'a parent of it is not a folder'],
  ] as const) {
    const message = `The data folder ${path} cannot be used: ${reason}.`;
    expect(() => makeDataFolder(path)).toThrow(message);
    await expect(startEmbeddedPostgres({ dataDir: path, log: () => undefined })).rejects.toThrow(message);
  }
});
