import { describe, expect, test } from '@jest/globals';
import {
  getNamedType,
  getNullableType,
  getOperationAST,
  getVariableValues,
  isInterfaceType,
  isListType,
  isObjectType,
  parse,
  type GraphQLNamedType,
} from 'graphql';
import { API_SCHEMA } from '../../testing/api-schema.ts';
import { refuseAnswerArguments } from './answer-arguments.ts';

const CURSOR = Buffer.from('0b9f6c1e-0000-4000-8000-000000000001').toString('base64url');

/** Gives the argument that refuses an operation; null when none does. */
function refused(text: string, given: Record<string, unknown> = {}): unknown {
  const document = parse(text);
  const operation = getOperationAST(document);
  if (operation == null) throw new Error('no operation');
  const { coerced = {} } = getVariableValues(API_SCHEMA, operation.variableDefinitions ?? [], given);
  try {
    refuseAnswerArguments(API_SCHEMA, { document, operation, variables: coerced });
    return null;
  } catch (error) {
    const { code, field } = (error as { extensions: Record<string, unknown> }).extensions;
    expect(code).toBe(field === 'interval' ? 'LIMIT_EXCEEDED' : 'BAD_USER_INPUT');
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

  const METRICS = (more: string) =>
    `mutation A($m: String!, $to: DateTime!, $i: MetricInterval) { archiveFlag(key: "x") { flag { metrics(metric: $m, from: "2026-01-01T00:00:00Z", to: $to${more}) { mean } } } }`;

  test.each([
    ['', { m: 'range_km', to: '2026-01-02T00:00:00Z' }, null],
    [', interval: $i', { m: '$evaluations', to: '2026-01-01T00:10:00Z', i: 'MINUTE' }, null],
    [', interval: $i', { m: 'range_km', to: '2026-06-02T00:00:00Z', i: null }, 'interval'],
    [', interval: $i', { m: 'range_km', to: '2026-01-02T00:00:00Z', i: 'MINUTE' }, 'interval'],
    ['', { m: 'range_km', to: '2025-01-02T00:00:00Z' }, 'to'],
    ['', { m: 'range_km', to: '2100-01-02T00:00:00Z' }, 'to'],
    ['', { m: ' ', to: '2026-01-02T00:00:00Z' }, 'metric'],
  ])('has the series of metrics%s with %j read before it runs', (more, variables, field) => {
    expect(refused(METRICS(more), variables)).toBe(field);
  });

  test('has the size of a plain list read before it runs, whose keys may be any text', () => {
    const query = (args: string) => `mutation A { approveChangeRequest(id: "x") { changes(${args}) { action } } }`;
    expect(refused(query('first: 101'), {})).toBe('first');
    expect(refused(query('first: 100, after: "no cursor"'), {})).toBe(null);
  });

  // A connection of an object whose cursors have another form needs a rule of its own in `refuseAnswerArguments`.
  test('is one of these lists, whose cursors are UUIDs', () => {
    const reached = new Set<GraphQLNamedType>();
    const lists: string[] = [];
    const reach = (type: GraphQLNamedType | null | undefined) => {
      if (!(isObjectType(type) || isInterfaceType(type)) || reached.has(type)) return;
      reached.add(type);
      for (const field of Object.values(type.getFields())) {
        const isConnection = !isListType(getNullableType(field.type));
        if (isConnection && field.args.some(({ name }) => name === 'after')) lists.push(`${type.name}.${field.name}`);
        reach(getNamedType(field.type));
      }
    };
    reach(API_SCHEMA.getMutationType());
    expect(lists.sort()).toEqual(['Experiment.analysedVehicles', 'Flag.history']);
  });
});
