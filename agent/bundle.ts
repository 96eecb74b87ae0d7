/**
 * The agent as few files with everything in them (docs/decisions/agent-package.md): the command, and what programs
 * import.
 */
import { chmod, copyFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build, type BuildOptions, type Metafile, type Plugin } from 'esbuild';

export const AGENT = fileURLToPath(new URL('./', import.meta.url));
export const ROOT = dirname(AGENT.replace(/\/$/, ''));
/** What programs import, by the file that it becomes. */
export const ENTRIES = { library: 'library.ts', openfeature: 'openfeature/fleet-flag-provider.ts' };

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

/** Makes the library and the OpenFeature provider in `folder`; says what is in them. */
export async function bundleLibrary(folder: string): Promise<Metafile> {
  const { metafile } = await build({
    ...COMMON,
    entryPoints: Object.entries(ENTRIES).map(([out, file]) => ({ in: join(AGENT, file), out })),
    outdir: folder,
    format: 'esm',
    // What only a file of flags needs is a file of its own.
    splitting: true,
    banner: { js: COMMONJS_NAMES },
  });
  return metafile;
}

/** What reads a file of flags, YAML and all: the command loads it only when it is given one. */
const FLAGS_FILE_READER = 'local-flags/flags-file-reader.ts';

/** CommonJS bundles cannot be split: the import stays one, of the file that is made beside. */
const readerApart: Plugin = {
  name: 'the reader of a file of flags apart',
  setup(build) {
    build.onResolve({ filter: /flags-file-reader\.ts$/ }, ({ kind }) =>
      kind === 'dynamic-import' ? { path: './flags-file-reader.cjs', external: true } : undefined,
    );
  },
};

/**
 * Makes the command `fleetflag-agent.cjs` in `folder`, with the WebAssembly that it and the library load; says what is
 * in it.
 */
export async function bundleCommand(folder: string): Promise<Metafile> {
  // CommonJS, which Node reads without starting its loader for modules and a thread pool first.
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
    // Its text stays in memory as long as it runs.
    minify: true,
    banner: { js: '#!/usr/bin/env node' },
  });
  await chmod(join(folder, 'fleetflag-agent.cjs'), 0o755);
  // sql.js looks for it beside the code that loads it.
  await copyFile(createRequire(import.meta.url).resolve('sql.js/dist/sql-wasm.wasm'), join(folder, 'sql-wasm.wasm'));
  return metafile;
}
