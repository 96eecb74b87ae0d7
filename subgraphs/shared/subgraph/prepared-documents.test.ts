import { expect, test } from '@jest/globals';
import { buildSchema } from 'graphql';
import { PreparedDocuments } from './prepared-documents.ts';

const documents = () => new PreparedDocuments(buildSchema('type Query { flag(key: String!): String }'));

test('a document is parsed and validated once', () => {
  const prepared = documents();
  const text = 'query ($key: String!) { flag(key: $key) }';
  const first = prepared.prepare(text);
  expect(first.errors).toBeUndefined();
  expect(prepared.prepare(text)).toBe(first);
});

test.each([
  ['{ flag(', 'Syntax Error'],
  ['', 'Syntax Error'],
  ['{ flags }', 'Cannot query field'],
  ['{ flag }', 'of type "String!" is required'],
  ['{ __schema { queryType { name } } }', 'GraphQL introspection has been disabled'],
])('%j may not run, and says why', (text, reason) => {
  const { document, errors } = documents().prepare(text);
  expect(document).toBeUndefined();
  expect(errors?.[0]?.message).toContain(reason);
});
