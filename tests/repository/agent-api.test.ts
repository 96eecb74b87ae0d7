import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from '@jest/globals';
import ts from 'typescript';
import { completeOptions } from '../../agent/assembly/agent-options.ts';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const page = readFileSync(`${ROOT}docs/reference/agent-api.md`, 'utf8');

/** An export that a Node program can import, with the names of its public members. */
interface Exported {
  readonly name: string;
  readonly members: readonly string[];
  /** The texts of a union of texts, such as `FLAG_NOT_FOUND`. */
  readonly texts: readonly string[];
}

const HIDDEN = ts.ModifierFlags.Private | ts.ModifierFlags.Protected;
const { compilerOptions } = ts.readConfigFile(`${ROOT}tsconfig.json`, (path) => ts.sys.readFile(path)).config as {
  compilerOptions: object;
};
const { options } = ts.convertCompilerOptionsFromJson(compilerOptions, ROOT);
const entries = ['agent/library.ts', 'agent/openfeature/fleet-flag-provider.ts'].map((path) => `${ROOT}${path}`);
const program = ts.createProgram(entries, options);
const checker = program.getTypeChecker();

function exportsOf(path: string): Exported[] {
  const module = checker.getSymbolAtLocation(program.getSourceFile(path)!)!;
  return checker.getExportsOfModule(module).map((exported) => {
    const symbol = exported.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(exported) : exported;
    const type = checker.getDeclaredTypeOfSymbol(symbol);
    const isPublic = ({ valueDeclaration }: ts.Symbol) =>
      valueDeclaration === undefined ||
      (!(ts.getCombinedModifierFlags(valueDeclaration) & HIDDEN) &&
        !ts.isPrivateIdentifier((valueDeclaration as ts.NamedDeclaration).name ?? valueDeclaration));
    const members = [
      ...(symbol.flags & (ts.SymbolFlags.Class | ts.SymbolFlags.Interface) ? type.getProperties() : []),
      // What a class has itself, such as `parse`.
      ...(symbol.flags & ts.SymbolFlags.Class ? [...(symbol.exports?.values() ?? [])] : []),
    ].filter((member) => isPublic(member) && member.name !== 'prototype');
    const texts = (type.isUnion() ? type.types : []).flatMap((text) => (text.isStringLiteral() ? [text.value] : []));
    return { name: exported.name, members: members.map(({ name }) => name), texts };
  });
}

/** The page's sections by the names in their headings. */
const sections = new Map(
  page
    .split(/^#+ /m)
    .flatMap((section) =>
      Array.from(section.split('\n')[0]!.matchAll(/`(\w+)`/g), ([, name = '']) => [name, section] as const),
    ),
);
/** The first cells of a section's table, as names: `FleetFlagAgent.x(a)`, `x(a)` and `x` are all x. */
const rowsOf = (section: string) =>
  Array.from(section.matchAll(/^\| `(new )?(?:\w+\.)?(\w+)/gm), ([, made, name = '']) => (made ? [] : [name])).flat();

const exported = entries.flatMap(exportsOf);

describe('docs/reference/agent-api.md', () => {
  test('has a section for each name that a program can import, and for no other', () => {
    expect(exported.length).toBeGreaterThan(15);
    expect([...sections.keys()].sort()).toEqual(exported.map(({ name }) => name).sort());
  });

  test.each(exported.map(({ name, members }) => ({ name, members })))(
    'lists the public members of $name, and no others',
    ({ name, members }) => {
      const rows = rowsOf(sections.get(name) ?? '');
      expect([...rows].sort()).toEqual([...members].sort());
    },
  );

  test('names each text of a union', () => {
    const unions = exported.filter(({ texts }) => texts.length > 0);
    expect(unions.map(({ name }) => name)).toEqual(expect.arrayContaining(['EvaluationErrorCode', 'LogLevel']));
    for (const { name, texts } of unions) for (const text of texts) expect(sections.get(name)).toContain(`\`${text}\``);
  });

  test('gives the default times of an agent', () => {
    const { timings } = completeOptions({ flagsFile: 'flags.yaml' });
    const rows = Array.from(
      (sections.get('AgentTimings') ?? '').matchAll(/^\| `(\w+)` \| .* \| ([\d,]+) \|$/gm),
      ([, name = '', value = '']) => [name, Number(value.replaceAll(',', ''))] as const,
    );
    expect(Object.fromEntries(rows)).toEqual(timings);
  });
});
