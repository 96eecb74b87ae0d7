/** Bundles the console's sources into the files that browsers load. */
import { readFile } from 'node:fs/promises';
import { basename } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Metafile } from 'esbuild';
import { noticesOf } from '../../agent/packing/notices.ts';
import type { ConsoleFile } from '../../gateway/pages/console/site.ts';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));

/** The start of the addresses of the files that the page loads. */
const ASSETS = '/console/assets/';

/**
 * Gives the only name that fits.
 *
 * @throws Error for none or several, which would be a page that loads the wrong file
 */
function onlyName(names: readonly string[], form: RegExp): string {
  const fitting = names.filter((name) => form.test(name));
  if (fitting.length !== 1) throw new Error(`The console's bundle has ${fitting.length} files like ${String(form)}.`);
  return fitting[0] ?? '';
}

/** Gives the names of the files that the bundle's file `name` imports at once, itself or through others. */
function importsOf({ outputs }: Metafile, name: string): readonly string[] {
  const found = new Set<string>();
  const visit = (path: string) => {
    for (const { path: imported, kind } of outputs[path]?.imports ?? []) {
      if (kind !== 'import-statement' || found.has(imported)) continue;
      found.add(imported);
      visit(imported);
    }
  };
  visit(Object.keys(outputs).find((path) => basename(path) === name) ?? '');
  return [...found].map((path) => basename(path));
}

/**
 * Bundles the console. All names but the page's own have a digest of their content.
 *
 * @throws what esbuild reports about a fault in the sources
 */
export async function bundleConsole(): Promise<readonly ConsoleFile[]> {
  // The bundler is loaded only here: it is not installed where the files were built ahead (built-console.ts).
  const { build } = await import('esbuild');
  const { outputFiles, metafile } = await build({
    absWorkingDir: ROOT,
    entryPoints: ['console/main.tsx', 'console/icon.svg'],
    outdir: 'dist/console',
    entryNames: '[name]-[hash]',
    chunkNames: '[name]-[hash]',
    publicPath: ASSETS,
    bundle: true,
    splitting: true,
    format: 'esm',
    platform: 'browser',
    target: 'es2022',
    minify: true,
    legalComments: 'none',
    loader: { '.svg': 'copy' },
    tsconfig: 'console/tsconfig.json',
    logLevel: 'silent',
    metafile: true,
    write: false,
  });
  const assets = outputFiles.map(({ path, contents }) => ({ name: basename(path), content: Buffer.from(contents) }));
  const names = assets.map(({ name }) => name);
  const script = onlyName(names, /^main-.*\.js$/);
  // Browsers load the files that the script imports at once together with it, and not after it.
  const preloads = importsOf(metafile, script).map((name) => `<link rel="modulepreload" href="${ASSETS}${name}">`);
  const page = (await readFile(`${ROOT}console/index.html`, 'utf8'))
    .replace('%icon%', ASSETS + onlyName(names, /^icon-.*\.svg$/))
    .replace('%style%', ASSETS + onlyName(names, /^main-.*\.css$/))
    .replace('%script%', ASSETS + script)
    .replace('%preloads%', preloads.join(''));
  return [
    { name: 'index.html', content: Buffer.from(page) },
    { name: 'licences.txt', content: Buffer.from(await noticesOf([metafile])) },
    ...assets,
  ];
}
