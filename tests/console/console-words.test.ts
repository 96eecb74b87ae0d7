import { readFileSync, readdirSync } from 'node:fs';
import { describe, expect, test } from '@jest/globals';
import ts from 'typescript';
import { FAULT_CODES } from '../../console/api/fault.ts';
import { ADMINISTRATION } from '../../console/words/administration.ts';
import { en as ofEverybody } from '../../console/words/en.ts';
import { ko as ofEverybodyInKorean } from '../../console/words/ko.ts';
import { RELEASE_WORDS } from '../../console/words/release-words.ts';
import { ERROR_CATALOGUE } from '../../core/errors.ts';
import { AUDIT_ACTIONS } from '../../subgraphs/shared/audit/audit-log.ts';

const en = { ...ofEverybody, ...ADMINISTRATION.en, ...RELEASE_WORDS.en };
const ko = { ...ofEverybodyInKorean, ...ADMINISTRATION.ko, ...RELEASE_WORDS.ko };

const CONSOLE = new URL('../../console/', import.meta.url);

/** Gives every text of a catalogue by its path; for a function, what it gives for samples of its arguments. */
function textsOf(value: unknown, path: string): [string, string][] {
  if (typeof value === 'string') return [[path, value]];
  if (typeof value === 'function') {
    const phrases = /^(?:all|either)$/.test(path);
    const sample: unknown = phrases
      ? (value as (phrases: string[]) => unknown)(['A', 'B'])
      : (value as (...samples: unknown[]) => unknown)(3, '3', 3);
    return [[path, String(sample)]];
  }
  return Object.entries(value as object).flatMap(([name, member]) =>
    textsOf(member, path === '' ? name : `${path}.${name}`),
  );
}

const english = new Map(textsOf(en, ''));
const korean = new Map(textsOf(ko, ''));

describe('The catalogues', () => {
  test('have the same keys, and no empty text', () => {
    expect([...korean.keys()].sort()).toEqual([...english.keys()].sort());
    for (const catalogue of [english, korean])
      expect([...catalogue].filter(([, text]) => text.trim() === '').map(([path]) => path)).toEqual([]);
  });

  test('are in their languages: Korean has Hangul, or is a name or a sign that both have', () => {
    const same = [...korean].filter(([, text]) => !/\p{Script=Hangul}/u.test(text)).map(([path]) => path);
    expect(
      same.filter((path) => english.get(path) !== korean.get(path) && !path.startsWith('rules.operators')),
    ).toEqual(['otherLanguage', 'all']);
    expect([...english].filter(([, text]) => /\p{Script=Hangul}/u.test(text)).map(([path]) => path)).toEqual([
      'otherLanguage',
      'searchFlagsHint',
    ]);
  });

  test('have each key in one room alone, so that no room hides the text of another', async () => {
    for (const language of ['en', 'ko']) {
      const rooms = readdirSync(new URL(`words/${language}/`, CONSOLE)).filter((name) => name !== 'counts.ts');
      expect(rooms.length).toBeGreaterThan(8);
      const keys: string[] = [];
      for (const room of rooms) {
        const module = (await import(new URL(`words/${language}/${room}`, CONSOLE).pathname)) as object;
        keys.push(...Object.values(module).flatMap((texts) => Object.keys(texts as object)));
      }
      expect(keys.filter((key, index) => keys.indexOf(key) !== index)).toEqual([]);
      expect(keys.sort()).toEqual(Object.keys(language === 'en' ? en : ko).sort());
    }
  });

  test('have words for every code of the catalogue of errors, and for every action of the audit log', () => {
    expect([...FAULT_CODES].sort()).toEqual([...Object.keys(ERROR_CATALOGUE), 'UNREACHABLE'].sort());
    expect(Object.keys(en.faults).sort()).toEqual([...FAULT_CODES].sort());
    expect(Object.keys(en.actions).sort()).toEqual([...AUDIT_ACTIONS].sort());
  });
});

/** Attributes whose values people read or hear. */
const READ_ATTRIBUTES =
  /^(?:title|label|alt|placeholder|hint|wrong|aria-(?:label|description|roledescription|valuetext))$/;
const LETTERS = /\p{L}/u;

/** Gives the texts for people that stand in a component. */
function textsInComponent(path: string): string[] {
  const source = ts.createSourceFile(path, readFileSync(new URL(path, CONSOLE), 'utf8'), ts.ScriptTarget.ES2022, true);
  const found: string[] = [];
  const visit = (node: ts.Node) => {
    if (ts.isJsxText(node) && LETTERS.test(node.text)) found.push(`${path}: ${node.text.trim()}`);
    if (ts.isStringLiteralLike(node) || ts.isTemplateHead(node)) {
      const attribute = ts.findAncestor(node, ts.isJsxAttribute);
      const isRead = attribute !== undefined && READ_ATTRIBUTES.test(attribute.name.getText());
      // Such as the path of a field, or a type: arguments and what is compared are for the program.
      const isForProgram =
        (ts.isCallExpression(node.parent) || ts.isBinaryExpression(node.parent)) && /^[\w.]+$/.test(node.text);
      const isChild = ts.isJsxExpression(node.parent) && !ts.isJsxAttribute(node.parent.parent);
      if ((isRead || isChild) && !isForProgram && LETTERS.test(node.text)) found.push(`${path}: ${node.text}`);
    }
    ts.forEachChild(node, visit);
  };
  visit(source);
  return found;
}

test('No text for people stands in a component', () => {
  const components = readdirSync(CONSOLE, { recursive: true, encoding: 'utf8' }).filter((name) =>
    name.endsWith('.tsx'),
  );
  expect(components.length).toBeGreaterThan(15);
  expect(components.flatMap(textsInComponent)).toEqual([]);
});
