import { readFileSync } from 'node:fs';
import { expect, test } from '@jest/globals';
import { Kind, parse, visit, type ASTNode, type StringValueNode } from 'graphql';

const document = parse(readFileSync(new URL('../../schema.graphql', import.meta.url), 'utf8'));

interface Element {
  /** Such as `Flag.changeRequests(status:)`. */
  readonly place: string;
  readonly description: string;
}

/** The kinds of definitions that a reader of the schema meets. */
const DESCRIBED: ReadonlySet<string> = new Set([
  Kind.SCALAR_TYPE_DEFINITION,
  Kind.OBJECT_TYPE_DEFINITION,
  Kind.INTERFACE_TYPE_DEFINITION,
  Kind.UNION_TYPE_DEFINITION,
  Kind.ENUM_TYPE_DEFINITION,
  Kind.INPUT_OBJECT_TYPE_DEFINITION,
  Kind.FIELD_DEFINITION,
  Kind.INPUT_VALUE_DEFINITION,
  Kind.ENUM_VALUE_DEFINITION,
  Kind.DIRECTIVE_DEFINITION,
]);
/** Types whose name says all: what is to be known stands at their fields. */
const ROOTS = new Set(['Query', 'Mutation', 'Subscription']);

const nameOf = (node: ASTNode) => ('name' in node ? (node.name?.value ?? '') : '');
const textOf = (node: { readonly description?: StringValueNode | undefined }) =>
  (node.description?.value ?? '').replaceAll(/\s+/g, ' ').trim();

function elements(): Element[] {
  const found: Element[] = [];
  visit(document, {
    enter(node, _key, _parent, _path, ancestors) {
      if (!DESCRIBED.has(node.kind) || !('description' in node) || ROOTS.has(nameOf(node))) return;
      const around = ancestors.flatMap((ancestor) => ('kind' in ancestor ? [ancestor] : []));
      const [type, field] = around.filter(({ kind }) => DESCRIBED.has(kind)).map(nameOf);
      const name = nameOf(node);
      const place = field === undefined ? [type, name].filter(Boolean).join('.') : `${type}.${field}(${name}:)`;
      found.push({ place, description: textOf(node) });
    },
  });
  return found;
}

const ELEMENTS = elements();
const wrong = (isWrong: (element: Element) => boolean) =>
  ELEMENTS.filter((element) => element.description !== '' && isWrong(element)).map(
    ({ place, description }) => `${place}: ${description}`,
  );

/** Words that say nothing by themselves. */
const EMPTY = new Set(
  'a an and are as at be by for from has in is it its of on or that the their this to was which with itself'.split(' '),
);
const stem = (word: string) => word.replace(/(?:ies|es|s|ed|d|ing)$/, '');
const words = (text: string) => (text.match(/[A-Za-z]+|\d+/g) ?? []).map((word) => stem(word.toLowerCase()));

/** Gives the words of a description that neither its element's name nor that of what surrounds it has. */
function ownWords({ place, description }: Element): string[] {
  const said = new Set(words(place.replaceAll(/([a-z])([A-Z])/g, '$1 $2').replaceAll('_', ' ')));
  return words(description).filter((word) => !EMPTY.has(word) && !said.has(word));
}

test('Every type, field, argument and enum value of the API is described', () => {
  expect(ELEMENTS.length).toBeGreaterThan(700);
  expect(ELEMENTS.filter(({ description }) => description === '').map(({ place }) => place)).toEqual([]);
});

test('A description is a sentence: capital or code first, full stop last, at least three words', () => {
  expect(wrong(({ description }) => !/^["“`$]?[\p{Lu}\d`]/u.test(description))).toEqual([]);
  expect(wrong(({ description }) => !description.endsWith('.'))).toEqual([]);
  expect(wrong(({ description }) => description.split(' ').length < 3)).toEqual([]);
});

test('A description says more than the name', () => {
  expect(wrong((element) => new Set(ownWords(element)).size < 2)).toEqual([]);
});

test('A description is plain English', () => {
  const unclear =
    /\b(?:e\.g|i\.e|etc|resp)\.|\b(?:todo|tbd|fixme)\b|not [a-z ]{0,30}any more|\b(?:is|are) told\b| {2}/i;
  expect(wrong(({ description }) => unclear.test(description))).toEqual([]);
  // Longer ones belong into docs/.
  expect(wrong(({ description }) => description.length > 420)).toEqual([]);
});
