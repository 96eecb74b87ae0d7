/**
 * The console's files as `npm run build` has made them. The bundled commands have this in the place of
 * bundle-console.ts, so that they need neither the sources nor the bundler.
 */
import { readFile, readdir } from 'node:fs/promises';
import type { ConsoleFile } from '../../gateway/pages/console/site.ts';

const FOLDER = new URL('../../dist/console/', import.meta.url);

/**
 * Reads the files.
 *
 * @throws what the file system reports, where `npm run build` has not run
 */
export async function bundleConsole(): Promise<readonly ConsoleFile[]> {
  const names = await readdir(FOLDER);
  return Promise.all(names.map(async (name) => ({ name, content: await readFile(new URL(name, FOLDER)) })));
}
