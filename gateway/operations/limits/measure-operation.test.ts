import { describe, expect, test } from '@jest/globals';
import { getOperationAST, parse } from 'graphql';
import { API_SCHEMA } from '../../testing/api-schema.ts';
import { measureOperation } from './measure-operation.ts';

function sizeOf(text: string, variables: Record<string, unknown> = {}, operationName?: string) {
  const document = parse(text);
  const operation = getOperationAST(document, operationName);
  if (operation == null) throw new Error('no operation');
  return measureOperation(API_SCHEMA, document, operation, variables);
}

describe('the size of an operation', () => {
  test('counts fields, the deepest way, aliases and what stands at the root', () => {
    expect(sizeOf('{ a: flag(key: "x") { key rules { id } } me { kind } }')).toEqual({
      depth: 3,
      aliases: 1,
      rootFields: 2,
      fields: 6,
      cost: 1 + 5 + 1,
    });
  });

  test.each([
    ['an inline fragment', '{ ... on Query { a: flag(key: "x") { ... { rules { ... on Rule { id } } } } } }'],
    [
      'a fragment',
      '{ ...A } fragment A on Query { a: flag(key: "x") { ...B } } fragment B on Flag { rules { ...C } } fragment C on Rule { id }',
    ],
  ])('is the same in %s', (_what, text) => {
    expect(sizeOf(text)).toEqual(sizeOf('{ a: flag(key: "x") { rules { id } } }'));
  });

  test('counts a fragment wherever it is spread', () => {
    const once = sizeOf('{ flag(key: "x") { ...F } } fragment F on Flag { a: key rules { id } }');
    const twice = sizeOf('{ flag(key: "x") { ...F ... { ...F } } } fragment F on Flag { a: key rules { id } }');
    expect(twice).toEqual({ ...once, aliases: 2, fields: once.fields + 3, cost: once.cost + 5 });
  });

  test('is found at once though fragments spread each other exponentially or in a circle', () => {
    const levels = Array.from({ length: 100 }, (_, n) => `fragment F${n} on Flag { ...F${n + 1} ...F${n + 1} }`).join(
      ' ',
    );
    expect(sizeOf(`{ flag(key: "x") { ...F0 } } ${levels} fragment F100 on Flag { key }`).fields).toBe(2 ** 100 + 1);
    expect(
      sizeOf('{ flag(key: "x") { ...A } } fragment A on Flag { key ...B } fragment B on Flag { key ...A }').fields,
    ).toBe(3);
  });

  test('counts only the operation that is meant', () => {
    expect(sizeOf('query A { me { kind } } query B { flag(key: "x") { rules { id } } }', {}, 'A')).toMatchObject({
      depth: 2,
      cost: 1,
    });
  });

  test.each<[string, string, Record<string, unknown>, number]>([
    ['as it is written', '{ flags(first: 7) { nodes { key } } }', {}, 1 + 7],
    ['as the default', '{ flags { nodes { key } } }', {}, 1 + 20],
    ['as the default for null', '{ flags(first: null) { nodes { key } } }', {}, 1 + 20],
    ['as the variable', 'query ($n: Int) { flags(first: $n) { nodes { key } } }', { n: 30 }, 1 + 30],
    ["as the variable's default", 'query ($n: Int = 40) { flags(first: $n) { nodes { key } } }', {}, 1 + 40],
    [
      "as the list's default where the variable is not given",
      'query ($n: Int) { flags(first: $n) { nodes { key } } }',
      {},
      1 + 20,
    ],
    ['backwards as it is written', '{ flags(last: 7) { nodes { key } } }', {}, 1 + 7],
    ['backwards as the variable', 'query ($n: Int) { flags(last: $n) { nodes { key } } }', { n: 30 }, 1 + 30],
    ['as the greater of both ways', '{ flags(first: 1, last: 50) { nodes { key } } }', {}, 1 + 50],
    ['as the most where it is beyond that', '{ flags(first: 100000) { nodes { key } } }', {}, 1 + 100],
    ['as nothing where it is below', '{ flags(first: -5) { nodes { key } } }', {}, 1],
    [
      'as the most where it is no number',
      'query ($n: Int) { flags(first: $n) { nodes { key } } }',
      { n: { a: 1 } },
      1 + 100,
    ],
  ])('takes a page size %s', (_what, text, variables, cost) => {
    expect(sizeOf(text, variables).cost).toBe(cost);
  });

  test('multiplies what is nested, by nodes and by edges alike', () => {
    expect(sizeOf('{ flags(first: 10) { nodes { history(first: 10) { nodes { action } } } } }').cost).toBe(
      1 + 10 * (1 + 1 + 10),
    );
    expect(
      sizeOf('{ flags(first: 10) { edges { node { history(first: 10) { edges { node { action } } } } } } }').cost,
    ).toBe(1 + 10 * (1 + 1 + 1 + 10 * 2));
    expect(
      sizeOf('subscription { flagChanges(environment: STAGING) { flag { history(first: 10) { nodes { action } } } } }')
        .cost,
    ).toBe(1 + 1 + 1 + 10);
  });

  test.each([
    ['{ flags { nodes { key } } me @skip(if: true) { kind } }', {}, 1],
    ['query ($v: Boolean!) { flags { nodes { key } } me @include(if: $v) { kind } }', { v: false }, 1],
    ['query ($v: Boolean!) { flags { nodes { key } } me @include(if: $v) { kind } }', {}, 2],
    ['query ($v: Boolean = true) { flags { nodes { key } } me @skip(if: $v) { kind } }', {}, 1],
  ])('leaves out what is skipped, and nothing that may not be: %s %j', (text, variables, rootFields) => {
    expect(sizeOf(text, variables).rootFields).toBe(rootFields);
  });

  test('has an end for what the schema does not know', () => {
    expect(
      sizeOf('{ nothing { x { y } } flag(key: "x") { ...Missing colour { red } } ...N } fragment N on Nothing { z }'),
    ).toEqual({ depth: 3, aliases: 0, rootFields: 3, fields: 7, cost: 1 });
  });
});
