import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from '@jest/globals';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));

/** The sources of the control plane, without tests. */
function* sources(folder: string): Generator<string> {
  for (const entry of readdirSync(join(ROOT, folder), { withFileTypes: true })) {
    const path = `${folder}/${entry.name}`;
    if (entry.isDirectory() && entry.name !== 'node_modules' && entry.name !== 'testing') yield* sources(path);
    else if (entry.isFile() && /(?<!\.test)\.ts$/.test(entry.name)) yield path;
  }
}

test('OpenTelemetry’s packages are loaded by one file, and that only where traces are asked for', () => {
  const texts = ['core', 'gateway', 'subgraphs', 'main', 'commands'].flatMap((folder) =>
    [...sources(folder)].map((path) => ({ path, text: readFileSync(join(ROOT, path), 'utf8') })),
  );
  const withPackages = texts.filter(({ text }) => /(?:from|import\() ?'@opentelemetry\//.test(text));
  expect(withPackages.map(({ path }) => path)).toEqual(['main/tracing.ts']);
  const loading = texts.flatMap(({ path, text }) =>
    Array.from(text.matchAll(/^.*'\.{1,2}\/(?:\w+\/)*tracing\.ts'.*$/gm), ([line]) => ({ path, line })).filter(
      ({ line }) => !line.includes('monitoring/tracing.ts'),
    ),
  );
  expect(loading.map(({ path }) => path)).toEqual(['main/process/process.ts']);
  expect(loading[0]?.line).toMatch(/^\s+\(await import\('\.\.\/tracing\.ts'\)\)\.openTracing\(/);
});
