/**
 * Builds `dist/`, the whole content of the package: the library, the OpenFeature provider, the command, and their
 * types. All dependencies are bundled (docs/decisions/vehicle/agent-package.md). `npm pack` runs this.
 */
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import ts from 'typescript';
import { AGENT, ENTRIES, PROJECT_FOLDER, bundleCommand, bundleLibrary } from './bundle.ts';
import { membersOf } from '../../core/json/json-value.ts';
import { noticesOf } from './notices.ts';

const DIST = join(AGENT, 'dist');

function declareTypes(): void {
  const config: unknown = ts.readConfigFile(join(PROJECT_FOLDER, 'tsconfig.json'), (path) =>
    ts.sys.readFile(path),
  ).config;
  const { options } = ts.convertCompilerOptionsFromJson(membersOf(config).compilerOptions, PROJECT_FOLDER);
  const program = ts.createProgram(
    Object.values(ENTRIES).map((file) => join(AGENT, file)),
    {
      ...options,
      noEmit: false,
      declaration: true,
      emitDeclarationOnly: true,
      outDir: join(DIST, 'types'),
      rootDir: PROJECT_FOLDER,
    },
  );
  const emitted = program.emit();
  const faults = [...ts.getPreEmitDiagnostics(program), ...emitted.diagnostics];
  if (faults.length > 0)
    throw new Error(
      ts.formatDiagnostics(faults, {
        getCanonicalFileName: (name) => name,
        getCurrentDirectory: () => PROJECT_FOLDER,
        getNewLine: () => '\n',
      }),
    );
}

await rm(DIST, { recursive: true, force: true });
await mkdir(DIST, { recursive: true });
await writeFile(
  join(DIST, 'THIRD-PARTY-LICENSES.txt'),
  await noticesOf([await bundleLibrary(DIST), await bundleCommand(DIST)]),
);
declareTypes();
