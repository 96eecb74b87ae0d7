import { readFileSync, readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from '@jest/globals';
import { buildSchema, parse, validate } from 'graphql';
import ts from 'typescript';
import { parse as parseYaml } from 'yaml';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const read = (path: string) => readFileSync(`${ROOT}${path}`, 'utf8');

const PAGES = ['README.md', 'CONTRIBUTING.md', ...readdirSync(`${ROOT}docs`, { recursive: true, encoding: 'utf8' })]
  .filter((path) => path.endsWith('.md'))
  .map((path) => (/^(README|CONTRIBUTING)\.md$/.test(path) && !path.includes('/') ? path : `docs/${path}`));

interface Block {
  readonly place: string;
  readonly text: string;
}

/** The code blocks of all pages in these languages. */
function blocks(...languages: readonly string[]): Block[] {
  return [...new Set(PAGES)].flatMap((page) => {
    const text = read(page);
    return Array.from(text.matchAll(/^```(\w+)\n(.*?)^```/gms))
      .filter(([, language = '']) => languages.includes(language))
      .map(({ index, 2: content = '' }) => ({
        place: `${page}:${text.slice(0, index).split('\n').length}`,
        text: content,
      }));
  });
}

const faultsOf = (all: readonly Block[], check: (text: string) => readonly string[]) =>
  all.flatMap(({ place, text }) => {
    try {
      return check(text).map((fault) => `${place}: ${fault}`);
    } catch (error) {
      return [`${place}: ${String(error)}`];
    }
  });

describe('What the pages show', () => {
  test('as GraphQL, the API accepts', () => {
    const schema = buildSchema(read('schema.graphql'));
    const examples = blocks('graphql');
    expect(examples.length).toBeGreaterThan(25);
    expect(faultsOf(examples, (text) => validate(schema, parse(text)).map(({ message }) => message))).toEqual([]);
  });

  test('as JSON and YAML can be read', () => {
    const json = blocks('json');
    expect(json.length).toBeGreaterThan(15);
    // A block may show several values, one a line.
    const values = (text: string) => {
      try {
        return [JSON.parse(text) as unknown];
      } catch {
        return text
          .trim()
          .split('\n')
          .map((line) => JSON.parse(line) as unknown);
      }
    };
    expect(faultsOf(json, (text) => (values(text).length > 0 ? [] : ['empty']))).toEqual([]);
    expect(faultsOf(blocks('yaml'), (text) => (parseYaml(text) === null ? ['empty'] : []))).toEqual([]);
  });

  /** The agent's package is built when it is packed: what it will export stands in its package.json. */
  function isInstalled(name: string): boolean {
    const { name: agent, exports } = JSON.parse(read('agent/package.json')) as { name: string; exports: object };
    if (name === agent || name.startsWith(`${agent}/`)) return `.${name.slice(agent.length)}` in exports;
    const options = { moduleResolution: ts.ModuleResolutionKind.Bundler };
    return ts.resolveModuleName(name, `${ROOT}x.ts`, options, ts.sys).resolvedModule !== undefined;
  }

  test('as TypeScript and JavaScript is without a fault of syntax, and imports packages that are installed', () => {
    const examples = blocks('ts', 'js');
    expect(examples.length).toBeGreaterThan(1);
    const faults = faultsOf(examples, (text) => {
      const { diagnostics = [] } = ts.transpileModule(text, {
        reportDiagnostics: true,
        compilerOptions: { module: ts.ModuleKind.ESNext, target: ts.ScriptTarget.ES2022 },
      });
      const { importedFiles } = ts.preProcessFile(text);
      const missing = importedFiles
        .map(({ fileName }) => fileName)
        .filter((name) => !name.startsWith('.') && !name.startsWith('node:') && !isInstalled(name));
      return [
        ...diagnostics.map(({ messageText }) => ts.flattenDiagnosticMessageText(messageText, ' ')),
        ...missing.map((name) => `${name} is not installed`),
      ];
    });
    expect(faults).toEqual([]);
  });

  test('as commands of npm are scripts of the package', () => {
    const { scripts } = JSON.parse(read('package.json')) as { scripts: Record<string, string> };
    const known = new Set([...Object.keys(scripts), 'ci', 'install', 'i', 'pack']);
    const commands = blocks('sh', 'bash');
    expect(commands.length).toBeGreaterThan(12);
    const faults = faultsOf(commands, (text) =>
      Array.from(text.matchAll(/\bnpm (?:run )?(?:(?:-s|--silent) )?([a-z][\w:-]*)/g), ([, name = '']) => name)
        .filter((name) => !known.has(name))
        .map((name) => `there is no script ${name}`),
    );
    expect(faults).toEqual([]);
  });
});
