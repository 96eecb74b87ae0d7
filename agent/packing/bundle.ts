/**
 * Bundles the agent with all its dependencies into few files: the command, and the modules that programs import
 * (docs/decisions/vehicle/agent-package.md).
 */
import { chmod, copyFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build, type BuildOptions, type Metafile, type Plugin } from 'esbuild';

export const AGENT = fileURLToPath(new URL('../', import.meta.url));
export const PROJECT_FOLDER = dirname(AGENT.replace(/\/$/, ''));
/** The source files of the modules that programs import, by the names of their bundles. */
export const ENTRIES = { library: 'library.ts', openfeature: 'openfeature/fleet-flag-provider.ts' };

const COMMON = {
  absWorkingDir: PROJECT_FOLDER,
  bundle: true,
  platform: 'node',
  target: 'node20',
  metafile: true,
  legalComments: 'none',
  // Only packages that the vehicle's program has itself stay outside.
  external: ['@openfeature/*'],
  // `ws` would search for native helpers, which the package does not have.
  define: { 'process.env.WS_NO_BUFFER_UTIL': '"1"', 'process.env.WS_NO_UTF_8_VALIDATE': '"1"' },
} satisfies BuildOptions;

/** Definitions of the names that CommonJS packages expect, for use in a module. */
const COMMONJS_NAMES = `import { createRequire as fleetflagRequire } from 'node:module';
const require = fleetflagRequire(import.meta.url), __filename = require('node:url').fileURLToPath(import.meta.url), __dirname = require('node:path').dirname(__filename);`;

/** Bundles the library and the OpenFeature provider into `folder`. Resolves to the list of their contents. */
export async function bundleLibrary(folder: string): Promise<Metafile> {
  const { metafile } = await build({
    ...COMMON,
    entryPoints: Object.entries(ENTRIES).map(([out, file]) => ({ in: join(AGENT, file), out })),
    outdir: folder,
    format: 'esm',
    // Code that only a file of flags needs becomes a file of its own.
    splitting: true,
    banner: { js: COMMONJS_NAMES },
  });
  return metafile;
}

/** The reader of a file of flags, with the YAML parser. The command loads it only when it is given such a file. */
const FLAGS_FILE_READER = 'local-flags/flags-file-reader.ts';

/** Keeps the import of the reader as an import of a second file, because CommonJS bundles cannot be split. */
const readerApart: Plugin = {
  name: 'the reader of a file of flags apart',
  setup(build) {
    build.onResolve({ filter: /flags-file-reader\.ts$/ }, ({ kind }) =>
      kind === 'dynamic-import' ? { path: './flags-file-reader.cjs', external: true } : undefined,
    );
  },
};

/**
 * Bundles the command as `fleetflag-agent.cjs` into `folder`, with the WebAssembly that it and the library load.
 * Resolves to the list of its contents.
 */
export async function bundleCommand(folder: string): Promise<Metafile> {
  // Node reads CommonJS without first starting its module loader and a thread pool.
  const { metafile } = await build({
    ...COMMON,
    entryPoints: [
      { in: join(AGENT, 'command/main.ts'), out: 'fleetflag-agent' },
      { in: join(AGENT, FLAGS_FILE_READER), out: 'flags-file-reader' },
    ],
    plugins: [readerApart],
    outdir: folder,
    outExtension: { '.js': '.cjs' },
    format: 'cjs',
    // The text of the bundle stays in memory for as long as it runs.
    minify: true,
    banner: { js: '#!/usr/bin/env node' },
  });
  await chmod(join(folder, 'fleetflag-agent.cjs'), 0o755);
  // sql.js reads this file beside the code that loads it.
  await copyFile(createRequire(import.meta.url).resolve('sql.js/dist/sql-wasm.wasm'), join(folder, 'sql-wasm.wasm'));
  return metafile;
}
