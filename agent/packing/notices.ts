/** The licences of what a bundle contains, which they require to be distributed with it. */
import { readFile, readdir } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import type { Metafile } from 'esbuild';
import { membersOf, parseJson } from '../../core/json/json-value.ts';
import { PROJECT_FOLDER } from './bundle.ts';

/**
 * Gives name, version and licence of each bundled package, with the text of the licence.
 *
 * @throws Error for a package without a licence file
 */
export async function noticesOf(metafiles: readonly Metafile[]): Promise<string> {
  const folders = new Set<string>();
  for (const { inputs } of metafiles) {
    for (const path of Object.keys(inputs)) {
      const folder = /^.*node_modules\/(?:@[^/]+\/)?[^/]+/.exec(path)?.[0];
      if (folder !== undefined) folders.add(resolve(PROJECT_FOLDER, folder));
    }
  }
  const notices: string[] = [];
  for (const folder of folders) {
    const { name, version, license } = membersOf(parseJson(await readFile(join(folder, 'package.json'), 'utf8')));
    const file = (await readdir(folder)).find((entry) => /^licen[cs]e/i.test(entry));
    if (file === undefined) throw new Error(`${String(name)} has no licence file`);
    notices.push(
      `${String(name)} ${String(version)} (${String(license)})\n\n${await readFile(join(folder, file), 'utf8')}`,
    );
  }
  return notices.sort().join(`\n${'-'.repeat(80)}\n\n`);
}
