/** Generates the Prisma client from prisma/schema.prisma into prisma/generated. */
import { spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const SCHEMA_FOLDER = fileURLToPath(new URL('../../prisma', import.meta.url));

function generate(schemaFolder: string): void {
  const cli = join(dirname(createRequire(import.meta.url).resolve('prisma-cli/package.json')), 'build/index.js');
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    [cli, 'generate', '--schema', join(schemaFolder, 'schema.prisma')],
    {
      cwd: dirname(SCHEMA_FOLDER),
      encoding: 'utf8',
      // Generating runs no engine, but the command would download one if none were named; any executable satisfies it.
      env: { PRISMA_SCHEMA_ENGINE_BINARY: process.execPath, PRISMA_HIDE_UPDATE_MESSAGE: '1', CHECKPOINT_DISABLE: '1' },
    },
  );
  if (status !== 0) throw new Error(`prisma generate failed:\n${stdout}${stderr}`);
}

/** Reads the generated files, path to text. */
function filesOf(folder: string): Map<string, string> {
  const entries = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  const paths = entries.map((entry) => join(entry.parentPath, entry.name)).sort();
  return new Map(paths.map((path) => [path.slice(folder.length + 1), readFileSync(path, 'utf8')]));
}

/** Writes prisma/generated. */
export function writePrismaClient(): void {
  generate(SCHEMA_FOLDER);
}

/** Gives the paths of files that are missing, superfluous or different in the checked-in client. */
export function stalePrismaFiles(): string[] {
  const folder = mkdtempSync(join(tmpdir(), 'fleetflag-generate-'));
  try {
    cpSync(join(SCHEMA_FOLDER, 'schema.prisma'), join(folder, 'schema.prisma'));
    generate(folder);
    const fresh = filesOf(join(folder, 'generated'));
    const present = filesOf(join(SCHEMA_FOLDER, 'generated'));
    const stale = [...new Set([...fresh.keys(), ...present.keys()])].filter(
      (name) => fresh.get(name) !== present.get(name),
    );
    return stale.map((name) => `prisma/generated/${name}`);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
