import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { codegen } from '@graphql-codegen/core';
import { preset } from '@graphql-codegen/client-preset';
import { buildSchema, parse } from 'graphql';
import ts from 'typescript';
import { readOperationManifest } from '../../subgraphs/audit/persisted-operations/persisted-operation.ts';
import { operationCheck } from '../../main/operation-check.ts';

const require = createRequire(import.meta.url);
const SDL = fileURLToPath(new URL('../../schema.graphql', import.meta.url));
const run = promisify(execFile);

let folder: string;
let sdl: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'fleetflag-tools-'));
  sdl = await readFile(SDL, 'utf8');
});
afterAll(() => rm(folder, { recursive: true, force: true }));

/** Holds a manifest to the schema and the limits, as registering it does. */
const registered = (manifest: unknown) => readOperationManifest(manifest, operationCheck());

describe("Relay's compiler", () => {
  test('reads the schema, and writes a manifest that can be registered', async () => {
    const home = join(folder, 'relay');
    await mkdir(join(home, 'src'), { recursive: true });
    await mkdir(join(home, 'generated'));
    const settings = {
      src: './src',
      schema: SDL,
      language: 'javascript',
      artifactDirectory: './generated',
      persistConfig: { file: './persisted-queries.json', algorithm: 'SHA256' },
    };
    await writeFile(join(home, 'relay.config.json'), JSON.stringify(settings));
    await writeFile(join(home, 'persisted-queries.json'), '{}');
    await writeFile(
      join(home, 'src', 'flags.js'),
      [
        'fragment flags_query on Query @argumentDefinitions(count: {type: "Int", defaultValue: 10}, cursor: {type: "String"}) @refetchable(queryName: "flagsPageQuery") { flags(first: $count, after: $cursor) @connection(key: "flags_flags") { edges { node { id key rules { type } } } } }',
        'query flagsQuery { ...flags_query }',
        'fragment flags_flag on Flag @refetchable(queryName: "flagsFlagQuery") { key killed }',
        'fragment flags_vehicle on Vehicle @refetchable(queryName: "flagsVehicleQuery") { vin model }',
        'mutation flagsStopMutation($key: String!, $reason: String!) { killSwitch(flagKey: $key, reason: $reason) { flag { id killed revision } } }',
        'subscription flagsChangesSubscription { flagChanges(environment: PRODUCTION) { revision flag { id key killed } } }',
      ]
        .map((text) => `graphql\`${text}\`;`)
        .join('\n'),
    );
    await run(
      process.execPath,
      [join(dirname(require.resolve('relay-compiler/package.json')), 'cli.js'), 'relay.config.json'],
      { cwd: home },
    );
    const operations = await registered(JSON.parse(await readFile(join(home, 'persisted-queries.json'), 'utf8')));
    expect(operations.map(({ name, type, id, sha256 }) => [name, type, id === sha256]).sort()).toEqual([
      ['flagsChangesSubscription', 'subscription', true],
      ['flagsFlagQuery', 'query', true],
      ['flagsPageQuery', 'query', true],
      ['flagsQuery', 'query', true],
      ['flagsStopMutation', 'mutation', true],
      ['flagsVehicleQuery', 'query', true],
    ]);
  });
});

describe('GraphQL Code Generator', () => {
  const DOCUMENTS = [
    'fragment Shown on Flag { key killed rules { type conditions } } query OneFlag($key: String!) { flag(key: $key) { ...Shown environment totalEvaluations } }',
    'mutation Stop($key: String!, $reason: String!) { killSwitch(flagKey: $key, reason: $reason) { flag { killed } } }',
  ].map((rawSDL, index) => ({ location: `${index}.graphql`, rawSDL, document: parse(rawSDL) }));

  async function generate(hashAlgorithm: 'sha1' | 'sha256'): Promise<Map<string, string>> {
    const schemaAst = buildSchema(sdl);
    const sections = await preset.buildGeneratesSection({
      baseOutputDir: 'generated/',
      schema: parse(sdl),
      schemaAst,
      documents: DOCUMENTS,
      config: { useTypeImports: true, scalars: { DateTime: 'string', JSON: 'unknown' } },
      presetConfig: { persistedDocuments: { mode: 'embedHashInDocument', hashAlgorithm } },
      plugins: [],
      pluginMap: {},
      documentTransforms: [],
    } as never);
    const files = new Map<string, string>();
    for (const section of sections) files.set(section.filename, await codegen(section));
    return files;
  }

  test('makes types that TypeScript checks a program against', async () => {
    const home = join(folder, 'codegen');
    await mkdir(join(home, 'generated'), { recursive: true });
    await symlink(join(dirname(SDL), 'node_modules'), join(home, 'node_modules'));
    for (const [name, text] of await generate('sha256')) await writeFile(join(home, name), text);
    const program = join(home, 'program.ts');
    await writeFile(
      program,
      "import type { OneFlagQuery, StopMutationVariables } from './generated/graphql';\nexport const shown = (answer: OneFlagQuery): number | undefined => answer.flag?.totalEvaluations;\nexport const variables: StopMutationVariables = { key: 'eco', reason: 'x' };\n// @ts-expect-error: a reason is a text\nexport const wrong: StopMutationVariables = { key: 'eco', reason: 7 };\n",
    );
    const compiled = ts.createProgram([program], {
      strict: true,
      noEmit: true,
      skipLibCheck: true,
      types: [],
      target: ts.ScriptTarget.ES2022,
      module: ts.ModuleKind.ESNext,
      moduleResolution: ts.ModuleResolutionKind.Bundler,
    });
    expect(
      ts.getPreEmitDiagnostics(compiled).map(({ messageText }) => ts.flattenDiagnosticMessageText(messageText, '\n')),
    ).toEqual([]);
  });

  test.each(['sha1', 'sha256'] as const)(
    'writes persisted documents that can be registered, by their %s',
    async (algorithm) => {
      const file = (await generate(algorithm)).get('generated/persisted-documents.json') ?? '';
      const operations = await registered(JSON.parse(file));
      expect(operations.map(({ name, type }) => [name, type]).sort()).toEqual([
        ['OneFlag', 'query'],
        ['Stop', 'mutation'],
      ]);
      if (algorithm === 'sha256') for (const { id, sha256 } of operations) expect(id).toBe(`sha256:${sha256}`);
    },
  );
});
