import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { beforeAll, expect, test } from '@jest/globals';
import { membersOf, parseJson } from '../../core/json/json-value.ts';
import type { PageFile } from '../../gateway/pages/serving/page-file.ts';
import { consoleSite, type ConsoleFile } from '../../gateway/pages/console/site.ts';

/** The console's promise: so much, gzipped, until the first useful screen. */
const BUDGET_BYTES = 100_000;

/** Bundles in a process of its own: esbuild does not run among Jest's own globals. */
function bundled(): readonly ConsoleFile[] {
  const script = `
    const { bundleConsole } = await import('./main/console/bundle-console.ts');
    console.log(JSON.stringify((await bundleConsole()).map(({ name, content }) => [name, content.toString('base64')])));`;
  const printed = execFileSync(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', script], {
    cwd: fileURLToPath(new URL('../../', import.meta.url)),
    encoding: 'utf8',
  });
  return Object.values(membersOf(parseJson(`{"files":${printed}}`)).files as [string, string][]).map(
    ([name, content]) => ({ name, content: Buffer.from(content, 'base64') }),
  );
}

const site = consoleSite(() => Promise.resolve(bundled()));
let files: readonly PageFile[];
let page: PageFile | undefined;

beforeAll(async () => {
  files = await site.load();
  page = files.find(({ path }) => path === '/console');
});

test('the console is small, and every file of it but the page and the licences may be kept by browsers', () => {
  const loaded = files.filter(({ path }) => path !== '/console' && page?.body.includes(path) === true);
  expect(new Set(loaded.map(({ path }) => path.split('.').at(-1)))).toEqual(new Set(['css', 'js', 'svg']));
  // What a script imports at once is named in the page, too: it is asked for with the script, and counts as well.
  const scripts = loaded.filter(({ path }) => path.endsWith('.js'));
  const imported = scripts.flatMap(({ body }) =>
    Array.from(body.toString().matchAll(/(?:\bfrom|\bimport)"(\/console\/assets\/[^"]+)"/g), ([, path]) => path),
  );
  expect(imported.length).toBeGreaterThan(0);
  expect(scripts.map(({ path }) => path)).toEqual(expect.arrayContaining(imported));
  const bytes = [page, ...loaded].reduce((sum, file) => sum + gzipSync(file?.body ?? '').length, 0);
  expect(bytes).toBeLessThan(BUDGET_BYTES);
  for (const { path, caching } of files)
    expect([path, caching]).toEqual([path, /licences|^\/console$/.test(path) ? 'revalidate' : 'immutable']);
});

test('the page names no other host, has neither script nor style in it, and comes with the licences', () => {
  expect(page?.body.toString()).not.toMatch(/<script(?![^>]* src=)|<style|style=|https?:|"\/\/|%/);
  const licences = files.find(({ path }) => path.endsWith('licences.txt'))?.body.toString() ?? '';
  for (const name of ['preact', '@urql/core', 'graphql-ws', 'wonka']) expect(licences).toContain(`${name} `);
});

test('addresses within the console are answered with the page, and files that are gone with 404', () => {
  expect(site.otherwise?.('/console/flags/adas.lane_keep_v2')).toBe('/console');
  expect(site.otherwise?.('/console/assets/main-00000000.js')).toBeNull();
  expect(site.policy).not.toContain('unsafe');
});
