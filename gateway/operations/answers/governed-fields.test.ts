import { readFileSync } from 'node:fs';
import { describe, expect, test } from '@jest/globals';
import { Kind, getVariableValues, isObjectType, parse, type ObjectTypeDefinitionNode } from 'graphql';
import { PERMISSIONS } from '../../../core/access/permissions.ts';
import { API_SCHEMA } from '../../testing/api-schema.ts';
import { rootFieldsOf } from '../authorize.ts';
import { GOVERNED, answerPlans, type Dependencies } from './governed-fields.ts';

const VIN = 'KMHK281HGNU000001';
const planOf = answerPlans(API_SCHEMA);

function dependencies(body: string, given: Record<string, unknown> = {}): Dependencies | null {
  const document = parse(body);
  const operation = document.definitions.find((node) => node.kind === Kind.OPERATION_DEFINITION);
  expect(operation === undefined ? [] : rootFieldsOf(document, operation)).not.toEqual([]);
  const { coerced, errors } = getVariableValues(API_SCHEMA, operation?.variableDefinitions ?? [], given);
  expect(errors).toBeUndefined();
  return planOf(document)?.(coerced ?? {}) ?? null;
}

/** Every field that clients see, as `Type.field`. */
const FIELDS = Object.values(API_SCHEMA.getTypeMap()).flatMap((type) =>
  isObjectType(type) && !type.name.startsWith('__')
    ? Object.keys(type.getFields()).map((field) => `${type.name}.${field}`)
    : [],
);
const isRoot = (field: string) => /^(Query|Mutation|Subscription)\./.test(field);

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

  test('are exactly these root fields of queries, until another one is listed', () => {
    expect(FIELDS.filter((field) => isRoot(field) && Object.hasOwn(GOVERNED, field)).sort()).toEqual([
      'Query.evaluateFlag',
      'Query.evaluateFlags',
      'Query.flag',
      'Query.flagProof',
      'Query.flagSync',
      'Query.flags',
    ]);
  });

  test('are the same for all callers of a permission scope', () => {
    for (const field of Object.keys(GOVERNED))
      expect([field, PERMISSIONS[field]?.vehicle]).not.toEqual([field, 'ownVin']);
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
    ]) {
      expect(FIELDS).toContain(field);
      expect(GOVERNED).not.toHaveProperty([field]);
    }
  });
});

const ALL = { environments: null, vins: [], keys: [], isDated: false };
const STAGING = { ...ALL, environments: ['staging'] };
const EVALUATE = 'query A($c: EvaluationContext!) { evaluateFlag(key: "x", context: $c) { value } }';
const FLAGS = 'query A($f: FlagFilter) { flags(filter: $f) { totalCount } }';
const SYNC = 'query A($n: String) { flagSync(environment: STAGING, since: 3, nonce: $n) { revision proof } }';

describe('the answer to an operation', () => {
  test.each<[string, Record<string, unknown>, object | null]>([
    ['query A { flags { nodes { key enabled rules { type conditions } __typename } } }', {}, ALL],
    ['query A { flag(key: "x") { key draft } }', {}, { ...ALL, keys: ['x'] }],
    ['query A { flag(key: "no key") { key } }', {}, null],
    [FLAGS, { f: { draft: false, environment: 'STAGING' } }, STAGING],
    [FLAGS, { f: null }, ALL],
    [FLAGS, { f: { draft: true } }, null],
    [FLAGS, { f: { archived: true } }, null],
    [FLAGS, { f: { hasRollout: false } }, null],
    [FLAGS, { f: { releaseHolds: true } }, null],
    [FLAGS, { f: { hasRelease: true } }, ALL],
    [FLAGS, { f: { stale: true } }, null],
    ['query A { flags(orderBy: { field: UPDATED_AT, direction: ASC }) { totalCount } }', {}, null],
    ['query A { flags(orderBy: { field: KEY, direction: ASC }) { totalCount } }', {}, ALL],
    [
      'query A { flags { nodes { ...F } pageInfo { endCursor } totalCount } } fragment F on Flag { key ... on Flag { enabled } }',
      {},
      ALL,
    ],
    ['query A { flags { nodes { key totalEvaluations } } }', {}, null],
    ['query A { flags { nodes { ...F } } } fragment F on Flag { createdBy { name } }', {}, null],
    ['query A { flags { totalCount } me { kind } }', {}, null],
    ['query A { a: flags { nodes { updated: updatedAt } } }', {}, null],
    ['query A { __schema { queryType { name } } }', {}, null],
    ['query A { flags { totalCount } } query B { flags { totalCount } }', {}, null],
    ['mutation A { killSwitch(flagKey: "x", reason: "y") { applied } }', {}, null],
    [EVALUATE, { c: { model: 'Ioniq 6' } }, ALL],
    [EVALUATE, { c: { vin: VIN, model: 'M' } }, { ...ALL, vins: [VIN] }],
    // A blank name counts as left out.
    [EVALUATE, { c: { vin: VIN, model: ' ', swVersion: '1', region: 'EU' } }, { ...ALL, vins: [VIN] }],
    [EVALUATE, { c: { vin: 'short' } }, null],
    ['query A { evaluateFlags(environment: STAGING, context: {}) { value } }', {}, STAGING],
    [
      'query A($v: String) { evaluateFlags(environment: STAGING, context: { vin: $v }) { value } }',
      { v: VIN },
      { ...STAGING, vins: [VIN] },
    ],
    [
      'query A($v: String) { a: evaluateFlags(environment: STAGING, context: {}) { value } b: evaluateFlag(key: "x", context: { vin: $v }) { value } c: flag(key: "y") { key } d: flag(key: "x") { key } }',
      { v: VIN },
      { ...ALL, vins: [VIN], keys: ['x', 'y'] },
    ],
    [SYNC, {}, { ...STAGING, isDated: true }],
    [SYNC, { n: null }, { ...STAGING, isDated: true }],
    [SYNC, { n: 'AAAAAAAAAAAAAAAAAAAAAA' }, null],
    ['query A { flagProof(environment: STAGING) }', {}, { ...STAGING, isDated: true }],
    ['query A { __typename }', {}, null],
  ])('%s with %j depends on %j', (body, given, expected) => {
    expect(dependencies(body, given)).toEqual(expected);
  });
});
