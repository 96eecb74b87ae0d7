/**
 * Builds `dist/`, the whole content of the package: the library, the OpenFeature provider, the command, and their
 * types. All dependencies are bundled (docs/decisions/agent-package.md). `npm pack` runs this.
 */
import { mkdir, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import type { Metafile } from 'esbuild';
import ts from 'typescript';
import { AGENT, ENTRIES, ROOT, bundleCommand, bundleLibrary } from './bundle.ts';
import { membersOf, parseJson } from '../core/json/json-value.ts';

const DIST = join(AGENT, 'dist');

function declareTypes(): void {
  const config: unknown = ts.readConfigFile(join(ROOT, 'tsconfig.json'), (path) => ts.sys.readFile(path)).config;
  const { options } = ts.convertCompilerOptionsFromJson(membersOf(config).compilerOptions, ROOT);
  const program = ts.createProgram(
    Object.values(ENTRIES).map((file) => join(AGENT, file)),
    {
      ...options,
      noEmit: false,
      declaration: true,
      emitDeclarationOnly: true,
      outDir: join(DIST, 'types'),
      rootDir: ROOT,
    },
  );
  const emitted = program.emit();
  const faults = [...ts.getPreEmitDiagnostics(program), ...emitted.diagnostics];
  if (faults.length > 0)
    throw new Error(
      ts.formatDiagnostics(faults, {
        getCanonicalFileName: (name) => name,
        getCurrentDirectory: () => ROOT,
        getNewLine: () => '\n',
      }),
    );
}

/** Writes the licences of the bundled packages, which they require to be distributed with them. */
async function writeNotices(metafiles: readonly Metafile[]): Promise<void> {
  const folders = new Set<string>();
  for (const { inputs } of metafiles) {
    for (const path of Object.keys(inputs)) {
      const folder = /^.*node_modules\/(?:@[^/]+\/)?[^/]+/.exec(path)?.[0];
      if (folder !== undefined) folders.add(resolve(ROOT, folder));
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
  await writeFile(join(DIST, 'THIRD-PARTY-LICENSES.txt'), notices.sort().join(`\n${'-'.repeat(80)}\n\n`));
}

await rm(DIST, { recursive: true, force: true });
await mkdir(DIST, { recursive: true });
await writeNotices([await bundleLibrary(DIST), await bundleCommand(DIST)]);
declareTypes();
