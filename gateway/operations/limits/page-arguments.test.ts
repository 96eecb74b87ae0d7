import { describe, expect, test } from '@jest/globals';
import { getOperationAST, getVariableValues, isObjectType, parse } from 'graphql';
import { API_SCHEMA } from '../../testing/api-schema.ts';
import { refusePages } from './page-arguments.ts';

const CURSOR = Buffer.from('0b9f6c1e-0000-4000-8000-000000000001').toString('base64url');

/** Gives the argument that refuses an operation; null when none does. */
function refused(text: string, given: Record<string, unknown> = {}): unknown {
  const document = parse(text);
  const operation = getOperationAST(document);
  if (operation == null) throw new Error('no operation');
  const { coerced = {} } = getVariableValues(API_SCHEMA, operation.variableDefinitions ?? [], given);
  try {
    refusePages(API_SCHEMA, { document, operation, variables: coerced });
    return null;
  } catch (error) {
    const { code, field } = (error as { extensions: Record<string, unknown> }).extensions;
    expect(code).toBe('BAD_USER_INPUT');
    return field;
  }
}

const ARCHIVE = (page: string) =>
  `mutation A($n: Int, $c: String) { archiveFlag(key: "x") { flag { ...F } } } fragment F on Flag { history${page} { totalCount } }`;

describe('a page in the answer of a mutation', () => {
  test.each([
    ['', {}],
    ['(first: 1, after: $c)', { c: CURSOR }],
    ['(last: $n, before: $c)', { n: 100, c: CURSOR }],
    ['(first: $n, after: $c)', { n: null, c: null }],
  ])('is read as %s with %j', (page, variables) => {
    expect(refused(ARCHIVE(page), variables)).toBeNull();
  });

  test.each([
    ['(first: 0)', {}, 'first'],
    ['(last: $n)', { n: 101 }, 'last'],
    ['(first: 1, last: 1)', {}, 'last'],
    [`(last: 1, after: "${CURSOR}")`, {}, 'after'],
    ['(first: 1, before: $c)', { c: CURSOR }, 'before'],
    ['(after: $c)', { c: 'garbage' }, 'after'],
    ['(before: "")', {}, 'before'],
  ])('refuses the mutation before it runs as %s with %j', (page, variables, field) => {
    expect(refused(ARCHIVE(page), variables)).toBe(field);
  });

  test('of a query is left to the subgraph, which answers the other fields', () => {
    expect(refused('{ flag(key: "x") { history(first: 0) { totalCount } } }')).toBeNull();
  });

  // A list of an object whose cursors have another form needs a rule of its own in `refusePages`.
  test('is one of these lists, whose cursors are UUIDs', () => {
    const lists = Object.values(API_SCHEMA.getTypeMap()).flatMap((type) =>
      isObjectType(type) && type !== API_SCHEMA.getQueryType()
        ? Object.values(type.getFields()).flatMap(({ name, args }) =>
            args.some((argument) => argument.name === 'after') ? [`${type.name}.${name}`] : [],
          )
        : [],
    );
    expect(lists).toEqual(['Flag.history']);
  });
});
