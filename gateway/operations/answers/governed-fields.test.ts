import { readFileSync } from 'node:fs';
import { describe, expect, test } from '@jest/globals';
import { Kind, isObjectType, parse, type ObjectTypeDefinitionNode } from 'graphql';
import { PERMISSIONS } from '../../../core/access/permissions.ts';
import { API_SCHEMA } from '../../testing/api-schema.ts';
import { GOVERNED, revisionGoverned } from './governed-fields.ts';

const isGoverned = revisionGoverned(API_SCHEMA);
const governed = (body: string, variables: Record<string, unknown> = {}) =>
  isGoverned({ sha256: body, body, variables });

/** Every field that clients see, as `Type.field`. */
const FIELDS = Object.values(API_SCHEMA.getTypeMap()).flatMap((type) =>
  isObjectType(type) && !type.name.startsWith('__')
    ? Object.keys(type.getFields()).map((field) => `${type.name}.${field}`)
    : [],
);

describe('what revisions govern', () => {
  test('are fields that there are, and that the flags subgraph answers itself', () => {
    const document = parse(readFileSync(new URL('../../../subgraphs/flags/schema.graphql', import.meta.url), 'utf8'));
    const own = document.definitions
      .filter((node): node is ObjectTypeDefinitionNode => node.kind === Kind.OBJECT_TYPE_DEFINITION)
      .flatMap(({ name, fields = [] }) =>
        fields
          .filter(({ directives = [] }) => !directives.some((directive) => directive.name.value === 'external'))
          .map((field) => `${name.value}.${field.name.value}`),
      );
    expect(Object.keys(GOVERNED).filter((field) => !FIELDS.includes(field) || !own.includes(field))).toEqual([]);
  });

  test('are, of the roots of queries, these and no other until somebody lists it', () => {
    expect(
      FIELDS.filter((field) => /^(Query|Mutation|Subscription)\./.test(field) && Object.hasOwn(GOVERNED, field)).sort(),
    ).toEqual(['Query.evaluateFlag', 'Query.evaluateFlags', 'Query.flags']);
  });

  test('leave out every field of a flag that is for some callers only, people, statistics and times of update', () => {
    for (const field of FIELDS.filter((name) => /^(Flag|Rule)\./.test(name) && Object.hasOwn(PERMISSIONS, name)))
      expect(GOVERNED).not.toHaveProperty([field]);
    for (const field of [
      'Flag.totalEvaluations',
      'Flag.activeVehicles',
      'Flag.lastEvaluationAt',
      'Flag.createdBy',
      'Flag.updatedBy',
      'Flag.updatedAt',
      'Rule.updatedAt',
      'Vehicle.evaluations',
      'Query.flagSync',
      'Query.flagProof',
    ]) {
      expect(FIELDS).toContain(field);
      expect(GOVERNED).not.toHaveProperty([field]);
    }
  });
});

describe('an operation', () => {
  test.each<[string, boolean, Record<string, unknown>]>([
    ['query A { flags { nodes { key enabled rules { type conditions } __typename } } }', true, {}],
    ['query A { flag(key: "x") { key } }', false, {}],
    ['query A($f: FlagFilter) { flags(filter: $f) { totalCount } }', true, { f: { draft: false } }],
    ['query A($f: FlagFilter) { flags(filter: $f) { totalCount } }', false, { f: { draft: true } }],
    [
      'query A { flags { nodes { ...F } pageInfo { endCursor } totalCount } } fragment F on Flag { key ... on Flag { enabled } }',
      true,
      {},
    ],
    ['query A { flags { nodes { key totalEvaluations } } }', false, {}],
    ['query A { flags { nodes { ...F } } } fragment F on Flag { createdBy { name } }', false, {}],
    ['query A { flags { totalCount } me { kind } }', false, {}],
    ['query A { a: flags { nodes { updated: updatedAt } } }', false, {}],
    ['query A { __schema { queryType { name } } }', false, {}],
    [
      'query A($c: EvaluationContext!) { evaluateFlag(key: "x", context: $c) { value } }',
      true,
      { c: { model: 'Ioniq 6' } },
    ],
    [
      'query A($c: EvaluationContext!) { evaluateFlag(key: "x", context: $c) { value } }',
      true,
      { c: { vin: 'V', model: 'M', swVersion: '1', region: 'EU' } },
    ],
    [
      'query A($c: EvaluationContext!) { evaluateFlag(key: "x", context: $c) { value } }',
      false,
      { c: { vin: 'V', model: 'M', swVersion: '1' } },
    ],
    ['query A($c: EvaluationContext!) { evaluateFlag(key: "x", context: $c) { value } }', false, { c: 7 }],
    ['query A($c: EvaluationContext!) { evaluateFlag(key: "x", context: $c) { value } }', false, {}],
    ['query A($v: String) { evaluateFlags(environment: STAGING, context: {vin: $v}) { value } }', true, {}],
    ['query A($v: String) { evaluateFlags(environment: STAGING, context: {vin: $v}) { value } }', false, { v: 'V' }],
    [
      'query A($v: String!) { a: evaluateFlag(key: "x", context: {}) { value } b: evaluateFlag(key: "x", context: {vin: $v}) { value } }',
      false,
      { v: 'V' },
    ],
    ['query A { evaluateFlag(key: "x") { value } }', false, {}],
  ])('%s is governed: %s (%j)', (body, expected, variables) => {
    expect(governed(body, variables)).toBe(expected);
    expect(governed(body, variables)).toBe(expected);
  });
});
