/**
 * Makes `dist/`, which is all of the package: the library, the OpenFeature provider, the command, and their types.
 * Everything is bundled in (docs/decisions/agent-package.md); `npm pack` runs this.
 */
import { chmod, copyFile, mkdir, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build, type BuildOptions, type Metafile } from 'esbuild';
import ts from 'typescript';

const AGENT = fileURLToPath(new URL('.', import.meta.url));
const ROOT = dirname(AGENT.replace(/\/$/, ''));
const DIST = join(AGENT, 'dist');
const ENTRIES = { library: 'library.ts', openfeature: 'openfeature/fleet-flag-provider.ts' };

const COMMON = {
  absWorkingDir: ROOT,
  bundle: true,
  platform: 'node',
  target: 'node20',
  metafile: true,
  legalComments: 'none',
  // Only what the vehicle's program brings along itself stays outside.
  external: ['@openfeature/*'],
  // The native helpers that `ws` would look for.
  define: { 'process.env.WS_NO_BUFFER_UTIL': '"1"', 'process.env.WS_NO_UTF_8_VALIDATE': '"1"' },
} satisfies BuildOptions;

/** What CommonJS packages expect to find, inside of a module. */
const COMMONJS_NAMES = `import { createRequire as fleetflagRequire } from 'node:module';
const require = fleetflagRequire(import.meta.url), __filename = require('node:url').fileURLToPath(import.meta.url), __dirname = require('node:path').dirname(__filename);`;

async function bundle(): Promise<Metafile[]> {
  const library = await build({
    ...COMMON,
    entryPoints: Object.entries(ENTRIES).map(([out, file]) => ({ in: join(AGENT, file), out })),
    outdir: DIST,
    format: 'esm',
    banner: { js: COMMONJS_NAMES },
  });
  // CommonJS, which Node reads without starting its loader for modules and a thread pool first.
  const command = await build({
    ...COMMON,
    entryPoints: [{ in: join(AGENT, 'main.ts'), out: 'fleetflag-agent' }],
    outdir: DIST,
    outExtension: { '.js': '.cjs' },
    format: 'cjs',
    banner: { js: '#!/usr/bin/env node' },
  });
  await chmod(join(DIST, 'fleetflag-agent.cjs'), 0o755);
  // sql.js looks for it beside the code that loads it.
  await copyFile(createRequire(import.meta.url).resolve('sql.js/dist/sql-wasm.wasm'), join(DIST, 'sql-wasm.wasm'));
  return [library.metafile, command.metafile];
}

function declareTypes(): void {
  const { config } = ts.readConfigFile(join(ROOT, 'tsconfig.json'), (path) => ts.sys.readFile(path)) as { config: { compilerOptions: object } };
  const { options } = ts.convertCompilerOptionsFromJson(config.compilerOptions, ROOT);
  const program = ts.createProgram(
    Object.values(ENTRIES).map((file) => join(AGENT, file)),
    { ...options, noEmit: false, declaration: true, emitDeclarationOnly: true, outDir: join(DIST, 'types'), rootDir: ROOT },
  );
  const emitted = program.emit();
  const faults = [...ts.getPreEmitDiagnostics(program), ...emitted.diagnostics];
  if (faults.length > 0) throw new Error(ts.formatDiagnostics(faults, { getCanonicalFileName: (name) => name, getCurrentDirectory: () => ROOT, getNewLine: () => '\n' }));
}

/** The licences of what is bundled ask to go along with it. */
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
    const { name, version, license } = JSON.parse(await readFile(join(folder, 'package.json'), 'utf8')) as Record<string, string>;
    const file = (await readdir(folder)).find((entry) => /^licen[cs]e/i.test(entry));
    if (file === undefined) throw new Error(`${name} has no licence file`);
    notices.push(`${name} ${version} (${license})\n\n${await readFile(join(folder, file), 'utf8')}`);
  }
  await writeFile(join(DIST, 'THIRD-PARTY-LICENSES.txt'), notices.sort().join(`\n${'-'.repeat(80)}\n\n`));
}

await rm(DIST, { recursive: true, force: true });
await mkdir(DIST, { recursive: true });
await writeNotices(await bundle());
declareTypes();
